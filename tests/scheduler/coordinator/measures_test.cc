#include "scheduler/coordinator/measures.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <fstream>

#include "scheduler/store/store.h"
#include "tests/scheduler/core/world.h"

namespace tutti::coordinator {
namespace {

namespace fs = std::filesystem;
using testing::HasSubstr;
using testing::Not;

class MeasuresTest : public testing::Test {
 protected:
  void SetUp() override {
    fs::remove_all(directory);
    fs::create_directories(directory / "allowed");
    auto opened = store::Store::Open(directory / "state.db");
    ASSERT_TRUE(opened) << opened.error().ToString();
    store = std::move(*opened);
    world.Start();
    node = world.AddNode(1, 4, "cpu", 1000);
    std::ofstream(directory / "allowed/worker-1.pub") << "key";
  }
  void TearDown() override {
    store.reset();
    fs::remove_all(directory);
  }
  // What somebody would read now, having seen the facts of the last Step.
  std::string Text(bool read_only = false) {
    const core::State state{world.ledger, world.liveness, core::DefaultPolicy()};
    const View view{&state, store.get(), read_only};
    measures.Refresh(view);
    return metrics.ToText();
  }
  void Tell() {
    const core::State state{world.ledger, world.liveness, core::DefaultPolicy()};
    const View view{&state, store.get(), false};
    measures.OnStored({1, world.new_facts, view});
  }

  fs::path directory = fs::path(testing::TempDir()) / ("measures-" + std::to_string(::getpid()));
  core::World world;
  NodeId node;
  std::unique_ptr<store::Store> store;
  metrics::Metrics metrics{"1", "r"};
  Measures measures{metrics, directory / "allowed"};
};

TEST_F(MeasuresTest, RanksAreThoseThatTrainNow) {
  const JobId job = world.AddQueued(1, core::World::Request(2, 2));
  const std::string series = "tutti_train_ranks{job=\"" + job.ToString() + "\"} ";
  world.Tick();
  ASSERT_NE(core::ActiveGang(world.At(job)), nullptr);
  EXPECT_THAT(Text(), Not(HasSubstr(series)));  // starts
  world.Started(job);
  EXPECT_THAT(Text(), HasSubstr(series + "2"));
  ASSERT_TRUE(world.Send(core::Pause{job}));
  EXPECT_THAT(Text(), HasSubstr(series + "0"));  // stops
  ASSERT_TRUE(world.Send(world.Ended(job, core::GangOutcome::kReleased)));
  EXPECT_THAT(Text(), HasSubstr(series + "0"));
}

TEST_F(MeasuresTest, RanksOfAnEndedJobAreNone) {
  const JobId job = world.AddQueued(1, core::World::Request(2, 2));
  world.Tick();
  world.Started(job);
  const std::string series = "tutti_train_ranks{job=\"" + job.ToString() + "\"} ";
  EXPECT_THAT(Text(), HasSubstr(series + "2"));
  ASSERT_TRUE(world.Send(world.Ended(job, core::GangOutcome::kSucceeded)));
  Tell();
  EXPECT_THAT(Text(), HasSubstr(series + "0"));
  EXPECT_THAT(metrics.ToText(),
              HasSubstr("reason=\"\",status=\"succeeded\",task=\"text-classification\"} 1"));
}

TEST_F(MeasuresTest, AQueueMayUseItsLimitAndNoMoreThanThereIs) {
  const std::string quota = "tutti_queue_quota_slots{queue=\"default\"} ";
  EXPECT_THAT(Text(), HasSubstr(quota + "4"));
  ASSERT_TRUE(world.Send(core::SetQueue{"default", {.slots_max = 3}}));
  EXPECT_THAT(Text(), HasSubstr(quota + "3"));
  ASSERT_TRUE(world.Send(core::SetQueue{"default", {.slots_max = 30}}));
  EXPECT_THAT(Text(), HasSubstr(quota + "4"));
}

TEST_F(MeasuresTest, OnlyLostWorkersAreDown) {
  EXPECT_THAT(Text(), HasSubstr("tutti_node_up{node=\"worker-1\"} 1"));
  EXPECT_THAT(Text(), HasSubstr("tutti_node_disk_size_bytes{node=\"worker-1\"} 1000"));
  world.Pass(std::chrono::seconds(60));
  world.Tick();
  ASSERT_EQ(world.ledger.nodes.at(node).state, core::NodeState::kLost);
  Tell();
  EXPECT_THAT(Text(), HasSubstr("tutti_node_up{node=\"worker-1\"} 0"));
  // Its key was taken back: nobody waits for it.
  fs::remove(directory / "allowed/worker-1.pub");
  EXPECT_THAT(Text(), Not(HasSubstr("node=\"worker-1\"")));
}

TEST_F(MeasuresTest, AWorkerThatLeftInOrderHasNoSeries) {
  EXPECT_THAT(Text(), HasSubstr("tutti_node_up{node=\"worker-1\"} 1"));
  ASSERT_TRUE(world.Send(core::Goodbye{node}));
  Tell();
  EXPECT_THAT(metrics.ToText(), Not(HasSubstr("node=\"worker-1\"")));
  EXPECT_THAT(Text(), Not(HasSubstr("node=\"worker-1\"")));
}

TEST_F(MeasuresTest, TheStoreSaysWhenItCannotWrite) {
  EXPECT_THAT(Text(), HasSubstr("tutti_store_read_only 0"));
  EXPECT_THAT(Text(true), HasSubstr("tutti_store_read_only 1"));
  core::Observe(world.liveness,
                core::Sighting{core::StoreSeen{.disk_bytes = 100, .disk_free_bytes = 7}},
                world.now);
  EXPECT_THAT(Text(), HasSubstr("tutti_store_disk_free_bytes 7"));
  EXPECT_THAT(Text(), HasSubstr("tutti_store_disk_size_bytes 100"));
}

TEST_F(MeasuresTest, OutcomesCountFromZero) {
  world.AddQueued(1, core::World::Request(1, 1));
  EXPECT_THAT(
      Text(),
      HasSubstr("reason=\"worker_lost\",status=\"failed\",task=\"text-classification\"} 0"));
  EXPECT_THAT(Text(), HasSubstr("tutti_job_restarts_total{reason=\"hang\"} 0"));
}

}  // namespace
}  // namespace tutti::coordinator
