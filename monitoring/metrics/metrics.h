// Every metric of Tutti, by area. Names, help texts, labels and buckets are in families.cc alone;
// docs and dashboards rely on them. Thread-safe, and cheap enough for any path but inner loops.
//
// Bounds: `job` series vanish 10 minutes after JobEnded; at most 2,000 jobs have series at a time,
// further ones share `_other`. No user or model labels.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "common/base/ids.h"
#include "common/base/time.h"
#include "common/base/units.h"

namespace tutti::metrics {

struct Families;  // the registry and its families
class JobSeries;  // which jobs have series

inline constexpr std::size_t kJobSeriesMax = 2'000;
inline constexpr Duration kJobSeriesKeep = std::chrono::minutes(10);

class ControlMetrics {
 public:
  explicit ControlMetrics(Families& families) : f_(families) {}
  void StoreCommit(Duration duration);
  void StoreSize(Bytes size);
  void StoreDisk(Bytes free, Bytes size);
  void ReadOnly(bool read_only);
  void SchedulerStep(Duration duration);
  void Decision(std::string_view outcome);  // placed, admitted, rejected, none, …
  void Preemption(std::string_view reason);
  // What came of a prediction. what: "start" of a job, "end" of an attempt. ratio: the time it took
  // over the time predicted. outcome: "inside" the interval that was told, "early" or "late".
  void Predicted(std::string_view what, double ratio, std::string_view outcome);
  void ExpectPredicted(std::string_view what, std::string_view outcome);  // a series of 0

 private:
  Families& f_;
};

class QueueMetrics {
 public:
  explicit QueueMetrics(Families& families) : f_(families) {}
  void Jobs(std::string_view queue, std::string_view state, std::int64_t count);
  void OldestWait(std::string_view queue, Duration wait);
  void QuotaSlots(std::string_view queue, std::int64_t slots);
  void AllocatedSlots(std::string_view queue, std::int64_t slots);
  void Waited(std::string_view queue, Duration wait);  // of a job, when it was placed

 private:
  Families& f_;
};

class JobMetrics {
 public:
  explicit JobMetrics(Families& families) : f_(families) {}
  void Submitted(std::string_view task, std::string_view method);  // method: "full", "lora"
  // status: succeeded, failed, cancelled. reason: a failure reason, "" = none.
  void Finished(std::string_view task, std::string_view status, std::string_view reason);
  void Launched(Duration placed_to_first_step);
  void Restarted(std::string_view reason);
  // From 0 on, so that the first of its kind is a rise that Prometheus sees.
  void ExpectFinished(std::string_view task, std::string_view status, std::string_view reason);
  void ExpectRestarted(std::string_view reason);
  void Recovered(std::string_view reason, Duration failure_to_next_step);

 private:
  Families& f_;
};

class NodeMetrics {
 public:
  explicit NodeMetrics(Families& families) : f_(families) {}
  void Up(std::string_view node, bool up);
  void Heartbeat(std::string_view node, WallTime at);
  void Slots(std::string_view node, std::int64_t free, std::int64_t used);
  void Memory(std::string_view node, Bytes free, Bytes used);
  void DiskFree(std::string_view node, Bytes free);
  void DiskSize(std::string_view node, Bytes size);
  void CpuTime(std::string_view node, Duration total_since_start);  // a rising total
  struct Gpu {
    double utilization_ratio = 0;
    Bytes memory_used = {};
    double power_watts = 0;
    double temperature_celsius = 0;
  };
  void GpuState(std::string_view node, int gpu, const Gpu& state);
  void Forget(std::string_view node);  // all its series

 private:
  Families& f_;
};

struct TrainingProgress {
  std::int64_t step = 0;
  std::int64_t total_steps = 0;
  double loss = 0;
  double learning_rate = 0;
  std::optional<double> gradient_norm = {};
  std::int64_t tokens_since_last = 0;
  std::int64_t rows_since_last = 0;
};
enum class Phase : std::uint8_t { kData, kForward, kBackward, kReduce, kUpdate, kCheckpoint };
enum class ReducePath : std::uint8_t { kMemory, kNetwork, kDevice };

class TrainingMetrics {
 public:
  TrainingMetrics(Families& families, JobSeries& jobs) : f_(families), jobs_(jobs) {}
  void Progress(JobId job, const TrainingProgress& progress);
  void Ranks(JobId job, std::int64_t training);
  void EvalLoss(JobId job, double loss);
  void NonfiniteStep(JobId job);
  void StragglerDelay(JobId job, Duration delay);
  void StalledRanks(JobId job, std::int64_t ranks);
  void StepTime(std::string_view task, Duration duration);
  void PhaseTime(Phase phase, Duration duration);
  void Reduced(ReducePath path, Bytes bytes, Duration duration);

 private:
  Families& f_;
  JobSeries& jobs_;
};

enum class CheckpointStage : std::uint8_t { kWrite, kSync, kVerify, kRead };

class CheckpointMetrics {
 public:
  CheckpointMetrics(Families& families, JobSeries& jobs) : f_(families), jobs_(jobs) {}
  void Committed(JobId job, Bytes size, WallTime at);
  void Stage(CheckpointStage stage, Duration duration);
  void Failed(std::string_view reason);

 private:
  Families& f_;
  JobSeries& jobs_;
};

class HttpMetrics {
 public:
  explicit HttpMetrics(Families& families) : f_(families) {}
  // route: the template, or "unmatched".
  void Request(std::string_view route, std::string_view method, int code, Duration duration);
  void Connections(std::int64_t open);
  void SseSubscribers(std::int64_t subscribers);
  void SseDropped(std::uint64_t events);
  void AuthFailure(std::string_view reason);  // http::Denial::reason

 private:
  Families& f_;
};

class WireMetrics {
 public:
  explicit WireMetrics(Families& families) : f_(families) {}
  void FrameDropped(std::string_view reason);  // malformed, parts, overload
  void PeerRefused(std::string_view reason);   // key (not on the list), protocol (no CURVE, …)

 private:
  Families& f_;
};

// Messages of webhooks. outcome: "sent" (its receiver took it), "failed" (a try that is made
// again), "given_up", "dropped" (too many waited). of: "cluster" or "job", whose webhook it is.
class WebhookMetrics {
 public:
  explicit WebhookMetrics(Families& families) : f_(families) {}
  void Delivery(std::string_view of, std::string_view outcome);
  void Pending(std::int64_t messages);

 private:
  Families& f_;
};

class Metrics {
 public:
  Metrics(std::string_view version, std::string_view revision);
  ~Metrics();
  Metrics(const Metrics&) = delete;
  Metrics& operator=(const Metrics&) = delete;

  // The job's series stay for kJobSeriesKeep from `now` on, then a Sweep removes them. A job that
  // reports again is live again.
  void JobEnded(JobId job, Instant now);
  void Sweep(Instant now);

  // Prometheus text format 0.0.4; content type kTextType.
  std::string ToText() const;
  static constexpr std::string_view kTextType = "text/plain; version=0.0.4; charset=utf-8";

 private:
  std::unique_ptr<Families> families_;
  std::unique_ptr<JobSeries> job_series_;

 public:
  ControlMetrics control;
  QueueMetrics queue;
  JobMetrics jobs;
  NodeMetrics nodes;
  TrainingMetrics training;
  CheckpointMetrics checkpoints;
  HttpMetrics http;
  WireMetrics wire;
  WebhookMetrics webhooks;
};

}  // namespace tutti::metrics
