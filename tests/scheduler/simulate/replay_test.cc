#include "scheduler/simulate/replay.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>

#include "scheduler/simulate/scattered.h"

namespace tutti::simulate {
namespace {

namespace fs = std::filesystem;

// A trace of one application whose every step takes a second, and whose two epochs have a hundred.
class ReplayTest : public testing::Test {
 protected:
  void SetUp() override {
    root_ = fs::temp_directory_path() / ("replay_test-" + std::to_string(::getpid()));
    const fs::path app = root_ / "traces" / "bert";
    fs::create_directories(app);
    fs::create_directories(root_ / "workloads");
    std::string placements = "placement,local_bsz,step_time,sync_time\n";
    for (const char* shape : {"1", "2", "3", "4"}) {
      for (const char* rows : {"3", "12"}) placements += std::string(shape) + "," + rows + ",1,0\n";
    }
    Write("traces/bert/placements.csv", placements);
    Write("traces/bert/scalability.csv", "num_nodes,num_replicas,local_bsz,step_time,sync_time\n");
    const std::string validation =
        "progress,iteration,metric,grad_sqr,grad_var\n100,100,1,1,1\n200,200,2,1,1\n";
    Write("traces/bert/validation-12.csv", validation);
    Write("traces/bert/validation-24.csv", validation);
  }
  void TearDown() override { fs::remove_all(root_); }

  void Write(const fs::path& name, const std::string& text) { std::ofstream(root_ / name) << text; }
  void Workload(const std::string& rows) {
    Write("workloads/one.csv", "name,time,application,num_replicas,batch_size\n" + rows);
  }
  Result<Replay> Run(std::string_view policy, const Cluster& cluster = {}) {
    TUTTI_ASSIGN_OR_RETURN(const Trace trace, ReadTrace(root_));
    return ReplayTrace(trace, policy, cluster);
  }

  fs::path root_;
};

TEST_F(ReplayTest, AJobStartsWithTheNextRoundAndPaysForItsStart) {
  Workload("a,10,bert,1,12\n");
  for (const std::string& policy : AllocatorNames()) {
    SCOPED_TRACE(policy);
    const auto replay = Run(policy);
    ASSERT_TRUE(replay) << replay.error().ToString();
    // Placed at 60 s, ready at 90 s, 200 steps.
    EXPECT_EQ(replay->jobs.at(0).jct_seconds, 280);
    EXPECT_EQ(replay->jobs.at(0).restarts, 0U);
  }
}

TEST_F(ReplayTest, JobsWaitForEachOtherOnOneSlot) {
  Workload("a,0,bert,1,12\nb,0,bert,1,12\n");
  const auto replay = Run("fifo", {.machines = 1, .slots = 1});
  ASSERT_TRUE(replay) << replay.error().ToString();
  EXPECT_EQ(replay->jobs.at(0).jct_seconds, 290);
  EXPECT_EQ(replay->jobs.at(1).jct_seconds, 300 + 30 + 200);
  EXPECT_GT(replay->utilization, 0.8);
}

TEST_F(ReplayTest, WhatIsWrongWithATraceIsSaidWithItsPlace) {
  Workload("a,0,bert,1,12\nb,0,bert,one,12\n");
  const auto damaged = Run("fifo");
  ASSERT_FALSE(damaged);
  EXPECT_NE(damaged.error().where.find("one.csv:3"), std::string::npos);
  Workload("a,0,bert,1,100\n");
  EXPECT_FALSE(Run("fifo"));
  Workload("a,0,gpt,1,12\n");
  EXPECT_FALSE(Run("fifo"));
  const auto unknown = MakeAllocator("lottery", {});
  ASSERT_FALSE(unknown);
  EXPECT_NE(unknown.error().hint.find("tiresias"), std::string::npos);
}

TEST(Scattered, IsExactAtItsPointsAndLinearBetween) {
  std::vector<Point> points;
  std::vector<Pair> values;
  for (int x = 0; x < 3; ++x) {
    for (int y = 0; y < 3; ++y) {
      for (int z = 0; z < 3; ++z) {
        points.push_back({static_cast<double>(x), static_cast<double>(y), static_cast<double>(z)});
        values.push_back({static_cast<double>(x + 2 * y + 3 * z), 1});
      }
    }
  }
  const auto scattered = Scattered::Of(points, values);
  ASSERT_TRUE(scattered);
  for (std::size_t i = 0; i < points.size(); ++i) {
    EXPECT_NEAR(scattered->At(points[i]).value()[0], values[i][0], 1e-9);
  }
  EXPECT_NEAR(scattered->At({0.5, 1.25, 1.75}).value()[0], 0.5 + 2.5 + 5.25, 1e-9);
  EXPECT_FALSE(scattered->At({3, 0, 0}));
}

TEST(Percentile, InterpolatesBetweenNeighbours) {
  EXPECT_DOUBLE_EQ(Percentile({4, 1, 3, 2}, 0.5), 2.5);
  EXPECT_DOUBLE_EQ(Percentile({7}, 0.99), 7);
  EXPECT_DOUBLE_EQ(Percentile({}, 0.5), 0);
}

}  // namespace
}  // namespace tutti::simulate
