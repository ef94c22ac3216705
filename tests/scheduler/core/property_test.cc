// Random inputs, invariants after every fact, and a replay that ends in the same ledger.
#include <random>

#include "scheduler/core/explain.h"
#include "tests/scheduler/core/world.h"

namespace tutti::core {
namespace {

// Workers that do what real ones may: run what they were sent, forget it, report twice, late, of
// attempts long gone, restart, fall silent.
class Chaos {
 public:
  explicit Chaos(std::uint64_t seed) : random_(seed) {}

  World world;

  void Run(int steps) {
    world.Start();
    for (int i = 0; i < steps; ++i) {
      One();
      Carry();
      if (testing::Test::HasFailure()) return;
    }
    EXPECT_TRUE(world.Replayed() == world.ledger);
  }

 private:
  struct Worker {
    bool silent = false;
    std::uint64_t session = 1;
    std::map<JobId, Attempt> gangs;
  };

  std::uint64_t Draw(std::uint64_t below) { return random_() % below; }
  bool Chance(int percent) { return Draw(100) < static_cast<std::uint64_t>(percent); }

  JobId AnyJob() {
    if (world.ledger.jobs.empty() || Chance(3)) return JobId{Draw(1000)};
    auto it = world.ledger.by_sequence.begin();
    std::advance(it, static_cast<std::ptrdiff_t>(Draw(world.ledger.jobs.size())));
    return it->second;
  }
  JobId AnyActive() {
    const auto& active = world.ledger.active;
    if (active.empty() || Chance(30)) return AnyJob();
    return *std::next(active.begin(), static_cast<std::ptrdiff_t>(Draw(active.size())));
  }
  NodeId AnyNode() { return NodeId{1 + Draw(4)}; }
  Attempt AttemptOf(JobId id) {
    const Job* job = FindJob(world.ledger, id);
    const Attempt attempt = job == nullptr ? Attempt{1} : job->attempt;
    return Chance(10) && Number(attempt) > 0 ? Attempt{Number(attempt) - 1} : attempt;
  }
  NodeId NodeOf(JobId id) {
    const Job* job = FindJob(world.ledger, id);
    const Gang* gang = job == nullptr ? nullptr : ActiveGang(*job);
    return gang == nullptr || Chance(5) ? AnyNode() : gang->members[0].node;
  }
  std::vector<GangSeen> Listed(const Worker& worker) {
    std::vector<GangSeen> list;
    for (const auto& [job, attempt] : worker.gangs) list.push_back({job, attempt, false, {}});
    return list;
  }

  void Register(NodeId id) {
    Worker& worker = workers_[id];
    worker.silent = false;
    const bool restarted = Chance(30);
    if (restarted) {
      ++worker.session;
      worker.gangs.clear();
    }
    RegisterNode input;
    input.node = id;
    input.name = "worker-" + std::to_string(id.value());
    input.session = worker.session;
    input.slots = restarted || Chance(5) ? static_cast<std::uint32_t>(1 + Draw(8)) : 4;
    // Two machines have GPUs, and seldom come back with fewer or more of them.
    const std::uint32_t gpus = Chance(5) ? static_cast<std::uint32_t>(Draw(5)) : 2;
    input.gpus = id.value() % 2 == 0 ? gpus : 0;
    input.memory_bytes = std::uint64_t{1} << 34;
    input.numerics_fingerprint = id.value() == 4 ? "other" : "cpu";
    input.gangs = Listed(worker);
    if (world.Send(input)) Carry();
    Beat(id);
  }
  void Beat(NodeId id) {
    const Worker& worker = workers_[id];
    Observe(world.liveness,
            Sighting{WorkerSeen{
                .node = id, .at = {}, .session = worker.session, .gangs = Listed(worker)}},
            world.now);
    (void)world.Send(Heartbeat{id});
  }
  // The network and the workers: most effects arrive.
  void Carry() {
    for (const Effect& effect : world.effects) {
      if (Chance(10)) continue;
      if (const auto* launch = std::get_if<LaunchGang>(&effect)) {
        Attempt& attempt = workers_[launch->node].gangs[launch->job];
        attempt = std::max(attempt, launch->attempt);
      } else if (const auto* stop = std::get_if<StopGang>(&effect)) {
        auto& gangs = workers_[stop->node].gangs;
        const auto found = gangs.find(stop->job);
        if (found == gangs.end() || found->second != stop->attempt) continue;
        if (stop->mode == StopMode::kKill) gangs.erase(found);
      }
    }
    world.effects.clear();
  }
  void SubmitOne() {
    Submit submit;
    submit.job = JobId{Draw(1000)};
    const std::uint32_t shards = 1U << Draw(4);
    submit.request = World::Request(1, shards, shards);
    if (Chance(50)) submit.request.ranks_min = shards;
    submit.request.priority = static_cast<std::int64_t>(Draw(3));
    submit.request.retry_max_attempts = static_cast<std::uint32_t>(1 + Draw(3));
    submit.request.reproducible = Chance(80);
    submit.request.max_duration_ms = Chance(20) ? 1 + Draw(20'000) : 0;
    submit.request.gpus_per_rank = Chance(25) ? static_cast<std::uint32_t>(1 + Draw(2)) : 0;
    submit.request.memory_bytes_per_rank = Chance(20) ? std::uint64_t{1} << 32 : 0;
    submit.held = Chance(10);
    if (Chance(30)) submit.idempotency_key = "k" + std::to_string(Draw(5));
    submit.body_digest = std::to_string(Draw(2));
    (void)world.Send(submit);
  }
  // Trials that are compared at rungs: whole sweeps, and seldom one whose keys are of an earlier
  // one.
  void SubmitTrials() {
    SubmitSweep sweep;
    const auto count = static_cast<std::uint32_t>(3 + Draw(7));
    const std::string name = "s-" + std::to_string(Draw(3));
    for (std::uint32_t i = 0; i < count; ++i) {
      Submit& trial = sweep.trials.emplace_back();
      trial.job = JobId{Draw(1000)};
      trial.request = World::Request(1, 1U << Draw(2));
      trial.request.ranks_min = 1;
      trial.request.trial = {.sweep = name,
                             .sweep_name = {},
                             .number = i + 1,
                             .of = count,
                             .method = Chance(90) ? "asha" : "random",
                             .metric = "accuracy",
                             .maximize = Chance(50)};
      trial.idempotency_key = name + "#" + std::to_string(i);
    }
    (void)world.Send(sweep);
  }
  // Of trials and of others, of attempts that are over, too.
  void Evaluate() {
    const JobId id = AnyActive();
    const double value = static_cast<double>(Draw(100)) / 100;
    (void)world.Send(ReportEval{id, AttemptOf(id), Draw(100), value});
  }
  void EndOne() {
    const JobId id = AnyActive();
    ReportEnded report;
    report.node = NodeOf(id);
    report.job = id;
    report.attempt = AttemptOf(id);
    report.outcome = static_cast<GangOutcome>(Draw(4));
    report.reason = static_cast<spec::FailureReason>(Draw(9));
    report.step = Draw(100);
    const int times = Chance(20) ? 2 : 1;
    workers_[report.node].gangs.erase(id);
    for (int i = 0; i < times; ++i) (void)world.Send(report);
  }
  void Progress() {
    const JobId id = AnyActive();
    Observe(world.liveness,
            Sighting{ProgressSeen{.job = id,
                                  .attempt = AttemptOf(id),
                                  .step = 40 + Draw(60),
                                  .step_ms = static_cast<double>(Draw(300)),
                                  .total_steps = Draw(100)}},
            world.now);
  }
  void Share() {
    static constexpr const char* kNames[] = {"fifo", "fair", "srtf", "none"};
    if (Chance(50)) return (void)world.Send(SetPolicy{kNames[Draw(4)]});
    (void)world.Send(SetQueue{Chance(50) ? "default" : "other",
                              {.weight = static_cast<double>(Draw(4)),
                               .slots = Draw(3),
                               .slots_max = Draw(8),
                               .user_slots = Draw(8),
                               .gpus = Draw(2),
                               .gpus_max = Draw(5),
                               .user_gpus = Draw(5)}});
  }
  void One() {
    switch (Draw(26)) {
      case 0:
      case 1:
        return SubmitOne();
      case 2:
        return Register(AnyNode());
      case 3:
      case 4:
        return EndOne();
      case 5:
        return (void)world.Send(Cancel{AnyJob()});
      case 6:
        return (void)world.Send(Pause{AnyJob()});
      case 7:
        return (void)world.Send(
            Resume{AnyJob(), Chance(50) ? 0U : static_cast<std::uint32_t>(Draw(9))});
      case 18:
        return Share();
      case 8:
        if (Chance(20)) return (void)world.Send(AllowOtherNumerics{AnyJob()});
        return (void)world.Send(SetPriority{AnyJob(), static_cast<std::int64_t>(Draw(4))});
      case 20:
      case 21:
        return Progress();
      case 22:
        return Chance(30) ? SubmitTrials() : Evaluate();
      case 23:
        return Evaluate();
      case 19:
        return (void)world.Send(Resize{AnyJob(), static_cast<std::uint32_t>(Draw(9))});
      case 9:
        return (void)world.Send(ReleaseHold{AnyJob()});
      case 10: {
        const JobId id = AnyActive();
        return (void)world.Send(ReportStarted{NodeOf(id), id, AttemptOf(id), Draw(50)});
      }
      case 11: {
        const JobId id = AnyJob();
        return (void)world.Send(
            ReportCheckpoint{NodeOf(id), id, AttemptOf(id), Draw(100), "p", "d", 1});
      }
      case 12: {
        InspectFinished input;
        input.job = AnyJob();
        input.outcome = static_cast<InspectOutcome>(Chance(60) ? 0U : Draw(3));
        input.estimate.memory_bytes_per_rank = Draw(4) << 31;
        input.estimate.total_steps = Draw(100);
        input.estimate.duration_ms = Draw(20'000);
        return (void)world.Send(input);
      }
      case 13: {
        if (Chance(10)) return (void)world.Send(Goodbye{AnyNode()});
        if (Chance(10)) return (void)world.Send(DrainAll{});
        if (Chance(20)) return (void)world.Send(DrainNode{AnyNode(), Chance(50)});
        workers_[AnyNode()].silent = Chance(20);
        return;
      }
      default: {
        world.Pass(milliseconds(Chance(5) ? 61'000 : Draw(1500)));
        for (auto& [id, worker] : workers_) {
          if (!worker.silent) Beat(id);
        }
        world.Tick();
        (void)ExplainQueue({world.ledger, world.liveness, DefaultPolicy()}, 100);
      }
    }
  }

  std::mt19937_64 random_;
  std::map<NodeId, Worker> workers_;
};

TEST(Property, InvariantsHoldAfterEveryFactAndReplayEqualsTheLedger) {
  std::size_t facts = 0;
  std::size_t learned = 0;  // runs of which a job's end taught something
  std::map<std::size_t, std::size_t> kinds;
  for (std::uint64_t seed = 1; seed <= 3000; ++seed) {
    SCOPED_TRACE("seed " + std::to_string(seed));
    Chaos chaos(seed);
    chaos.Run(120);
    facts += chaos.world.facts.size();
    for (const Fact& fact : chaos.world.facts) ++kinds[fact.index()];
    learned += chaos.world.ledger.learned.launch.jobs > 0 ? 1 : 0;
    ASSERT_FALSE(HasFailure());
  }
  // The runs reached everything but the archive, which needs 10,000 finished jobs.
  EXPECT_EQ(kinds.size(), std::variant_size_v<Fact> - 1);
  EXPECT_GT(facts, 10'000U);
  EXPECT_GT(learned, 20U);
}

TEST(Property, OldFinishedJobsAreArchived) {
  World world;
  world.check = false;
  for (std::uint64_t i = 1; i <= kFinishedJobsMax + 150; ++i) {
    world.AddJob(i, World::Request(1, 1));
    ASSERT_TRUE(world.Send(Cancel{JobId{i}}));
  }
  world.Tick();
  world.Tick();
  EXPECT_EQ(world.ledger.jobs.size(), kFinishedJobsMax);
  EXPECT_EQ(FindJob(world.ledger, JobId{150}), nullptr);
  EXPECT_NE(FindJob(world.ledger, JobId{151}), nullptr);
  EXPECT_EQ(SanityCheck(world.ledger), "");
}

}  // namespace
}  // namespace tutti::core
