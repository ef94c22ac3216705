#include "scheduler/simulate/cluster_replay.h"

#include <gtest/gtest.h>

namespace tutti::simulate {
namespace {

constexpr std::int64_t kMinute = 60'000;

// One worker of two slots, and jobs of one rank: minutes of submission and of length.
ClusterWorkload TwoSlots(const std::vector<std::pair<int, int>>& jobs) {
  ClusterWorkload workload{.policy = "fifo"};
  workload.nodes.push_back({.name = "a", .slots = 2, .memory_bytes = 1 << 30, .numerics = "n"});
  for (const auto& [at, length] : jobs) {
    WorkloadJob job;
    job.request.name = "job";
    job.submitted_ms = at * kMinute;
    job.steps = 60;
    job.step_ms = static_cast<double>(length * kMinute) / 60;
    workload.jobs.push_back(job);
  }
  return workload;
}

TEST(ClusterReplay, JobsWaitForSlotsAndTakeTheirTime) {
  const auto figures = ReplayCluster(TwoSlots({{0, 60}, {0, 60}, {0, 60}}));
  ASSERT_TRUE(figures) << figures.error().ToString();
  EXPECT_EQ(figures->jobs, 3U);
  EXPECT_NEAR(figures->makespan_hours, 2, 0.01);
  EXPECT_NEAR(figures->avg_jct_hours, 4.0 / 3, 0.01);
  EXPECT_NEAR(figures->avg_wait_hours, 1.0 / 3, 0.01);
  EXPECT_NEAR(figures->utilization, 0.75, 0.01);
}

TEST(ClusterReplay, JobsThatStartSecondsAfterOthersEndAreLaunched) {
  for (int seconds = 1; seconds <= 20; ++seconds) {
    ClusterWorkload workload = TwoSlots({{0, 1}, {0, 1}, {0, 1}, {0, 1}, {0, 1}});
    for (WorkloadJob& job : workload.jobs) job.step_ms = 1000.0 * seconds / 60;
    const auto figures = ReplayCluster(workload);
    ASSERT_TRUE(figures) << figures.error().ToString();
    EXPECT_EQ(figures->jobs, 5U) << seconds;
    EXPECT_NEAR(figures->makespan_hours * 3600, 3 * seconds, 0.01);
  }
}

TEST(ClusterReplay, AnotherWorkerShortensTheWait) {
  const ClusterWorkload workload = TwoSlots({{0, 60}, {0, 60}, {0, 60}});
  const auto figures = ReplayCluster(WithWorkers(workload, 1));
  ASSERT_TRUE(figures);
  EXPECT_EQ(figures->workers, 2U);
  EXPECT_NEAR(figures->avg_wait_hours, 0, 1e-3);
}

TEST(ClusterReplay, SrtfStopsALongJobForShortOnesAndLosesNoSteps) {
  ClusterWorkload workload = TwoSlots({{0, 600}, {0, 600}});
  for (int i = 0; i < 20; ++i) {
    WorkloadJob job = workload.jobs[0];
    job.submitted_ms = (10 + i) * kMinute;
    job.step_ms = 1000;  // a minute in all
    workload.jobs.push_back(job);
  }
  const auto fifo = ReplayCluster(workload);
  workload.policy = "srtf";
  const auto srtf = ReplayCluster(workload);
  ASSERT_TRUE(fifo && srtf);
  EXPECT_GT(srtf->preemptions, 0U);
  EXPECT_LT(srtf->avg_jct_hours, fifo->avg_jct_hours / 2);
  EXPECT_LT(srtf->makespan_hours, fifo->makespan_hours + 0.2);
}

TEST(ClusterReplay, WhatTheseWorkersCannotHoldIsLeftOut) {
  ClusterWorkload workload = TwoSlots({{0, 60}, {0, 60}});
  workload.jobs[0].request.ranks_min = workload.jobs[0].request.ranks_max = 8;
  workload.jobs[0].request.shards = 8;
  const auto figures = ReplayCluster(workload);
  ASSERT_TRUE(figures);
  EXPECT_EQ(figures->jobs, 1U);
  EXPECT_EQ(figures->left_out, 1U);
}

TEST(ClusterReplay, JobsWaitForGpusWhereSlotsAreFree) {
  ClusterWorkload workload = TwoSlots({{0, 60}, {0, 60}, {0, 60}});
  workload.nodes[0].gpus = 1;
  workload.jobs[0].request.gpus_per_rank = workload.jobs[1].request.gpus_per_rank = 1;
  const auto figures = ReplayCluster(workload);
  ASSERT_TRUE(figures) << figures.error().ToString();
  EXPECT_EQ(figures->jobs, 3U);
  // The third one passes the second: it does not put it off.
  EXPECT_NEAR(figures->avg_wait_hours, 1.0 / 3, 0.01);
  EXPECT_NEAR(figures->makespan_hours, 2, 0.01);
}

TEST(ClusterReplay, AnUnknownPolicyIsAnError) {
  ClusterWorkload workload = TwoSlots({{0, 1}});
  workload.policy = "lottery";
  EXPECT_FALSE(ReplayCluster(workload));
}

TEST(ParseWorkload, ReadsWhatTheCoordinatorSaysAndNamesWhatIsWrong) {
  const auto workload = ParseWorkload(R"({"policy": "fair",
    "queues": [{"name": "a", "weight": 2.5, "slots": 1, "slots_max": 0, "user_slots": 0,
                "gpus": 2, "gpus_max": 3, "user_gpus": 4, "parent": ""}],
    "workers": [{"name": "w", "slots": 4, "gpus": 8, "memory_bytes": 100, "numerics": "n",
                 "labels": {"rack": "r"}}],
    "jobs": [{"name": "b", "submitted_ms": 5, "steps": 9, "step_ms": 0.5, "ranks": 2},
             {"name": "a", "submitted_ms": 0, "steps": 9, "step_ms": 2, "ranks": 1,
              "gpus_per_rank": 2}]})");
  ASSERT_TRUE(workload) << workload.error().ToString();
  EXPECT_EQ(workload->queues.at("a").weight, 2.5);
  EXPECT_EQ(workload->queues.at("a").gpus, 2U);
  EXPECT_EQ(workload->queues.at("a").gpus_max, 3U);
  EXPECT_EQ(workload->queues.at("a").user_gpus, 4U);
  EXPECT_EQ(workload->nodes.at(0).labels.at("rack"), "r");
  EXPECT_EQ(workload->nodes.at(0).gpus, 8U);
  EXPECT_EQ(workload->jobs.at(0).request.gpus_per_rank, 2U);
  EXPECT_EQ(workload->jobs.at(0).request.name, "a");
  const auto wrong = ParseWorkload(R"({"policy": "fair", "queues": [], "workers": [],
    "jobs": [{"steps": "many"}]})");
  ASSERT_FALSE(wrong);
  EXPECT_EQ(wrong.error().where, "#/jobs/0/steps");
}

}  // namespace
}  // namespace tutti::simulate
