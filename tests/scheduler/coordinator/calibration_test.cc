#include "scheduler/coordinator/calibration.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>
#include <utility>
#include <vector>

#include "tests/scheduler/core/world.h"

namespace tutti::coordinator {
namespace {

using namespace std::chrono_literals;
using core::GangOutcome;

class CalibrationTest : public testing::Test {
 protected:
  core::World world;
  metrics::Metrics metrics{"0.1.0", "abc"};
  Calibration calibration{metrics.control};

  void SetUp() override {
    world.check = false;
    world.Start();
    world.AddNode(1, 1);
  }

  template <typename Body>
  void Send(Body body) {
    ASSERT_TRUE(world.Send(std::move(body)));
    calibration.OnStored(world.new_facts, {world.ledger, world.liveness, core::DefaultPolicy()},
                         world.now);
  }
  JobId Add(std::uint64_t bits, Duration predicted) {
    const JobId id = world.AddJob(bits, core::World::Request(1, 1));
    core::InspectFinished inspected;
    inspected.job = id;
    inspected.outcome = core::InspectOutcome::kAdmitted;
    inspected.estimate.total_steps = 10;
    inspected.estimate.duration_ms = static_cast<std::uint64_t>(predicted / 1ms);
    Send(inspected);
    return id;
  }
  void Launch(JobId id) {
    Send(core::Tick{});
    Send(core::ReportStarted{world.GangOf(id).members[0].node, id, world.At(id).attempt, 0});
  }
  // All the while the machine lists what it runs.
  void Wait(Duration time) {
    world.Pass(time);
    std::vector<core::GangSeen> gangs;
    for (const JobId id : world.ledger.active) gangs.push_back(world.Seen(id));
    world.Beat(NodeId{1}, std::move(gangs));
  }
  // What `outcome` counts of starts or ends.
  testing::Matcher<std::string> Counts(const std::string& what, const std::string& outcome,
                                       int count) const {
    return testing::HasSubstr("tutti_scheduler_predictions_total{outcome=\"" + outcome +
                              "\",what=\"" + what + "\"} " + std::to_string(count) + "\n");
  }
};

TEST_F(CalibrationTest, AStartIsHeldAgainstWhatWasPredictedAtAdmission) {
  const JobId first = Add(1, 100s);
  Launch(first);
  const JobId second = Add(2, 100s);  // when the first one has ended: after 101 s, about
  Wait(202s);
  Send(world.Ended(first, GangOutcome::kSucceeded));
  Send(core::Tick{});
  ASSERT_NE(core::ActiveGang(world.At(second)), nullptr);
  const std::string text = metrics.ToText();
  EXPECT_THAT(text, Counts("start", "inside", 1));
  EXPECT_THAT(text, testing::HasSubstr("tutti_scheduler_prediction_ratio_sum{what=\"start\"} 2\n"));
}

TEST_F(CalibrationTest, AnEndBeyondItsIntervalIsLateAndOneBeforeItEarly) {
  const JobId late = Add(1, 10s);
  Launch(late);
  Wait(100s);
  Send(world.Ended(late, GangOutcome::kSucceeded));
  const JobId early = Add(2, 1000s);
  Launch(early);
  Wait(100s);
  Send(world.Ended(early, GangOutcome::kSucceeded));
  const std::string text = metrics.ToText();
  EXPECT_THAT(text, Counts("end", "late", 1));
  EXPECT_THAT(text, Counts("end", "early", 1));
  EXPECT_THAT(text, Counts("end", "inside", 0));
}

TEST_F(CalibrationTest, AnEndIsPredictedWhenTheLaunchIsOver) {
  world.ledger.learned.launch = {.value = 60'000, .spread = 1000, .jobs = 20};
  const JobId id = Add(1, 100s);
  Launch(id);
  Wait(101s);
  Send(world.Ended(id, GangOutcome::kSucceeded));
  const std::string text = metrics.ToText();
  EXPECT_THAT(text, Counts("end", "inside", 1));
  EXPECT_THAT(text, testing::HasSubstr("tutti_scheduler_prediction_ratio_sum{what=\"end\"} 1\n"));
}

TEST_F(CalibrationTest, WhatWasStoppedOrFailedIsNotHeldAgainstAPrediction) {
  const JobId failed = Add(1, 100s);
  Launch(failed);
  const JobId paused = Add(2, 100s);
  Send(core::Pause{paused});
  Wait(10s);
  Send(world.Ended(failed, GangOutcome::kFailed));
  Send(core::Cancel{failed});
  Send(core::Resume{paused});
  Send(core::Tick{});
  ASSERT_NE(core::ActiveGang(world.At(paused)), nullptr);
  const std::string text = metrics.ToText();
  for (const char* outcome : {"inside", "early", "late"}) {
    EXPECT_THAT(text, Counts("start", outcome, 0));
    EXPECT_THAT(text, Counts("end", outcome, 0));
  }
}

TEST_F(CalibrationTest, AStartAtOnceIsNoPrediction) {
  Launch(Add(1, 100s));
  EXPECT_THAT(metrics.ToText(), Counts("start", "inside", 0));
}

}  // namespace
}  // namespace tutti::coordinator
