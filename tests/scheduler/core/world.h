// A scheduler in a bottle: ledger, liveness and a clock that tests move by hand; keeps the facts
// and the effects of the last Step. One thread.
#pragma once

#include <gtest/gtest.h>

#include <chrono>
#include <string>
#include <vector>

#include "scheduler/core/invariants.h"
#include "scheduler/core/rebuild.h"
#include "scheduler/core/step.h"

namespace tutti::core {

using std::chrono::milliseconds;

class World {
 public:
  Ledger ledger;
  Liveness liveness;
  Instant now{std::chrono::hours(1)};
  std::vector<Fact> facts;      // of all Steps
  std::vector<Fact> new_facts;  // of the last Step
  std::vector<Effect> effects;  // likewise

  Result<Reply> Send(decltype(Input::body) body) {
    new_facts.clear();
    effects.clear();
    const State state{ledger, liveness, DefaultPolicy()};
    auto outcome = Step(state, Input{WallTime{1}, std::move(body)}, now);
    if (!outcome) return Unexpected(outcome.error());
    for (const Fact& fact : outcome->facts) {
      const Ledger before = check ? ledger : Ledger{};
      Apply(ledger, fact);
      if (check) {
        EXPECT_EQ(SanityCheck(ledger), "");
        EXPECT_EQ(TransitionCheck(before, ledger), "");
      }
      facts.push_back(fact);
    }
    for (const Sighting& sighting : outcome->sightings) Observe(liveness, sighting, now);
    for (const Effect& effect : outcome->effects) Observe(liveness, effect, now);
    new_facts = outcome->facts;
    effects = outcome->effects;
    return outcome->reply;
  }

  void Start() { EXPECT_TRUE(Send(CoordinatorStart{})); }
  void Tick() { EXPECT_TRUE(Send(core::Tick{})); }
  void Pass(Duration time) { now = now + time; }

  NodeId AddNode(std::uint64_t bits, std::uint32_t slots, std::string fingerprint = "cpu",
                 std::uint64_t disk_bytes = 0, std::uint32_t gpus = 0) {
    const NodeId id{bits};
    EXPECT_TRUE(Send(RegisterNode{.node = id,
                                  .name = "worker-" + std::to_string(bits),
                                  .session = 7,
                                  .version = "1",
                                  .slots = slots,
                                  .cores = slots,
                                  .memory_bytes = std::uint64_t{64} << 30,
                                  .disk_bytes = disk_bytes,
                                  .cpu_model = "",
                                  .numerics_fingerprint = std::move(fingerprint),
                                  .gangs = {},
                                  .gpus = gpus}));
    Beat(id);
    return id;
  }
  NodeId AddGpuNode(std::uint64_t bits, std::uint32_t slots, std::uint32_t gpus) {
    return AddNode(bits, slots, "cpu", 0, gpus);
  }

  // A heartbeat with these gangs.
  void Beat(NodeId node, std::vector<GangSeen> gangs = {}, std::uint64_t session = 7) {
    Observe(
        liveness,
        Sighting{WorkerSeen{.node = node, .at = {}, .session = session, .gangs = std::move(gangs)}},
        now);
    EXPECT_TRUE(Send(Heartbeat{node}));
  }

  static JobRequest Request(std::uint32_t min, std::uint32_t max, std::uint32_t shards = 8) {
    JobRequest request;
    request.name = "job";
    request.task = "text-classification";
    request.ranks_min = min;
    request.ranks_max = max;
    request.shards = shards;
    request.retry_on = {spec::FailureReason::kCrash, spec::FailureReason::kWorkerLost,
                        spec::FailureReason::kHang};
    return request;
  }

  static JobRequest GpuRequest(std::uint32_t min, std::uint32_t max, std::uint32_t gpus_per_rank) {
    JobRequest request = Request(min, max);
    request.gpus_per_rank = gpus_per_rank;
    return request;
  }

  JobId AddJob(std::uint64_t bits, JobRequest request) {
    EXPECT_TRUE(Send(Submit{.job = JobId{bits},
                            .request = std::move(request),
                            .spec_json = "{}",
                            .idempotency_key = "",
                            .body_digest = "",
                            .held = false}));
    return JobId{bits};
  }
  // Submitted and past inspect.
  JobId AddQueued(std::uint64_t bits, JobRequest request) {
    const JobId id = AddJob(bits, std::move(request));
    EXPECT_TRUE(Send(InspectFinished{.job = id,
                                     .outcome = InspectOutcome::kAdmitted,
                                     .estimate = {},
                                     .message = "",
                                     .where = ""}));
    return id;
  }
  const Job& At(JobId id) const { return ledger.jobs.at(id); }
  const Gang& GangOf(JobId id) const { return *ActiveGang(At(id)); }
  // Every node is heard and lists what it holds.
  void BeatAll() {
    for (const auto& [id, node] : ledger.nodes) {
      std::vector<GangSeen> gangs;
      for (const JobId job : node.gangs) gangs.push_back(Seen(job));
      Beat(id, std::move(gangs));
    }
  }
  // Time passes so.
  void Live(Duration time) {
    constexpr Duration kEvery = std::chrono::seconds(1);
    for (Duration passed{}; passed < time; passed += kEvery) {
      Pass(kEvery);
      BeatAll();
      Tick();
    }
  }

  GangSeen Seen(JobId id) const { return {id, At(id).attempt, false, {}}; }
  void Started(JobId id) {
    EXPECT_TRUE(Send(ReportStarted{GangOf(id).members[0].node, id, At(id).attempt, 0}));
  }
  ReportEnded Ended(JobId id, GangOutcome outcome) const {
    ReportEnded report;
    report.node = GangOf(id).members[0].node;
    report.job = id;
    report.attempt = At(id).attempt;
    report.outcome = outcome;
    return report;
  }
  void Checkpoint(JobId id, std::uint64_t step) {
    EXPECT_TRUE(Send(ReportCheckpoint{GangOf(id).members[0].node, id, At(id).attempt, step,
                                      "p" + std::to_string(step), "sha256:", 1}));
  }

  Ledger Replayed() const {
    Ledger copy;
    for (const Fact& fact : facts) Apply(copy, fact);
    return copy;
  }

  bool check = true;
};

}  // namespace tutti::core
