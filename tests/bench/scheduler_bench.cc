// The scheduler at its largest: a pass over 100,000 pending jobs on 10,000 machines, the cost of an
// event with few and with many pending jobs, and a day of 50,000 jobs replayed.
//
//   scheduler_bench pass | gpus | full | events PENDING | replay      one line: milliseconds,
//   microseconds, seconds
#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <string>
#include <utility>
#include <vector>

#include "common/base/check.h"
#include "scheduler/core/step.h"
#include "scheduler/simulate/cluster_replay.h"

namespace tutti {
namespace {

using Clock = std::chrono::steady_clock;
using core::JobRequest;

double Seconds(Clock::time_point since) {
  return std::chrono::duration<double>(Clock::now() - since).count();
}

class Cluster {
 public:
  Cluster() { Send(core::CoordinatorStart{}); }

  template <typename Body>
  void Send(Body body) {
    auto outcome =
        core::Step({ledger, liveness, core::DefaultPolicy()}, {WallTime{}, std::move(body)}, now);
    TUTTI_CHECK(outcome.has_value(), outcome.error().ToString());
    for (const core::Fact& fact : outcome->facts) core::Apply(ledger, fact);
    for (const core::Sighting& each : outcome->sightings) core::Observe(liveness, each, now);
    for (const core::Effect& each : outcome->effects) core::Observe(liveness, each, now);
    facts += outcome->facts.size();
  }

  // Every second node has so many GPUs.
  void AddNodes(std::uint64_t count, std::uint32_t slots, std::uint32_t gpus = 0) {
    for (std::uint64_t i = 1; i <= count; ++i) {
      core::RegisterNode node;
      node.node = NodeId{i};
      node.name = "w" + std::to_string(i);
      node.session = 1;
      node.slots = node.cores = slots;
      node.gpus = i % 2 == 0 ? gpus : 0;
      node.memory_bytes = std::uint64_t{256} << 30;
      node.numerics_fingerprint = "cpu";
      Send(std::move(node));
      core::WorkerSeen seen;
      seen.node = NodeId{i};
      seen.session = 1;
      core::Observe(liveness, core::Sighting{std::move(seen)}, now);
    }
  }

  JobId AddJob(std::uint32_t ranks, std::uint64_t user, std::uint32_t gpus_per_rank = 0) {
    core::Submit submit;
    submit.job = JobId{++jobs};
    submit.request.name = "job";
    submit.request.user = "user-" + std::to_string(user);
    submit.request.ranks_min = submit.request.ranks_max = submit.request.shards = ranks;
    submit.request.gpus_per_rank = gpus_per_rank;
    submit.request.memory_bytes_per_rank = std::uint64_t{1} << 30;
    Send(std::move(submit));
    core::InspectFinished inspected;
    inspected.job = JobId{jobs};
    inspected.outcome = core::InspectOutcome::kAdmitted;
    inspected.estimate.total_steps = 1000;
    inspected.estimate.duration_ms = 3'600'000 + jobs % 1000;
    Send(std::move(inspected));
    return JobId{jobs};
  }

  void End(JobId id) {
    core::ReportEnded report;
    report.node = core::ActiveGang(ledger.jobs.at(id))->members.front().node;
    report.job = id;
    report.attempt = ledger.jobs.at(id).attempt;
    report.outcome = core::GangOutcome::kSucceeded;
    Send(std::move(report));
  }

  core::Ledger ledger;
  core::Liveness liveness;
  Instant now{std::chrono::hours(1)};
  std::uint64_t jobs = 0;
  std::uint64_t facts = 0;
};

// One Tick: gangs of 1 to 8 ranks wait for 80,000 slots; it places 1,000 of them, the most it may.
double Pass() {
  Cluster cluster;
  cluster.AddNodes(10'000, 8);
  for (std::uint32_t i = 0; i < 100'000; ++i) cluster.AddJob(1U << (i % 4), i % 50);
  const auto started = Clock::now();
  cluster.Send(core::Tick{});
  return Seconds(started) * 1e3;
}

// The same where every second machine has GPUs and every second job asks for some: two a rank of
// which there are too few for most, so that slots stay free on all machines.
double PassWithGpus() {
  Cluster cluster;
  cluster.AddNodes(10'000, 8, 4);
  for (std::uint32_t i = 0; i < 100'000; ++i) cluster.AddJob(1U << (i / 2 % 2), i % 50, i % 2 * 2);
  for (int taken = 0; taken < 12; ++taken) cluster.Send(core::Tick{});
  const auto started = Clock::now();
  cluster.Send(core::Tick{});
  return Seconds(started) * 1e3;
}

// The same where everything is taken and the first job waits: reservation and backfill.
double PassWhenFull() {
  Cluster cluster;
  cluster.AddNodes(10'000, 8);
  for (std::uint32_t i = 0; i < 10'000; ++i) cluster.AddJob(8, i % 50);
  while (!cluster.ledger.queued.empty()) cluster.Send(core::Tick{});
  for (std::uint32_t i = 0; i < 90'000; ++i) cluster.AddJob(1U << (i % 4), i % 50);
  const auto started = Clock::now();
  cluster.Send(core::Tick{});
  return Seconds(started) * 1e3;
}

// A gang ends, a job comes, a Tick fills the slots: so many pending all the while.
double Event(std::uint64_t pending) {
  constexpr int kEvents = 3000;
  Cluster cluster;
  cluster.AddNodes(100, 8);
  for (std::uint64_t i = 0; i < pending; ++i) cluster.AddJob(1, i % 50);
  while (!cluster.ledger.node_index.free.empty()) cluster.Send(core::Tick{});
  const auto started = Clock::now();
  for (int i = 0; i < kEvents; ++i) {
    cluster.End(*cluster.ledger.active.begin());
    cluster.AddJob(1, static_cast<std::uint64_t>(i) % 50);
    cluster.Send(core::Tick{});
  }
  return Seconds(started) * 1e6 / (3 * kEvents);
}

// 50,000 jobs of a minute to an hour in a day, on 200 machines of 16 slots.
double Replay() {
  simulate::ClusterWorkload workload{.policy = "fair"};
  for (int i = 0; i < 200; ++i) {
    workload.nodes.push_back({.name = "w" + std::to_string(i),
                              .slots = 16,
                              .memory_bytes = std::uint64_t{256} << 30,
                              .numerics = "cpu"});
  }
  std::uint64_t random = 1;
  const auto draw = [&](std::uint64_t below) {
    random = random * 6364136223846793005U + 1442695040888963407U;
    return (random >> 33) % below;
  };
  for (int i = 0; i < 50'000; ++i) {
    simulate::WorkloadJob job;
    job.request.name = "job";
    job.request.user = "user-" + std::to_string(draw(50));
    job.request.priority = static_cast<std::int64_t>(draw(3));
    job.request.ranks_min = job.request.ranks_max = job.request.shards = 1U << draw(4);
    job.submitted_ms = static_cast<std::int64_t>(draw(86'400'000));
    job.steps = 100;
    job.step_ms = 600 + static_cast<double>(draw(35'400));
    job.measured_ranks = job.request.ranks_min;
    workload.jobs.push_back(std::move(job));
  }
  std::sort(workload.jobs.begin(), workload.jobs.end(),
            [](const auto& a, const auto& b) { return a.submitted_ms < b.submitted_ms; });
  const auto started = Clock::now();
  const auto figures = simulate::ReplayCluster(workload);
  TUTTI_CHECK(figures.has_value() && figures->jobs == workload.jobs.size());
  std::fprintf(stderr, "utilization %.2f, average wait %.3f h, p99 decision %.2f ms\n",
               figures->utilization, figures->avg_wait_hours, figures->decision_ms_p99);
  return Seconds(started);
}

}  // namespace
}  // namespace tutti

int main(int argc, char** argv) {
  const std::string what = argc > 1 ? argv[1] : "";
  if (what == "pass") {
    std::printf("%.3f\n", tutti::Pass());
  } else if (what == "gpus") {
    std::printf("%.3f\n", tutti::PassWithGpus());
  } else if (what == "full") {
    std::printf("%.3f\n", tutti::PassWhenFull());
  } else if (what == "events" && argc > 2) {
    std::printf("%.3f\n", tutti::Event(std::strtoull(argv[2], nullptr, 10)));
  } else if (what == "replay") {
    std::printf("%.3f\n", tutti::Replay());
  } else {
    std::fprintf(stderr, "usage: scheduler_bench pass | gpus | full | events PENDING | replay\n");
    return 2;
  }
  return 0;
}
