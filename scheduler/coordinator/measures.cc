#include "scheduler/coordinator/measures.h"

#include <algorithm>
#include <array>
#include <filesystem>
#include <string>
#include <string_view>
#include <system_error>

#include "scheduler/core/explain.h"

namespace tutti::coordinator {
namespace {

using spec::FailureReason;
constexpr std::array kFailures = {
    FailureReason::kCrash,   FailureReason::kOom,      FailureReason::kData,
    FailureReason::kNumeric, FailureReason::kHang,     FailureReason::kWorkerLost,
    FailureReason::kTimeout, FailureReason::kDiskFull, FailureReason::kInternal};
static_assert(kFailures.size() == static_cast<std::size_t>(FailureReason::kInternal) + 1);

Duration Between(WallTime from, WallTime to) {
  return std::chrono::milliseconds(std::max<std::int64_t>(0, to.unix_ms - from.unix_ms));
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
    metrics.jobs.Submitted(f.request.task, f.request.method);
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
  void operator()(const core::RungReached&) const {}
  void operator()(const core::JobResumed&) const {}
  void operator()(const core::JobResized&) const {}
  void operator()(const core::HoldReleased&) const {}
  void operator()(const core::JobPriorityChanged&) const {}
  void operator()(const core::OtherNumericsAllowed&) const {}
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
    const core::Node* node = core::FindNode(ledger, id);
    if (node == nullptr) return;
    if (node->state == core::NodeState::kLeft) {
      metrics.nodes.Forget(node->name);
    } else {
      metrics.nodes.Up(node->name, false);
    }
  }
};

void Measures::Finished(const core::Job& job, std::string_view status, std::string_view reason) {
  metrics_.jobs.Finished(job.request.task, status, reason);
  if (training_.erase(job.id) > 0) metrics_.training.Ranks(job.id, 0);
  metrics_.JobEnded(job.id, MonotonicNow());
  placed_.erase(job.id);
  failed_.erase(job.id);
}

void Measures::OnStored(const Stored& stored) {
  const Counter counter{*this, stored.view.state->ledger, metrics_, MonotonicNow()};
  for (const core::Fact& fact : stored.facts) std::visit(counter, fact);
  calibration_.OnStored(stored.facts, *stored.view.state, counter.now);
}

// Slots a queue's gangs may hold together: its limit, and no more than there are.
void Measures::RefreshQueues(const core::Ledger& ledger) {
  const WallTime now = WallNow();
  std::map<std::pair<std::string, std::string>, std::int64_t> counts;
  std::map<std::string, Duration> oldest;
  std::map<std::string, std::int64_t> allocated = {{"default", 0}};
  for (const auto& [name, config] : ledger.sharing.queues) allocated.try_emplace(name, 0);
  for (const auto& [sequence, id] : ledger.by_sequence) {
    const core::Job& job = ledger.jobs.at(id);
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
  std::uint64_t slots = 0;
  for (const auto& [id, node] : ledger.nodes) slots += core::IsOpen(node) ? node.slots : 0;
  for (const auto& [queue, used] : allocated) {
    const std::uint64_t limit = core::ConfigOf(ledger.sharing, queue).slots_max;
    metrics_.queue.AllocatedSlots(queue, used);
    metrics_.queue.QuotaSlots(
        queue, static_cast<std::int64_t>(limit == 0 ? slots : std::min(limit, slots)));
  }
}

void Measures::RefreshNodes(const core::Ledger& ledger) {
  std::error_code ignored;
  for (const auto& [id, node] : ledger.nodes) {
    const bool up = node.state == core::NodeState::kUp;
    const bool removed = node.state == core::NodeState::kLost &&
                         !std::filesystem::exists(allowed_dir_ / (node.name + ".pub"), ignored);
    if (removed || node.state == core::NodeState::kLeft) {
      metrics_.nodes.Forget(node.name);
      continue;
    }
    metrics_.nodes.Up(node.name, up);
    metrics_.nodes.Slots(node.name, up ? node.slots - node.slots_used : 0, node.slots_used);
    if (node.disk_bytes > 0) {
      metrics_.nodes.DiskSize(node.name, Bytes{static_cast<std::int64_t>(node.disk_bytes)});
    }
  }
}

void Measures::RefreshRanks(const core::Ledger& ledger) {
  std::set<JobId> training;
  for (const JobId id : ledger.active) {
    if (const auto* running = std::get_if<core::Running>(&ledger.jobs.at(id).phase)) {
      metrics_.training.Ranks(id, running->gang.size);
      training.insert(id);
    }
  }
  for (const JobId id : training_) {
    if (!training.contains(id)) metrics_.training.Ranks(id, 0);
  }
  training_ = std::move(training);
}

void Measures::ExpectOutcomes(const core::Ledger& ledger) {
  if (tasks_.empty()) {
    for (const auto reason : kFailures) metrics_.jobs.ExpectRestarted(spec::ToString(reason));
  }
  for (const auto& [sequence, id] : ledger.by_sequence) {
    const std::string& task = ledger.jobs.at(id).request.task;
    if (!tasks_.insert(task).second) continue;
    for (const char* status : {"succeeded", "cancelled"}) {
      metrics_.jobs.ExpectFinished(task, status, "");
    }
    for (const auto reason : kFailures) {
      metrics_.jobs.ExpectFinished(task, "failed", spec::ToString(reason));
    }
  }
}

void Measures::Refresh(const View& view) {
  const core::Ledger& ledger = view.state->ledger;
  RefreshQueues(ledger);
  RefreshNodes(ledger);
  RefreshRanks(ledger);
  ExpectOutcomes(ledger);
  metrics_.control.StoreSize(Bytes{static_cast<std::int64_t>(view.store->size_bytes())});
  metrics_.control.ReadOnly(view.read_only);
  const core::Liveness& seen = view.state->liveness;
  if (seen.store_disk_bytes > 0) {
    metrics_.control.StoreDisk(Bytes{static_cast<std::int64_t>(seen.store_disk_free_bytes)},
                               Bytes{static_cast<std::int64_t>(seen.store_disk_bytes)});
  }
  metrics_.Sweep(MonotonicNow());
}

}  // namespace tutti::coordinator
