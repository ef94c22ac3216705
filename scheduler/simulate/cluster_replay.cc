#include "scheduler/simulate/cluster_replay.h"

#include <algorithm>
#include <bit>
#include <chrono>
#include <cmath>
#include <functional>
#include <numeric>
#include <queue>
#include <set>
#include <utility>

#include "common/base/check.h"
#include "scheduler/core/step.h"
#include "scheduler/core/throughput.h"
#include "scheduler/core/timing.h"
#include "scheduler/simulate/machine_reports.h"
#include "scheduler/simulate/replay.h"

namespace tutti::simulate {
namespace {

using namespace std::chrono_literals;

constexpr std::uint64_t kReplaySession = 1;
constexpr Duration kHeardEvery = core::kLaunchHeardWithin;  // or launches wait for it
// While jobs wait, what time alone brings (a gang that may be stopped now) is looked at so often.
constexpr Duration kLookEvery = 30s;
constexpr int kTicksOfInstantMax = 64;  // at one instant

Duration Milliseconds(double ms) {
  return std::chrono::duration_cast<Duration>(std::chrono::duration<double, std::milli>(ms));
}

class ClusterRun {
 public:
  explicit ClusterRun(const ClusterWorkload& workload)
      : workload_(workload), policy_(core::FindPolicy(workload.policy)) {}

  Result<ClusterFigures> ToTheEnd() {
    if (policy_ == nullptr) {
      return Fail(ErrorCode::kInvalid, "there is no policy '" + workload_.policy + "'", "--policy");
    }
    TUTTI_RETURN_IF_ERROR(SetUp());
    while (next_ < workload_.jobs.size() || !ends_.empty() || !ledger_.queued.empty()) {
      if (!Advance()) break;
      SubmitDue();
      EndDue();
      Decide();
    }
    TUTTI_CHECK(ledger_.active.empty(), "a job was placed and never ended");
    return Figures();
  }

 private:
  struct Running {
    Attempt attempt{};
    Instant since;
    double step_ms = 0;
    std::uint64_t from_step = 0;
    std::uint32_t slots = 0;
  };
  struct End {
    Instant at;
    JobId job;
    Attempt attempt{};
    bool operator>(const End& other) const {
      return at != other.at ? at > other.at : job > other.job;
    }
  };

  static JobId JobOf(std::size_t index) { return JobId{index + 1}; }
  const WorkloadJob& Of(JobId id) const { return workload_.jobs[id.value() - 1]; }

  Status SetUp() {
    Send(core::CoordinatorStart{});
    // Parents before those that are parts of them.
    std::set<std::string> made;
    for (std::size_t round = 0; round <= core::kQueueDepthMax; ++round) {
      for (const auto& [name, config] : workload_.queues) {
        if (made.contains(name) || (!config.parent.empty() && !made.contains(config.parent)))
          continue;
        TUTTI_RETURN_IF_ERROR(TrySend(core::SetQueue{name, config}));
        made.insert(name);
      }
    }
    for (std::size_t i = 0; i < workload_.nodes.size(); ++i) {
      const WorkloadNode& node = workload_.nodes[i];
      core::RegisterNode input;
      input.node = NodeId{i + 1};
      input.name = node.name;
      input.session = kReplaySession;
      input.slots = input.cores = node.slots;
      input.gpus = node.gpus;
      input.memory_bytes = node.memory_bytes;
      input.numerics_fingerprint = node.numerics;
      input.labels = node.labels;
      TUTTI_RETURN_IF_ERROR(TrySend(std::move(input)));
      changed_.insert(NodeId{i + 1});
      slots_ += node.slots;
    }
    Beat();
    return {};
  }

  // To the next instant at which something happens; false: nothing ever will.
  bool Advance() {
    Instant next{Duration::max()};
    if (next_ < workload_.jobs.size()) {
      next = Instant{std::chrono::milliseconds(workload_.jobs[next_].submitted_ms)};
    }
    if (!ends_.empty()) next = std::min(next, ends_.top().at);
    if (!ledger_.queued.empty() && !ends_.empty()) next = std::min(next, now_ + kLookEvery);
    if (next.since_start == Duration::max()) return false;
    now_ = std::max(now_, next);
    return true;
  }

  void SubmitDue() {
    for (; next_ < workload_.jobs.size(); ++next_) {
      const WorkloadJob& job = workload_.jobs[next_];
      if (Instant{std::chrono::milliseconds(job.submitted_ms)} > now_) return;
      core::Submit submit;
      submit.job = JobOf(next_);
      submit.request = job.request;
      if (!TrySend(std::move(submit))) continue;  // these workers could never hold it
      core::InspectFinished inspected;
      inspected.job = JobOf(next_);
      inspected.outcome = core::InspectOutcome::kAdmitted;
      inspected.estimate.total_steps = job.steps;
      inspected.estimate.memory_bytes_per_rank = job.request.memory_bytes_per_rank;
      inspected.estimate.duration_ms = static_cast<std::uint64_t>(
          static_cast<double>(job.steps) * StepMs(job, job.request.ranks_min));
      Send(std::move(inspected));
    }
  }

  void EndDue() {
    while (!ends_.empty() && ends_.top().at <= now_) {
      const End end = ends_.top();
      ends_.pop();
      const auto running = running_.find(end.job);
      if (running != running_.end() && running->second.attempt == end.attempt) {
        Finish(end.job, core::GangOutcome::kSucceeded);
      }
    }
  }

  void Decide() {
    if (now_ - beaten_ >= kHeardEvery) Beat();
    for (int i = 0; i < kTicksOfInstantMax; ++i) {
      const std::uint64_t before = ledger_.facts_applied;
      const auto started = std::chrono::steady_clock::now();
      Send(core::Tick{});
      decision_ms_.push_back(
          std::chrono::duration<double, std::milli>(std::chrono::steady_clock::now() - started)
              .count());
      if (ledger_.facts_applied == before) return;
    }
  }

  static double StepMs(const WorkloadJob& job, std::uint32_t ranks) {
    return core::ScaledStepMs({job.measured_ranks, job.step_ms}, ranks);
  }

  std::uint64_t StepNow(JobId id) const {
    const Running& running = running_.at(id);
    const double done = std::chrono::duration<double, std::milli>(now_ - running.since).count();
    const auto steps = static_cast<std::uint64_t>(done / running.step_ms);
    return std::min(running.from_step + steps, Of(id).steps);
  }

  void Finish(JobId id, core::GangOutcome outcome) {
    const std::uint64_t step =
        outcome == core::GangOutcome::kSucceeded ? Of(id).steps : StepNow(id);
    slot_hours_ +=
        std::chrono::duration<double, std::ratio<3600>>(now_ - running_.at(id).since).count() *
        running_.at(id).slots;
    running_.erase(id);
    const core::Job& job = ledger_.jobs.at(id);
    NoteChange(*core::ActiveGang(job));
    core::ReportEnded ended = EndOf(job, outcome, step);
    if (outcome == core::GangOutcome::kReleased && step > 0) Send(CheckpointOf(job, step));
    Send(std::move(ended));
    if (outcome == core::GangOutcome::kReleased) {
      ++preemptions_;
      return;
    }
    const Instant submitted{std::chrono::milliseconds(Of(id).submitted_ms)};
    jct_hours_.push_back(std::chrono::duration<double, std::ratio<3600>>(now_ - submitted).count());
  }

  void NoteChange(const core::Gang& gang) {
    for (const core::GangMember& member : gang.members) changed_.insert(member.node);
  }

  void Beat() {
    beaten_ = now_;
    for (const auto& [id, node] : ledger_.nodes) {
      if (changed_.contains(id)) {
        core::Observe(liveness_, core::Sighting{SeenAsIs(ledger_, node, kReplaySession)}, now_);
      } else {
        core::Observe(liveness_, core::Sighting{core::WorkerHeard{id}}, now_);
      }
    }
    changed_.clear();
  }

  // ---- effects: gangs start at once and leave when they are asked to ----

  void Perform(const core::LaunchGang& launch) {
    const core::Job& job = ledger_.jobs.at(launch.job);
    if (!std::holds_alternative<core::Starting>(job.phase) || job.attempt != launch.attempt) return;
    const core::Gang& gang = *core::ActiveGang(job);
    NoteChange(gang);
    const double step_ms = StepMs(Of(launch.job), gang.size);
    const std::uint64_t from = job.checkpoints.empty() ? 0 : job.checkpoints.back().step;
    running_[launch.job] = {launch.attempt, now_, step_ms, from,
                            static_cast<std::uint32_t>(core::AmountOf(job, gang).slots)};
    const auto left = static_cast<double>(Of(launch.job).steps - from);
    ends_.push({now_ + Milliseconds(left * step_ms), launch.job, launch.attempt});
    if (Number(launch.attempt) == 1) {
      const Instant submitted{std::chrono::milliseconds(Of(launch.job).submitted_ms)};
      wait_hours_ += std::chrono::duration<double, std::ratio<3600>>(now_ - submitted).count();
      ++started_;
    }
    Send(core::ReportStarted{gang.members.front().node, launch.job, launch.attempt, from});
  }
  void Perform(const core::StopGang& stop) {
    const auto running = running_.find(stop.job);
    if (running != running_.end() && running->second.attempt == stop.attempt) {
      Finish(stop.job, core::GangOutcome::kReleased);
    }
  }
  template <typename Other>
  void Perform(const Other&) {}

  template <typename Body>
  void Send(Body body) {
    const Status sent = TrySend(std::move(body));
    TUTTI_CHECK(sent.has_value(), sent.error().ToString());
  }
  template <typename Body>
  Status TrySend(Body body) {
    TUTTI_ASSIGN_OR_RETURN(core::Outcome outcome, core::Step({ledger_, liveness_, *policy_},
                                                             {WallTime{}, std::move(body)}, now_));
    for (const core::Fact& fact : outcome.facts) core::Apply(ledger_, fact);
    for (const core::Sighting& each : outcome.sightings) core::Observe(liveness_, each, now_);
    for (const core::Effect& each : outcome.effects) core::Observe(liveness_, each, now_);
    for (const core::Effect& each : outcome.effects) {
      std::visit([&](const auto& effect) { Perform(effect); }, each);
    }
    return {};
  }

  ClusterFigures Figures() {
    const double hours = std::chrono::duration<double, std::ratio<3600>>(now_.since_start).count();
    const auto done = static_cast<double>(std::max<std::size_t>(jct_hours_.size(), 1));
    return {.policy = workload_.policy,
            .workers = workload_.nodes.size(),
            .jobs = jct_hours_.size(),
            .left_out = workload_.jobs.size() - jct_hours_.size(),
            .avg_wait_hours = wait_hours_ / static_cast<double>(std::max<std::size_t>(started_, 1)),
            .avg_jct_hours = std::accumulate(jct_hours_.begin(), jct_hours_.end(), 0.0) / done,
            .p50_jct_hours = Percentile(jct_hours_, 0.5),
            .p99_jct_hours = Percentile(jct_hours_, 0.99),
            .makespan_hours = hours,
            .utilization =
                hours > 0 && slots_ > 0 ? slot_hours_ / (hours * static_cast<double>(slots_)) : 0,
            .decision_ms_p99 = Percentile(decision_ms_, 0.99),
            .preemptions = preemptions_};
  }

  const ClusterWorkload& workload_;
  const core::Policy* policy_;
  core::Ledger ledger_;
  core::Liveness liveness_;
  Instant now_;
  Instant beaten_;
  std::set<NodeId> changed_;  // their gangs, since
  std::size_t next_ = 0;      // job to submit
  std::map<JobId, Running> running_;
  std::priority_queue<End, std::vector<End>, std::greater<>> ends_;
  std::uint64_t slots_ = 0;
  std::size_t started_ = 0;
  double wait_hours_ = 0;
  double slot_hours_ = 0;
  std::uint64_t preemptions_ = 0;
  std::vector<double> jct_hours_;
  std::vector<double> decision_ms_;
};

}  // namespace

Result<ClusterFigures> ReplayCluster(const ClusterWorkload& workload) {
  return ClusterRun(workload).ToTheEnd();
}

nlohmann::ordered_json JsonOf(const ClusterFigures& f) {
  return {{"policy", f.policy},
          {"workers", f.workers},
          {"jobs", f.jobs},
          {"left_out", f.left_out},
          {"avg_wait_hours", f.avg_wait_hours},
          {"avg_jct_hours", f.avg_jct_hours},
          {"p50_jct_hours", f.p50_jct_hours},
          {"p99_jct_hours", f.p99_jct_hours},
          {"makespan_hours", f.makespan_hours},
          {"utilization", f.utilization},
          {"preemptions", f.preemptions},
          {"decision_ms_p99", f.decision_ms_p99}};
}

ClusterWorkload WithWorkers(ClusterWorkload workload, std::uint32_t more) {
  if (workload.nodes.empty()) return workload;
  const WorkloadNode like = *std::max_element(
      workload.nodes.begin(), workload.nodes.end(),
      [](const WorkloadNode& a, const WorkloadNode& b) { return a.slots < b.slots; });
  for (std::uint32_t i = 0; i < more; ++i) {
    workload.nodes.push_back(like);
    workload.nodes.back().name = "added-" + std::to_string(i + 1);
  }
  return workload;
}

}  // namespace tutti::simulate
