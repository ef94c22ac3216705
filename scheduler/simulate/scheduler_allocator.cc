#include "scheduler/simulate/scheduler_allocator.h"

#include <bit>
#include <map>
#include <set>
#include <utility>

#include "common/base/check.h"
#include "scheduler/core/step.h"
#include "scheduler/core/throughput.h"
#include "scheduler/simulate/machine_reports.h"

namespace tutti::simulate {
namespace {

constexpr std::uint64_t kSession = 1;
constexpr int kTicksOfRoundMax = 64;  // a round: stops end within it, and their slots are given on

class SchedulerAllocator : public Allocator {
 public:
  SchedulerAllocator(const core::Policy& policy, const Cluster& cluster)
      : policy_(policy), cluster_(cluster) {
    Send(core::CoordinatorStart{});
    for (std::uint32_t i = 0; i < cluster.machines; ++i) {
      core::RegisterNode input;
      input.node = NodeOf(i);
      input.name = "machine-" + std::to_string(i);
      input.session = kSession;
      input.slots = input.cores = cluster.slots;
      input.memory_bytes = std::uint64_t{1} << 40;
      input.numerics_fingerprint = "recorded";
      Send(std::move(input));
      nodes_.push_back(NodeOf(i));
    }
  }

  Result<Allocations> Allocate(const Round& round) override {
    now_ = Instant{std::chrono::seconds(round.now_seconds)};
    std::set<JobId> here;
    trainings_.clear();
    for (const auto& [index, job] : round.jobs) {
      here.insert(JobOf(index));
      trainings_[JobOf(index)] = job;
      if (core::FindJob(ledger_, JobOf(index)) == nullptr)
        TUTTI_RETURN_IF_ERROR(Submit(index, *job));
    }
    const std::set<JobId> active = ledger_.active;
    for (const JobId id : active) {
      if (!here.contains(id)) End(id, core::GangOutcome::kSucceeded);
    }
    Beat();
    for (int i = 0; i < kTicksOfRoundMax; ++i) {
      const std::uint64_t before = ledger_.facts_applied;
      Send(core::Tick{});
      if (ledger_.facts_applied == before) break;
      Beat();
    }
    Allocations allocations;
    for (const JobId id : ledger_.active) {
      auto& machines = allocations[id.value() - 1];
      for (const core::GangMember& member : core::ActiveGang(ledger_.jobs.at(id))->members) {
        machines.insert(machines.end(), member.ranks,
                        static_cast<std::uint32_t>(member.node.value() - 1));
      }
    }
    return allocations;
  }

 private:
  static NodeId NodeOf(std::uint32_t machine) { return NodeId{std::uint64_t{machine} + 1}; }
  static JobId JobOf(std::size_t index) { return JobId{index + 1}; }

  // What was to be sent: a gang starts at once and leaves as soon as it is asked to.
  void Perform(const core::LaunchGang& launch) {
    const core::Job& job = ledger_.jobs.at(launch.job);
    if (std::holds_alternative<core::Starting>(job.phase)) {
      Send(core::ReportStarted{launch.node, launch.job, launch.attempt, 0});
    }
  }
  void Perform(const core::StopGang& stop) {
    const core::Job* job = core::FindJob(ledger_, stop.job);
    const core::Gang* gang = job == nullptr ? nullptr : core::ActiveGang(*job);
    if (gang != nullptr && gang->attempt == stop.attempt)
      End(stop.job, core::GangOutcome::kReleased);
  }
  template <typename Other>
  void Perform(const Other&) {}

  Status Submit(std::size_t index, const Training& training) {
    core::JobRequest request;
    request.name = training.job().name;
    request.task = training.job().application->name();
    const std::uint32_t ranks = std::bit_floor(training.job().ranks);
    request.ranks_min = request.ranks_max = ranks;
    request.shards = request.ranks_max;
    core::Submit input{.job = JobOf(index),
                       .request = std::move(request),
                       .spec_json = "{}",
                       .idempotency_key = {},
                       .body_digest = {}};
    TUTTI_RETURN_IF_ERROR(TrySend(std::move(input)));
    core::InspectFinished inspected;
    inspected.job = JobOf(index);
    inspected.outcome = core::InspectOutcome::kAdmitted;
    // The size of the work is known as an inspection knows it: on the machines it asked for.
    const Application& app = *training.job().application;
    inspected.estimate.total_steps = static_cast<std::uint64_t>(app.ProgressAt(app.epochs()));
    if (const auto alone = SecondsAlone(training.job(), Packed(ranks, cluster_))) {
      inspected.estimate.duration_ms = static_cast<std::uint64_t>(*alone) * 1000;
    }
    return TrySend(std::move(inspected));
  }

  void End(JobId id, core::GangOutcome outcome) {
    const auto training = trainings_.find(id);
    const auto step =
        training == trainings_.end() ? 0 : static_cast<std::uint64_t>(training->second->progress());
    const core::Job& job = ledger_.jobs.at(id);
    core::ReportEnded ended = EndOf(job, outcome, step);
    if (step > 0) Send(CheckpointOf(job, step));
    Send(std::move(ended));
  }

  void Beat() {
    for (const NodeId id : nodes_) {
      core::Observe(liveness_, core::Sighting{SeenAsIs(ledger_, ledger_.nodes.at(id), kSession)},
                    now_);
    }
    for (const JobId id : ledger_.active) {
      const auto training = trainings_.find(id);
      if (training == trainings_.end() || training->second->speed() <= 0) continue;
      core::Observe(liveness_,
                    core::Sighting{core::ProgressSeen{
                        .job = id,
                        .attempt = ledger_.jobs.at(id).attempt,
                        .step = static_cast<std::uint64_t>(training->second->progress()),
                        .step_ms = 1000 / training->second->speed(),
                        .total_steps = ledger_.jobs.at(id).estimate->total_steps,
                        .ending = core::EndingOf(ledger_.learned)}},
                    now_);
    }
  }

  template <typename Body>
  void Send(Body body) {
    const Status sent = TrySend(std::move(body));
    TUTTI_CHECK(sent.has_value(), sent.error().ToString());
  }
  template <typename Body>
  Status TrySend(Body body) {
    TUTTI_ASSIGN_OR_RETURN(core::Outcome outcome, core::Step({ledger_, liveness_, policy_},
                                                             {WallTime{}, std::move(body)}, now_));
    for (const core::Fact& fact : outcome.facts) core::Apply(ledger_, fact);
    for (const core::Sighting& sighting : outcome.sightings)
      core::Observe(liveness_, sighting, now_);
    for (const core::Effect& effect : outcome.effects) core::Observe(liveness_, effect, now_);
    for (const core::Effect& effect : outcome.effects) {
      std::visit([&](const auto& each) { Perform(each); }, effect);
    }
    return {};
  }

  const core::Policy& policy_;
  const Cluster cluster_;
  std::map<JobId, const Training*> trainings_;  // of this round
  core::Ledger ledger_;
  core::Liveness liveness_;
  Instant now_;
  std::vector<NodeId> nodes_;
};

}  // namespace

std::unique_ptr<Allocator> MakeSchedulerAllocator(const core::Policy& policy,
                                                  const Cluster& cluster) {
  return std::make_unique<SchedulerAllocator>(policy, cluster);
}

}  // namespace tutti::simulate
