#include "scheduler/coordinator/measures.h"

#include <algorithm>
#include <nlohmann/json.hpp>
#include <string>

#include "scheduler/core/explain.h"

namespace tutti::coordinator {
namespace {

using nlohmann::json;

Duration Between(WallTime from, WallTime to) {
  return std::chrono::milliseconds(std::max<std::int64_t>(0, to.unix_ms - from.unix_ms));
}

// "full", "lora" or "dpo" of a resolved spec.
std::string MethodOf(const std::string& spec_json) {
  const json spec = json::parse(spec_json, nullptr, false);
  if (!spec.is_object() || !spec.contains("method")) return "full";
  const json& method = spec["method"];
  if (method.is_object() && !method.empty()) return method.begin().key();
  return method.is_string() ? method.get<std::string>() : "full";
}

}  // namespace

// One overload a fact.
struct Measures::Counter {
  Measures& self;
  const core::Ledger& ledger;
  metrics::Metrics& metrics;
  Instant now;

  const core::Job* At(JobId id) const { return core::FindJob(ledger, id); }

  void operator()(const core::JobSubmitted& f) const {
    metrics.jobs.Submitted(f.request.task, MethodOf(f.spec_json));
  }
  void operator()(const core::JobAdmitted&) const {}
  void operator()(const core::JobRejected& f) const {
    if (const auto* job = At(f.job)) self.Finished(*job, "failed", spec::ToString(f.reason));
  }
  void operator()(const core::GangPlaced& f) const {
    self.placed_[f.job] = now;
    const core::Job* job = At(f.job);
    if (job != nullptr && Number(f.attempt) == 1) {
      metrics.queue.Waited(job->request.queue, Between(job->submitted_at, f.at));
    }
  }
  void operator()(const core::GangStarted& f) const {
    if (const auto placed = self.placed_.find(f.job); placed != self.placed_.end()) {
      metrics.jobs.Launched(now - placed->second);
      self.placed_.erase(placed);
    }
    if (const auto failed = self.failed_.find(f.job); failed != self.failed_.end()) {
      metrics.jobs.Recovered(spec::ToString(failed->second.reason), now - failed->second.at);
      self.failed_.erase(failed);
    }
  }
  void operator()(const core::StopRequested& f) const {
    const bool gives_way = f.why == core::StopWhy::kPreempt || f.why == core::StopWhy::kResize ||
                           f.why == core::StopWhy::kDrain;
    if (gives_way) metrics.control.Preemption(core::ToString(f.why));
  }
  void operator()(const core::CheckpointCommitted& f) const {
    metrics.checkpoints.Committed(f.job, Bytes{static_cast<std::int64_t>(f.size_bytes)}, f.at);
  }
  void operator()(const core::GangReleased&) const {}
  void operator()(const core::AttemptFailed& f) const {
    self.placed_.erase(f.job);
    if (f.reason == spec::FailureReason::kNumeric) metrics.training.NonfiniteStep(f.job);
    if (f.reason == spec::FailureReason::kDiskFull) metrics.checkpoints.Failed("disk_full");
    const core::Job* job = At(f.job);
    if (job == nullptr || core::IsFinished(*job)) return;
    metrics.jobs.Restarted(spec::ToString(f.reason));
    self.failed_[f.job] = {now, f.reason};
  }
  void operator()(const core::JobSucceeded& f) const {
    if (const auto* job = At(f.job)) self.Finished(*job, "succeeded", "");
  }
  void operator()(const core::JobFailed& f) const {
    if (const auto* job = At(f.job)) self.Finished(*job, "failed", spec::ToString(f.reason));
  }
  void operator()(const core::JobCancelled& f) const {
    if (const auto* job = At(f.job)) self.Finished(*job, "cancelled", "");
  }
  void operator()(const core::JobPaused&) const {}
  void operator()(const core::JobResumed&) const {}
  void operator()(const core::JobResized&) const {}
  void operator()(const core::HoldReleased&) const {}
  void operator()(const core::JobPriorityChanged&) const {}
  void operator()(const core::JobArchived&) const {}
  void operator()(const core::NodeRegistered& f) const { metrics.nodes.Up(f.name, true); }
  void operator()(const core::NodeLost& f) const { Down(f.node); }
  void operator()(const core::NodeLeft& f) const { Down(f.node); }
  void operator()(const core::NodeDrained&) const {}
  void operator()(const core::CoordinatorStarted&) const {}
  void operator()(const core::QueueSet&) const {}
  void operator()(const core::PolicySet&) const {}
  void operator()(const core::UsageCharged&) const {}

  void Down(NodeId id) const {
    if (const core::Node* node = core::FindNode(ledger, id)) metrics.nodes.Up(node->name, false);
  }
};

void Measures::Finished(const core::Job& job, std::string_view status, std::string_view reason) {
  metrics_.jobs.Finished(job.request.task, status, reason);
  metrics_.JobEnded(job.id, MonotonicNow());
  placed_.erase(job.id);
  failed_.erase(job.id);
}

void Measures::OnStored(const Stored& stored) {
  const Counter counter{*this, stored.view.state->ledger, metrics_, MonotonicNow()};
  for (const core::Fact& fact : stored.facts) std::visit(counter, fact);
}

void Measures::Refresh(const View& view) {
  const core::Ledger& ledger = view.state->ledger;
  const WallTime now = WallNow();
  std::map<std::pair<std::string, std::string>, std::int64_t> counts;
  std::map<std::string, Duration> oldest;
  std::map<std::string, std::int64_t> allocated;
  for (const auto& [id, job] : ledger.jobs) {
    const std::string& queue = job.request.queue;
    allocated.try_emplace(queue, 0);
    oldest.try_emplace(queue, Duration{0});
    if (core::IsFinished(job)) continue;
    ++counts[{queue, std::string(spec::ToString(core::StateOf(ledger, job)))}];
    if (std::holds_alternative<core::Queued>(job.phase) && !job.held) {
      oldest[queue] = std::max(oldest[queue], Between(job.since, now));
    }
    if (const core::Gang* gang = core::ActiveGang(job)) {
      allocated[queue] += std::int64_t{gang->size} * job.request.cpus_per_rank;
    }
  }
  for (auto& [key, count] : shown_) count = 0;
  for (const auto& [key, count] : counts) shown_[key] = count;
  for (const auto& [key, count] : shown_) metrics_.queue.Jobs(key.first, key.second, count);
  for (const auto& [queue, wait] : oldest) metrics_.queue.OldestWait(queue, wait);
  for (const auto& [queue, slots] : allocated) metrics_.queue.AllocatedSlots(queue, slots);
  for (const auto& [id, node] : ledger.nodes) {
    const bool up = node.state == core::NodeState::kUp;
    metrics_.nodes.Up(node.name, up);
    metrics_.nodes.Slots(node.name, up ? node.slots - node.slots_used : 0, node.slots_used);
  }
  metrics_.control.StoreSize(Bytes{static_cast<std::int64_t>(view.store->size_bytes())});
  metrics_.Sweep(MonotonicNow());
}

}  // namespace tutti::coordinator
