#include "monitoring/metrics/families.h"

#include <vector>

namespace tutti::metrics {
namespace {

using prometheus::Registry;
using Buckets = prometheus::Histogram::BucketBoundaries;

Counters& Counter(Registry& registry, const char* name, const char* help) {
  return prometheus::BuildCounter().Name(name).Help(help).Register(registry);
}

Gauges& Gauge(Registry& registry, const char* name, const char* help) {
  return prometheus::BuildGauge().Name(name).Help(help).Register(registry);
}

Histograms Histogram(Registry& registry, const char* name, const char* help, Buckets buckets) {
  return {prometheus::BuildHistogram().Name(name).Help(help).Register(registry),
          std::move(buckets)};
}

// Seconds. Each from below the best seen to beyond what anybody accepts.
Buckets Micro() { return {1e-6, 5e-6, 2e-5, 1e-4, 5e-4, 2e-3, 1e-2, 5e-2, 0.2, 1}; }
Buckets Milli() {
  return {1e-4, 5e-4, 1e-3, 2.5e-3, 5e-3, 1e-2, 2.5e-2, 5e-2, 0.1, 0.25, 0.5, 1, 2.5, 5, 10};
}
Buckets Launch() { return {0.05, 0.1, 0.2, 0.3, 0.5, 0.75, 1, 2, 3, 5, 10, 30, 60, 300}; }
Buckets Wait() {
  return {0.1, 1, 5, 15, 60, 300, 900, 3600, 4 * 3600, 12 * 3600, 24 * 3600, 72 * 3600};
}
Buckets Ratio() { return {0.1, 0.25, 0.5, 0.7, 0.8, 0.9, 1, 1.1, 1.25, 1.5, 2, 4, 10}; }
Buckets Step() { return {1e-3, 5e-3, 1e-2, 2.5e-2, 5e-2, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60}; }

}  // namespace

Families::Families()
    : build_info(Gauge(registry, "tutti_build_info", "Version and commit that run; always 1")),
      store_commit_duration(Histogram(registry, "tutti_store_commit_duration_seconds",
                                      "Time to make a round's facts durable", Milli())),
      store_size(Gauge(registry, "tutti_store_size_bytes", "Size of the state database")),
      store_disk_free(Gauge(registry, "tutti_store_disk_free_bytes",
                            "Free space of the coordinator's data directory")),
      store_disk_size(Gauge(registry, "tutti_store_disk_size_bytes",
                            "Size of the disk that has the coordinator's data directory")),
      store_read_only(Gauge(registry, "tutti_store_read_only",
                            "1 while the coordinator cannot keep anything new, else 0")),
      scheduler_step_duration(Histogram(registry, "tutti_scheduler_step_duration_seconds",
                                        "Time of one scheduling step", Micro())),
      scheduler_decisions(
          Counter(registry, "tutti_scheduler_decisions_total", "Scheduling decisions by outcome")),
      scheduler_preemptions(Counter(registry, "tutti_scheduler_preemptions_total",
                                    "Gangs asked to give way, by reason")),
      scheduler_prediction_ratio(Histogram(registry, "tutti_scheduler_prediction_ratio",
                                           "Time taken over time predicted, of starts and ends",
                                           Ratio())),
      scheduler_predictions(Counter(registry, "tutti_scheduler_predictions_total",
                                    "Predicted starts and ends by outcome: inside, early, late")),
      queue_jobs(Gauge(registry, "tutti_queue_jobs", "Jobs by queue and state")),
      queue_oldest_wait(Gauge(registry, "tutti_queue_oldest_wait_seconds",
                              "How long the longest waiting job has waited")),
      queue_quota_slots(Gauge(registry, "tutti_queue_quota_slots", "Slots a queue may use")),
      queue_allocated_slots(Gauge(registry, "tutti_queue_allocated_slots", "Slots a queue uses")),
      queue_wait_duration(Histogram(registry, "tutti_queue_wait_duration_seconds",
                                    "Time from queued to placed", Wait())),
      jobs_submitted(Counter(registry, "tutti_jobs_submitted_total", "Jobs submitted")),
      jobs_finished(Counter(registry, "tutti_jobs_finished_total", "Jobs that ended")),
      job_launch_duration(Histogram(registry, "tutti_job_launch_duration_seconds",
                                    "Time from placed to the first training step", Launch())),
      job_restarts(Counter(registry, "tutti_job_restarts_total",
                           "Attempts after the first, by the reason the one before ended")),
      job_recovery_duration(Histogram(registry, "tutti_job_recovery_duration_seconds",
                                      "Time from a failure to the next training step", Launch())),
      node_up(Gauge(registry, "tutti_node_up", "1 while the worker is connected, else 0")),
      node_last_heartbeat(Gauge(registry, "tutti_node_last_heartbeat_timestamp_seconds",
                                "When the worker was last heard of")),
      node_slots(Gauge(registry, "tutti_node_slots", "Slots by state: free, used")),
      node_memory(Gauge(registry, "tutti_node_memory_bytes", "Memory by state: free, used")),
      node_disk_free(Gauge(registry, "tutti_node_disk_free_bytes",
                           "Free space of the worker's data directory")),
      node_disk_size(Gauge(registry, "tutti_node_disk_size_bytes",
                           "Size of the disk that has the worker's data directory")),
      node_cpu(Counter(registry, "tutti_node_cpu_seconds_total", "Processor time used")),
      gpu_utilization(
          Gauge(registry, "tutti_gpu_utilization_ratio", "Share of time the GPU is busy")),
      gpu_memory_used(Gauge(registry, "tutti_gpu_memory_used_bytes", "GPU memory in use")),
      gpu_power(Gauge(registry, "tutti_gpu_power_watts", "Power the GPU draws")),
      gpu_temperature(Gauge(registry, "tutti_gpu_temperature_celsius", "Temperature of the GPU")),
      train_step(Gauge(registry, "tutti_train_step", "Optimizer steps done")),
      train_loss(Gauge(registry, "tutti_train_loss", "Training loss of the last step")),
      train_eval_loss(Gauge(registry, "tutti_train_eval_loss", "Loss of the last evaluation")),
      train_learning_rate(
          Gauge(registry, "tutti_train_learning_rate", "Learning rate of the last step")),
      train_gradient_norm(Gauge(registry, "tutti_train_gradient_norm",
                                "Gradient norm of the last step, before clipping")),
      train_progress(Gauge(registry, "tutti_train_progress_ratio", "Steps done of all steps")),
      train_ranks(Gauge(registry, "tutti_train_ranks",
                        "Ranks that train the job now; 0 while it waits, starts, stops or is "
                        "paused")),
      train_tokens(
          Counter(registry, "tutti_train_tokens_total", "Tokens trained on, without padding")),
      train_samples(Counter(registry, "tutti_train_samples_total", "Rows trained on")),
      train_nonfinite_steps(Counter(registry, "tutti_train_nonfinite_steps_total",
                                    "Steps whose gradients held NaN or infinity")),
      train_straggler_delay(Gauge(registry, "tutti_train_straggler_delay_seconds",
                                  "How much later than the median the slowest rank is")),
      train_stalled_ranks(Gauge(registry, "tutti_train_stalled_ranks",
                                "Ranks that stand still while their gang waits for them")),
      train_step_duration(Histogram(registry, "tutti_train_step_duration_seconds",
                                    "Time of one optimizer step", Step())),
      train_phase_duration(Histogram(registry, "tutti_train_phase_duration_seconds",
                                     "Time of one phase of a step", Step())),
      allreduce_bytes(Counter(registry, "tutti_allreduce_bytes_total", "Gradient bytes reduced")),
      allreduce_duration(Histogram(registry, "tutti_allreduce_duration_seconds",
                                   "Time of one gradient reduction", Milli())),
      checkpoint_duration(Histogram(registry, "tutti_checkpoint_duration_seconds",
                                    "Time of one stage of a checkpoint", Launch())),
      checkpoint_size(
          Gauge(registry, "tutti_checkpoint_size_bytes", "Size of the last checkpoint")),
      checkpoint_last_success(Gauge(registry, "tutti_checkpoint_last_success_timestamp_seconds",
                                    "When the job's last checkpoint was committed")),
      checkpoint_failures(Counter(registry, "tutti_checkpoint_failures_total",
                                  "Checkpoints that could not be written or read, by reason")),
      http_requests(Counter(registry, "tutti_http_requests_total", "Requests answered")),
      http_request_duration(Histogram(registry, "tutti_http_request_duration_seconds",
                                      "Time from a request's first byte to its answer's last",
                                      Milli())),
      http_connections(Gauge(registry, "tutti_http_connections", "Open HTTP connections")),
      sse_subscribers(Gauge(registry, "tutti_sse_subscribers", "Clients that follow events")),
      sse_dropped_events(Counter(registry, "tutti_sse_dropped_events_total",
                                 "Events a slow or late client could not get")),
      auth_failures(Counter(registry, "tutti_auth_failures_total",
                            "Requests refused for their token, host or origin")),
      wire_dropped_frames(Counter(registry, "tutti_wire_dropped_frames_total",
                                  "Frames from workers that could not be read, by reason")),
      wire_refused_peers(Counter(registry, "tutti_wire_refused_peers_total",
                                 "Connections to the workers' port refused at the handshake")),
      webhook_deliveries(Counter(registry, "tutti_webhook_deliveries_total",
                                 "Messages of webhooks, and tries that failed, by outcome")),
      webhook_pending(Gauge(registry, "tutti_webhook_pending",
                            "Messages of webhooks that no receiver has taken yet")) {}

}  // namespace tutti::metrics
