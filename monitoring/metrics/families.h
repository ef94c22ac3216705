// The registry and every family in it, made at once with names, help and buckets. Internal to
// monitoring/metrics; the families are thread-safe.
#pragma once

#include <prometheus/counter.h>
#include <prometheus/family.h>
#include <prometheus/gauge.h>
#include <prometheus/histogram.h>
#include <prometheus/registry.h>

#include <functional>
#include <map>
#include <mutex>
#include <string>
#include <string_view>
#include <vector>

namespace tutti::metrics {

using Counters = prometheus::Family<prometheus::Counter>;
using Gauges = prometheus::Family<prometheus::Gauge>;

// Histograms of one family share their buckets.
struct Histograms {
  prometheus::Family<prometheus::Histogram>& family;
  prometheus::Histogram::BucketBoundaries buckets;

  prometheus::Histogram& Add(const prometheus::Labels& labels) {
    return family.Add(labels, buckets);
  }
};

struct Families {
  Families();

  prometheus::Registry registry;

  Gauges& build_info;
  Histograms store_commit_duration;
  Gauges& store_size;
  Gauges& store_disk_free;
  Gauges& store_disk_size;
  Gauges& store_read_only;
  Histograms scheduler_step_duration;
  Counters& scheduler_decisions;
  Counters& scheduler_preemptions;
  Histograms scheduler_prediction_ratio;
  Counters& scheduler_predictions;

  Gauges& queue_jobs;
  Gauges& queue_oldest_wait;
  Gauges& queue_quota_slots;
  Gauges& queue_allocated_slots;
  Histograms queue_wait_duration;

  Counters& jobs_submitted;
  Counters& jobs_finished;
  Histograms job_launch_duration;
  Counters& job_restarts;
  Histograms job_recovery_duration;

  Gauges& node_up;
  Gauges& node_last_heartbeat;
  Gauges& node_slots;
  Gauges& node_memory;
  Gauges& node_disk_free;
  Gauges& node_disk_size;
  Counters& node_cpu;
  Gauges& gpu_utilization;
  Gauges& gpu_memory_used;
  Gauges& gpu_power;
  Gauges& gpu_temperature;

  Gauges& train_step;
  Gauges& train_loss;
  Gauges& train_eval_loss;
  Gauges& train_learning_rate;
  Gauges& train_gradient_norm;
  Gauges& train_progress;
  Gauges& train_ranks;
  Counters& train_tokens;
  Counters& train_samples;
  Counters& train_nonfinite_steps;
  Gauges& train_straggler_delay;
  Gauges& train_stalled_ranks;
  Histograms train_step_duration;
  Histograms train_phase_duration;
  Counters& allreduce_bytes;
  Histograms allreduce_duration;

  Histograms checkpoint_duration;
  Gauges& checkpoint_size;
  Gauges& checkpoint_last_success;
  Counters& checkpoint_failures;

  Counters& http_requests;
  Histograms http_request_duration;
  Gauges& http_connections;
  Gauges& sse_subscribers;
  Counters& sse_dropped_events;
  Counters& auth_failures;

  Counters& wire_dropped_frames;
  Counters& wire_refused_peers;

  Counters& webhook_deliveries;
  Gauges& webhook_pending;

  // What nodes have: remembered so that Forget can remove it.
  std::mutex nodes_mutex;
  std::map<std::string, std::map<Gauges*, std::vector<prometheus::Gauge*>>, std::less<>>
      node_gauges;
  struct NodeCpu {
    prometheus::Counter* counter = nullptr;
    double last_seconds = 0;  // what the node said last
  };
  std::map<std::string, NodeCpu, std::less<>> node_cpu_counters;
};

}  // namespace tutti::metrics
