#include "monitoring/metrics/metrics.h"

#include <prometheus/text_serializer.h>

#include <sstream>
#include <utility>

#include "monitoring/metrics/families.h"
#include "monitoring/metrics/job_series.h"

namespace tutti::metrics {
namespace {

double Seconds(Duration duration) { return std::chrono::duration<double>(duration).count(); }
double Seconds(WallTime time) { return static_cast<double>(time.unix_ms) / 1000.0; }
double Count(Bytes bytes) { return static_cast<double>(bytes.count); }
std::string Label(std::string_view text) { return std::string(text); }

std::string_view Name(Phase phase) {
  switch (phase) {
    case Phase::kData:
      return "data";
    case Phase::kForward:
      return "forward";
    case Phase::kBackward:
      return "backward";
    case Phase::kReduce:
      return "reduce";
    case Phase::kUpdate:
      return "update";
    case Phase::kCheckpoint:
      return "checkpoint";
  }
  return "";
}

std::string_view Name(ReducePath path) {
  switch (path) {
    case ReducePath::kMemory:
      return "memory";
    case ReducePath::kNetwork:
      return "network";
    case ReducePath::kDevice:
      return "device";
  }
  return "";
}

std::string_view Name(CheckpointStage stage) {
  switch (stage) {
    case CheckpointStage::kWrite:
      return "write";
    case CheckpointStage::kSync:
      return "sync";
    case CheckpointStage::kVerify:
      return "verify";
    case CheckpointStage::kRead:
      return "read";
  }
  return "";
}

// Sets a node's gauge and remembers it for Forget.
void SetNode(Families& f, Gauges& family, std::string_view node, prometheus::Labels more,
             double value) {
  more.emplace("node", node);
  const std::lock_guard lock(f.nodes_mutex);
  const bool known = family.Has(more);
  prometheus::Gauge& gauge = family.Add(more);
  gauge.Set(value);
  if (!known) f.node_gauges[Label(node)][&family].push_back(&gauge);
}

}  // namespace

void ControlMetrics::StoreCommit(Duration duration) {
  f_.store_commit_duration.Add({}).Observe(Seconds(duration));
}
void ControlMetrics::StoreSize(Bytes size) { f_.store_size.Add({}).Set(Count(size)); }
void ControlMetrics::StoreDisk(Bytes free, Bytes size) {
  f_.store_disk_free.Add({}).Set(Count(free));
  f_.store_disk_size.Add({}).Set(Count(size));
}
void ControlMetrics::ReadOnly(bool read_only) { f_.store_read_only.Add({}).Set(read_only ? 1 : 0); }
void ControlMetrics::SchedulerStep(Duration duration) {
  f_.scheduler_step_duration.Add({}).Observe(Seconds(duration));
}
void ControlMetrics::Decision(std::string_view outcome) {
  f_.scheduler_decisions.Add({{"outcome", Label(outcome)}}).Increment();
}
void ControlMetrics::Preemption(std::string_view reason) {
  f_.scheduler_preemptions.Add({{"reason", Label(reason)}}).Increment();
}
void ControlMetrics::Predicted(std::string_view what, double ratio, std::string_view outcome) {
  f_.scheduler_prediction_ratio.Add({{"what", Label(what)}}).Observe(ratio);
  f_.scheduler_predictions.Add({{"what", Label(what)}, {"outcome", Label(outcome)}}).Increment();
}
void ControlMetrics::ExpectPredicted(std::string_view what, std::string_view outcome) {
  f_.scheduler_predictions.Add({{"what", Label(what)}, {"outcome", Label(outcome)}});
}

void QueueMetrics::Jobs(std::string_view queue, std::string_view state, std::int64_t count) {
  f_.queue_jobs.Add({{"queue", Label(queue)}, {"state", Label(state)}})
      .Set(static_cast<double>(count));
}
void QueueMetrics::OldestWait(std::string_view queue, Duration wait) {
  f_.queue_oldest_wait.Add({{"queue", Label(queue)}}).Set(Seconds(wait));
}
void QueueMetrics::QuotaSlots(std::string_view queue, std::int64_t slots) {
  f_.queue_quota_slots.Add({{"queue", Label(queue)}}).Set(static_cast<double>(slots));
}
void QueueMetrics::AllocatedSlots(std::string_view queue, std::int64_t slots) {
  f_.queue_allocated_slots.Add({{"queue", Label(queue)}}).Set(static_cast<double>(slots));
}
void QueueMetrics::Waited(std::string_view queue, Duration wait) {
  f_.queue_wait_duration.Add({{"queue", Label(queue)}}).Observe(Seconds(wait));
}

void JobMetrics::Submitted(std::string_view task, std::string_view method) {
  f_.jobs_submitted.Add({{"task", Label(task)}, {"method", Label(method)}}).Increment();
}
void JobMetrics::Finished(std::string_view task, std::string_view status, std::string_view reason) {
  f_.jobs_finished
      .Add({{"task", Label(task)}, {"status", Label(status)}, {"reason", Label(reason)}})
      .Increment();
}
void JobMetrics::Launched(Duration placed_to_first_step) {
  f_.job_launch_duration.Add({}).Observe(Seconds(placed_to_first_step));
}
void JobMetrics::Restarted(std::string_view reason) {
  f_.job_restarts.Add({{"reason", Label(reason)}}).Increment();
}
void JobMetrics::ExpectFinished(std::string_view task, std::string_view status,
                                std::string_view reason) {
  f_.jobs_finished.Add(
      {{"task", Label(task)}, {"status", Label(status)}, {"reason", Label(reason)}});
}
void JobMetrics::ExpectRestarted(std::string_view reason) {
  f_.job_restarts.Add({{"reason", Label(reason)}});
}
void JobMetrics::Recovered(std::string_view reason, Duration failure_to_next_step) {
  f_.job_recovery_duration.Add({{"reason", Label(reason)}}).Observe(Seconds(failure_to_next_step));
}

void NodeMetrics::Up(std::string_view node, bool up) {
  SetNode(f_, f_.node_up, node, {}, up ? 1 : 0);
}
void NodeMetrics::Heartbeat(std::string_view node, WallTime at) {
  SetNode(f_, f_.node_last_heartbeat, node, {}, Seconds(at));
}
void NodeMetrics::Slots(std::string_view node, std::int64_t free, std::int64_t used) {
  SetNode(f_, f_.node_slots, node, {{"state", "free"}}, static_cast<double>(free));
  SetNode(f_, f_.node_slots, node, {{"state", "used"}}, static_cast<double>(used));
}
void NodeMetrics::Memory(std::string_view node, Bytes free, Bytes used) {
  SetNode(f_, f_.node_memory, node, {{"state", "free"}}, Count(free));
  SetNode(f_, f_.node_memory, node, {{"state", "used"}}, Count(used));
}
void NodeMetrics::DiskFree(std::string_view node, Bytes free) {
  SetNode(f_, f_.node_disk_free, node, {}, Count(free));
}
void NodeMetrics::DiskSize(std::string_view node, Bytes size) {
  SetNode(f_, f_.node_disk_size, node, {}, Count(size));
}
void NodeMetrics::CpuTime(std::string_view node, Duration total_since_start) {
  const std::lock_guard lock(f_.nodes_mutex);
  Families::NodeCpu& cpu = f_.node_cpu_counters[Label(node)];
  if (cpu.counter == nullptr) cpu.counter = &f_.node_cpu.Add({{"node", Label(node)}});
  // A worker that restarted begins again at 0.
  const double total = Seconds(total_since_start);
  cpu.counter->Increment(total < cpu.last_seconds ? total : total - cpu.last_seconds);
  cpu.last_seconds = total;
}
void NodeMetrics::GpuState(std::string_view node, int gpu, const Gpu& state) {
  const prometheus::Labels labels = {{"gpu", std::to_string(gpu)}};
  SetNode(f_, f_.gpu_utilization, node, labels, state.utilization_ratio);
  SetNode(f_, f_.gpu_memory_used, node, labels, Count(state.memory_used));
  SetNode(f_, f_.gpu_power, node, labels, state.power_watts);
  SetNode(f_, f_.gpu_temperature, node, labels, state.temperature_celsius);
}
void NodeMetrics::Forget(std::string_view node) {
  const std::lock_guard lock(f_.nodes_mutex);
  if (const auto known = f_.node_gauges.find(node); known != f_.node_gauges.end()) {
    for (const auto& [family, gauges] : known->second) {
      for (prometheus::Gauge* gauge : gauges) family->Remove(gauge);
    }
    f_.node_gauges.erase(known);
  }
  if (const auto known = f_.node_cpu_counters.find(node); known != f_.node_cpu_counters.end()) {
    f_.node_cpu.Remove(known->second.counter);
    f_.node_cpu_counters.erase(known);
  }
}

void TrainingMetrics::Progress(JobId job, const TrainingProgress& progress) {
  jobs_.Set(f_.train_step, job, static_cast<double>(progress.step));
  jobs_.Set(f_.train_loss, job, progress.loss);
  jobs_.Set(f_.train_learning_rate, job, progress.learning_rate);
  if (progress.gradient_norm) jobs_.Set(f_.train_gradient_norm, job, *progress.gradient_norm);
  if (progress.total_steps > 0) {
    jobs_.Set(f_.train_progress, job,
              static_cast<double>(progress.step) / static_cast<double>(progress.total_steps));
  }
  jobs_.Add(f_.train_tokens, job, static_cast<double>(progress.tokens_since_last));
  jobs_.Add(f_.train_samples, job, static_cast<double>(progress.rows_since_last));
}
void TrainingMetrics::Ranks(JobId job, std::int64_t training) {
  jobs_.Set(f_.train_ranks, job, static_cast<double>(training));
}
void TrainingMetrics::EvalLoss(JobId job, double loss) { jobs_.Set(f_.train_eval_loss, job, loss); }
void TrainingMetrics::NonfiniteStep(JobId job) { jobs_.Add(f_.train_nonfinite_steps, job, 1); }
void TrainingMetrics::StragglerDelay(JobId job, Duration delay) {
  jobs_.Set(f_.train_straggler_delay, job, Seconds(delay));
}
void TrainingMetrics::StalledRanks(JobId job, std::int64_t ranks) {
  jobs_.Set(f_.train_stalled_ranks, job, static_cast<double>(ranks));
}
void TrainingMetrics::StepTime(std::string_view task, Duration duration) {
  f_.train_step_duration.Add({{"task", Label(task)}}).Observe(Seconds(duration));
}
void TrainingMetrics::PhaseTime(Phase phase, Duration duration) {
  f_.train_phase_duration.Add({{"phase", Label(Name(phase))}}).Observe(Seconds(duration));
}
void TrainingMetrics::Reduced(ReducePath path, Bytes bytes, Duration duration) {
  const prometheus::Labels labels = {{"path", Label(Name(path))}};
  f_.allreduce_bytes.Add(labels).Increment(Count(bytes));
  f_.allreduce_duration.Add(labels).Observe(Seconds(duration));
}

void CheckpointMetrics::Committed(JobId job, Bytes size, WallTime at) {
  f_.checkpoint_size.Add({}).Set(Count(size));
  jobs_.Set(f_.checkpoint_last_success, job, Seconds(at));
}
void CheckpointMetrics::Stage(CheckpointStage stage, Duration duration) {
  f_.checkpoint_duration.Add({{"stage", Label(Name(stage))}}).Observe(Seconds(duration));
}
void CheckpointMetrics::Failed(std::string_view reason) {
  f_.checkpoint_failures.Add({{"reason", Label(reason)}}).Increment();
}

void HttpMetrics::Request(std::string_view route, std::string_view method, int code,
                          Duration duration) {
  f_.http_requests
      .Add({{"route", Label(route)}, {"method", Label(method)}, {"code", std::to_string(code)}})
      .Increment();
  f_.http_request_duration.Add({{"route", Label(route)}}).Observe(Seconds(duration));
}
void HttpMetrics::Connections(std::int64_t open) {
  f_.http_connections.Add({}).Set(static_cast<double>(open));
}
void HttpMetrics::SseSubscribers(std::int64_t subscribers) {
  f_.sse_subscribers.Add({}).Set(static_cast<double>(subscribers));
}
void HttpMetrics::SseDropped(std::uint64_t events) {
  f_.sse_dropped_events.Add({}).Increment(static_cast<double>(events));
}
void HttpMetrics::AuthFailure(std::string_view reason) {
  f_.auth_failures.Add({{"reason", Label(reason)}}).Increment();
}

void WireMetrics::FrameDropped(std::string_view reason) {
  f_.wire_dropped_frames.Add({{"reason", Label(reason)}}).Increment();
}
void WireMetrics::PeerRefused(std::string_view reason) {
  f_.wire_refused_peers.Add({{"reason", Label(reason)}}).Increment();
}

void WebhookMetrics::Delivery(std::string_view of, std::string_view outcome) {
  f_.webhook_deliveries.Add({{"of", Label(of)}, {"outcome", Label(outcome)}}).Increment();
}
void WebhookMetrics::Pending(std::int64_t messages) {
  f_.webhook_pending.Add({}).Set(static_cast<double>(messages));
}

Metrics::Metrics(std::string_view version, std::string_view revision)
    : families_(std::make_unique<Families>()),
      job_series_(std::make_unique<JobSeries>(*families_)),
      control(*families_),
      queue(*families_),
      jobs(*families_),
      nodes(*families_),
      training(*families_, *job_series_),
      checkpoints(*families_, *job_series_),
      http(*families_),
      wire(*families_),
      webhooks(*families_) {
  families_->build_info.Add({{"version", Label(version)}, {"revision", Label(revision)}}).Set(1);
  families_->sse_dropped_events.Add({});
  for (const char* reason : {"disk_full", "not_arrived"}) {
    families_->checkpoint_failures.Add({{"reason", reason}});
  }
  for (const char* of : {"cluster", "job"}) {
    for (const char* outcome : {"sent", "failed", "given_up", "dropped"}) {
      families_->webhook_deliveries.Add({{"of", of}, {"outcome", outcome}});
    }
  }
}
Metrics::~Metrics() = default;

void Metrics::JobEnded(JobId job, Instant now) { job_series_->Ended(job, now); }
void Metrics::Sweep(Instant now) { job_series_->Sweep(now); }

std::string Metrics::ToText() const {
  std::ostringstream out;
  prometheus::TextSerializer().Serialize(out, families_->registry.Collect());
  return std::move(out).str();
}

}  // namespace tutti::metrics
