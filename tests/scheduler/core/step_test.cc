#include "scheduler/core/step.h"

#include <gmock/gmock.h>

#include "scheduler/core/explain.h"
#include "tests/scheduler/core/world.h"

namespace tutti::core {
namespace {

using spec::FailureReason;
using spec::JobState;
using testing::ElementsAre;
using testing::IsEmpty;

class StepTest : public testing::Test {
 protected:
  World world;
  NodeId node;

  void SetUp() override {
    world.Start();
    node = world.AddNode(1, 4);
  }
  JobId RunningJob(std::uint64_t bits, JobRequest request) {
    const JobId id = world.AddQueued(bits, std::move(request));
    world.Tick();
    world.Started(id);
    world.Beat(node, {world.Seen(id)});
    return id;
  }
  JobState StateName(JobId id) { return StateOf(world.ledger, world.At(id)); }
  template <typename T>
  void ExpectOnly(const T& fact) {
    EXPECT_THAT(world.new_facts, ElementsAre(Fact{fact}));
  }
  ErrorCode CodeOf(const Result<Reply>& result) {
    EXPECT_FALSE(result);
    return result ? ErrorCode::kInternal : result.error().code;
  }
};

TEST_F(StepTest, SubmitIsInspectedThenPlacedThenLaunched) {
  const JobId job = world.AddJob(5, World::Request(1, 2));
  EXPECT_EQ(world.new_facts.size(), 1U);
  EXPECT_THAT(world.effects, IsEmpty());
  world.Tick();
  EXPECT_THAT(world.new_facts, IsEmpty());
  EXPECT_THAT(world.effects, ElementsAre(Effect{InspectJob{node, job}}));
  world.Tick();  // in flight: not asked again
  EXPECT_THAT(world.effects, IsEmpty());
  ASSERT_TRUE(world.Send(InspectFinished{.job = job,
                                         .outcome = InspectOutcome::kAdmitted,
                                         .estimate = {},
                                         .message = "",
                                         .where = ""}));
  ExpectOnly(JobAdmitted{job, {}, WallTime{1}});
  world.Tick();
  ExpectOnly(GangPlaced{job, Attempt{1}, 2, {{node, 0, 2}}, "cpu", false, WallTime{1}});
  EXPECT_THAT(world.effects, ElementsAre(Effect{LaunchGang{node, job, Attempt{1}}}));
  world.Tick();
  EXPECT_THAT(world.new_facts, IsEmpty());
  EXPECT_THAT(world.effects, IsEmpty());
}

TEST_F(StepTest, ARepeatedSubmitIsTheSameJobAndAnotherBodyAConflict) {
  Submit submit{.job = JobId{1},
                .request = World::Request(1, 1),
                .spec_json = "{}",
                .idempotency_key = "k",
                .body_digest = "a",
                .held = false};
  EXPECT_EQ(std::get<JobReply>(*world.Send(submit)), (JobReply{JobId{1}, true}));
  submit.job = JobId{2};
  EXPECT_EQ(std::get<JobReply>(*world.Send(submit)), (JobReply{JobId{1}, false}));
  EXPECT_THAT(world.new_facts, IsEmpty());
  submit.body_digest = "b";
  EXPECT_EQ(CodeOf(world.Send(submit)), ErrorCode::kConflict);
  EXPECT_EQ(world.ledger.jobs.size(), 1U);
}

TEST_F(StepTest, ARejectedJobFailsWithFileAndLine) {
  const JobId job = world.AddJob(1, World::Request(1, 1));
  ASSERT_TRUE(world.Send(InspectFinished{.job = job,
                                         .outcome = InspectOutcome::kRejected,
                                         .estimate = {},
                                         .message = "no label",
                                         .where = "train.jsonl:3"}));
  ExpectOnly(JobRejected{job, FailureReason::kData, "no label", "train.jsonl:3", WallTime{1}});
  const State state{world.ledger, world.liveness, DefaultPolicy()};
  const Shown shown = Show(state, world.At(job), nullptr);
  EXPECT_EQ(shown.state, JobState::kFailed);
  EXPECT_EQ(shown.reason, "data");
  EXPECT_EQ(shown.message, "train.jsonl:3: no label");
}

TEST_F(StepTest, AnInspectionThatCannotRunIsAskedForAgainLater) {
  const JobId job = world.AddJob(1, World::Request(1, 1));
  for (int i = 0; i < 5; ++i) {
    world.Pass(std::chrono::seconds(4));
    world.Beat(node);
    world.Pass(std::chrono::seconds(4));
    world.Beat(node);
    world.Tick();
    ASSERT_THAT(world.effects, ElementsAre(Effect{InspectJob{node, job}}));
    ASSERT_TRUE(world.Send(InspectFinished{.job = job,
                                           .outcome = InspectOutcome::kUnavailable,
                                           .estimate = {},
                                           .message = "x",
                                           .where = ""}));
    world.Tick();
    ASSERT_THAT(world.effects, IsEmpty());
  }
  EXPECT_EQ(StateName(job), JobState::kFailed);
}

TEST_F(StepTest, WithoutWorkersAJobWaitsAsQueued) {
  ASSERT_TRUE(world.Send(Goodbye{node}));
  const JobId job = world.AddJob(1, World::Request(1, 1));
  const State state{world.ledger, world.liveness, DefaultPolicy()};
  EXPECT_EQ(Show(state, world.At(job), nullptr).state, JobState::kQueued);
  EXPECT_EQ(Show(state, world.At(job), nullptr).reason, "pool_down");
}

TEST_F(StepTest, OrderIsPriorityThenSubmissionAndSmallJobsDoNotStarveTheHead) {
  const JobId running = RunningJob(1, World::Request(2, 2));
  const JobId large = world.AddQueued(2, World::Request(4, 4));
  const JobId small = world.AddQueued(3, World::Request(1, 1));
  world.Tick();
  EXPECT_THAT(world.new_facts, IsEmpty());
  const State state{world.ledger, world.liveness, DefaultPolicy()};
  const auto why = ExplainQueue(state, 10);
  EXPECT_EQ(why.at(large).reason, spec::PendingReason::kResources);
  EXPECT_EQ(why.at(small).reason, spec::PendingReason::kPriority);
  ASSERT_TRUE(world.Send(SetPriority{small, 1}));
  world.Tick();
  EXPECT_NE(ActiveGang(world.At(small)), nullptr);
  EXPECT_EQ(ActiveGang(world.At(large)), nullptr);
  ASSERT_TRUE(world.Send(world.Ended(running, GangOutcome::kSucceeded)));
}

TEST_F(StepTest, HeldJobsWaitForTheirRelease) {
  const JobId job{3};
  ASSERT_TRUE(world.Send(Submit{.job = job,
                                .request = World::Request(1, 1),
                                .spec_json = "{}",
                                .idempotency_key = "",
                                .body_digest = "",
                                .held = true}));
  ASSERT_TRUE(world.Send(InspectFinished{.job = job,
                                         .outcome = InspectOutcome::kAdmitted,
                                         .estimate = {},
                                         .message = "",
                                         .where = ""}));
  world.Tick();
  EXPECT_THAT(world.new_facts, IsEmpty());
  ASSERT_TRUE(world.Send(ReleaseHold{job}));
  world.Tick();
  EXPECT_NE(ActiveGang(world.At(job)), nullptr);
  EXPECT_EQ(CodeOf(world.Send(ReleaseHold{job})), ErrorCode::kConflict);
}

TEST_F(StepTest, CancelKillsARunningGangAndWaitsForItsEnd) {
  const JobId job = RunningJob(1, World::Request(1, 1));
  ASSERT_TRUE(world.Send(Cancel{job}));
  ExpectOnly(StopRequested{job, Attempt{1}, StopWhy::kCancel, WallTime{1}});
  EXPECT_THAT(world.effects,
              ElementsAre(Effect{StopGang{node, job, Attempt{1}, StopMode::kKill, "cancel"}}));
  EXPECT_EQ(StateName(job), JobState::kCancelling);
  ASSERT_TRUE(world.Send(Cancel{job}));  // again: nothing more
  EXPECT_THAT(world.new_facts, IsEmpty());
  // Too late a success: the cancel was acknowledged.
  ASSERT_TRUE(world.Send(world.Ended(job, GangOutcome::kSucceeded)));
  EXPECT_EQ(StateName(job), JobState::kCancelled);
  EXPECT_EQ(CodeOf(world.Send(Cancel{job})), ErrorCode::kConflict);
}

TEST_F(StepTest, PauseCheckpointsAndResumeTakesTheAskedSize) {
  const JobId job = RunningJob(1, World::Request(1, 1, 4));
  ASSERT_TRUE(world.Send(Pause{job}));
  EXPECT_THAT(world.effects,
              ElementsAre(Effect{StopGang{node, job, Attempt{1}, StopMode::kCheckpoint, "pause"}}));
  EXPECT_EQ(CodeOf(world.Send(Resume{job, 2})), ErrorCode::kConflict);
  world.Checkpoint(job, 10);
  ASSERT_TRUE(world.Send(world.Ended(job, GangOutcome::kReleased)));
  EXPECT_EQ(StateName(job), JobState::kPaused);
  EXPECT_EQ(CodeOf(world.Send(Resume{job, 3})), ErrorCode::kInvalid);
  EXPECT_EQ(CodeOf(world.Send(Resume{job, 8})), ErrorCode::kInvalid);
  ASSERT_TRUE(world.Send(Resume{job, 2}));
  world.Tick();
  EXPECT_EQ(world.GangOf(job).size, 2U);
  EXPECT_EQ(world.At(job).attempt, Attempt{2});
  EXPECT_EQ(world.At(job).checkpoints.size(), 1U);
}

TEST_F(StepTest, ResizeStopsARunningGangAndPlacesItAnewAtThatSize) {
  const JobId job = RunningJob(1, World::Request(1, 1, 4));
  EXPECT_EQ(CodeOf(world.Send(Resize{job, 3})), ErrorCode::kInvalid);
  EXPECT_EQ(CodeOf(world.Send(Resize{job, 0})), ErrorCode::kInvalid);
  ASSERT_TRUE(world.Send(Resize{job, 2}));
  EXPECT_THAT(
      world.effects,
      ElementsAre(Effect{StopGang{node, job, Attempt{1}, StopMode::kCheckpoint, "resize"}}));
  EXPECT_EQ(StateName(job), JobState::kResizing);
  world.Checkpoint(job, 10);
  ASSERT_TRUE(world.Send(world.Ended(job, GangOutcome::kReleased)));
  world.Tick();
  EXPECT_EQ(world.GangOf(job).size, 2U);
  EXPECT_EQ(world.At(job).fruitless_attempts, 0U);
}

TEST_F(StepTest, ResizeOfAJobThatWaitsOnlySetsTheSize) {
  const JobId job = world.AddJob(1, World::Request(1, 1, 4));
  ASSERT_TRUE(world.Send(Resize{job, 2}));
  EXPECT_THAT(world.effects, ElementsAre());
  // Asked for twice, it is one fact.
  ASSERT_TRUE(world.Send(Resize{job, 2}));
  EXPECT_TRUE(world.new_facts.empty());
  InspectFinished admitted;
  admitted.job = job;
  admitted.outcome = InspectOutcome::kAdmitted;
  ASSERT_TRUE(world.Send(admitted));
  world.Tick();
  EXPECT_EQ(world.GangOf(job).size, 2U);
  // It has that size already.
  world.Started(job);
  ASSERT_TRUE(world.Send(Resize{job, 2}));
  EXPECT_THAT(world.effects, ElementsAre());
  ASSERT_TRUE(world.Send(Cancel{job}));
  EXPECT_EQ(CodeOf(world.Send(Resize{job, 1})), ErrorCode::kConflict);
}

TEST_F(StepTest, CheckpointNowReachesRankZerosWorkerAndStopsNothing) {
  const JobId job = world.AddQueued(1, World::Request(1, 1));
  EXPECT_EQ(CodeOf(world.Send(CheckpointNow{job})), ErrorCode::kConflict);
  world.Tick();
  world.Started(job);
  ASSERT_TRUE(world.Send(CheckpointNow{job}));
  EXPECT_THAT(world.effects, ElementsAre(Effect{CheckpointGang{node, job, Attempt{1}}}));
  EXPECT_TRUE(world.new_facts.empty());
  EXPECT_EQ(StateName(job), JobState::kRunning);
}

TEST_F(StepTest, PauseNeverCountsAsAFailure) {
  JobRequest request = World::Request(1, 1);
  request.retry_max_attempts = 1;
  const JobId job = RunningJob(1, request);
  for (int i = 0; i < 3; ++i) {
    ASSERT_TRUE(world.Send(Pause{job}));
    ASSERT_TRUE(world.Send(world.Ended(job, GangOutcome::kReleased)));
    ASSERT_TRUE(world.Send(Resume{job}));
    world.Tick();
    world.Started(job);
  }
  EXPECT_EQ(StateName(job), JobState::kRunning);
}

TEST_F(StepTest, ConsecutiveFailuresWithoutACheckpointEndTheJob) {
  const JobId job = RunningJob(1, World::Request(1, 1));  // max_attempts 3
  const auto crash = [&] {
    ReportEnded report = world.Ended(job, GangOutcome::kFailed);
    report.reason = FailureReason::kCrash;
    report.message = "rank 0 died";
    ASSERT_TRUE(world.Send(report));
    world.Tick();
  };
  crash();
  EXPECT_EQ(StateName(job), JobState::kRecovering);
  crash();
  world.Checkpoint(job, 5);  // counts from the start again
  crash();
  crash();
  crash();
  EXPECT_EQ(StateName(job), JobState::kRecovering);
  crash();
  EXPECT_EQ(StateName(job), JobState::kFailed);
  EXPECT_EQ(std::get<Failed>(world.At(job).phase).reason, FailureReason::kCrash);
  EXPECT_EQ(world.At(job).attempt, Attempt{6});
}

TEST_F(StepTest, AReasonThatIsNotRetriedEndsTheJobAtOnce) {
  const JobId job = RunningJob(1, World::Request(1, 1));
  ReportEnded report = world.Ended(job, GangOutcome::kFailed);
  report.reason = FailureReason::kNumeric;
  report.message = "loss is NaN at step 4";
  ASSERT_TRUE(world.Send(report));
  EXPECT_EQ(world.new_facts.size(), 2U);
  EXPECT_EQ(std::get<Failed>(world.At(job).phase).message, "loss is NaN at step 4");
}

TEST_F(StepTest, ReportsOfAnOlderAttemptChangeNothingAndAreFencedOff) {
  const JobId job = RunningJob(1, World::Request(1, 1));
  ReportEnded crashed = world.Ended(job, GangOutcome::kFailed);
  ASSERT_TRUE(world.Send(crashed));
  world.Tick();
  ASSERT_EQ(world.At(job).attempt, Attempt{2});
  const Ledger before = world.ledger;
  crashed.outcome = GangOutcome::kSucceeded;
  ASSERT_TRUE(world.Send(crashed));
  EXPECT_THAT(world.effects, IsEmpty());
  ASSERT_TRUE(world.Send(ReportCheckpoint{node, job, Attempt{1}, 99, "p", "d", 1}));
  EXPECT_THAT(world.effects,
              ElementsAre(Effect{StopGang{node, job, Attempt{1}, StopMode::kKill, "stale"}}));
  ASSERT_TRUE(world.Send(ReportStarted{node, job, Attempt{1}, 0}));
  EXPECT_EQ(world.effects.size(), 1U);
  world.Beat(node, {{job, Attempt{1}, false, {}}});
  EXPECT_THAT(world.effects,
              ElementsAre(Effect{StopGang{node, job, Attempt{1}, StopMode::kKill, "stale"}}));
  EXPECT_TRUE(world.ledger == before);
}

TEST_F(StepTest, ALaunchIsRepeatedUntilAHeartbeatListsIt) {
  const JobId job = world.AddQueued(1, World::Request(1, 1));
  world.Tick();
  ASSERT_EQ(world.effects.size(), 1U);
  world.Pass(milliseconds(500));
  world.Beat(node);
  world.Tick();
  EXPECT_THAT(world.effects, IsEmpty());  // backs off
  world.Pass(milliseconds(600));
  world.Tick();
  EXPECT_THAT(world.effects, ElementsAre(Effect{LaunchGang{node, job, Attempt{1}}}));
  world.Beat(node, {world.Seen(job)});
  world.Pass(std::chrono::seconds(5));
  world.Beat(node, {world.Seen(job)});
  world.Tick();
  EXPECT_THAT(world.effects, IsEmpty());
}

TEST_F(StepTest, AStopIsRepeatedWhileTheGangIsListed) {
  const JobId job = RunningJob(1, World::Request(1, 1));
  ASSERT_TRUE(world.Send(Pause{job}));
  world.Pass(milliseconds(1100));
  world.Beat(node, {world.Seen(job)});
  world.Tick();
  EXPECT_THAT(world.effects,
              ElementsAre(Effect{StopGang{node, job, Attempt{1}, StopMode::kCheckpoint, "pause"}}));
}

TEST_F(StepTest, AWorkerNotHeardOfIsLostAndItsGangsRecover) {
  const JobId job = RunningJob(1, World::Request(1, 1));
  world.Pass(milliseconds(7900));
  world.Tick();
  EXPECT_THAT(world.new_facts, IsEmpty());
  world.Pass(milliseconds(200));
  world.Tick();
  ASSERT_EQ(world.new_facts.size(), 2U);
  EXPECT_EQ(std::get<AttemptFailed>(world.new_facts[0]).reason, FailureReason::kWorkerLost);
  EXPECT_EQ(std::get<NodeLost>(world.new_facts[1]).node, node);
  EXPECT_EQ(StateName(job), JobState::kRecovering);
  EXPECT_EQ(CodeOf(world.Send(Heartbeat{node})), ErrorCode::kNotFound);
}

TEST_F(StepTest, AfterARestartWorkersGetTheirGraceAndKeepTheirGangs) {
  const JobId job = RunningJob(1, World::Request(1, 1));
  World next;
  next.ledger = world.Replayed();
  ASSERT_TRUE(next.ledger == world.ledger);
  next.now = Instant{milliseconds(3)};  // another process, another clock
  next.Start();
  next.Tick();
  next.Pass(milliseconds(7000));
  next.Tick();
  EXPECT_THAT(next.new_facts, IsEmpty());
  ASSERT_TRUE(next.Send(RegisterNode{.node = NodeId{99},
                                     .name = "worker-1",
                                     .session = 7,
                                     .version = "1",
                                     .slots = 4,
                                     .cores = 4,
                                     .memory_bytes = std::uint64_t{64} << 30,
                                     .cpu_model = "",
                                     .numerics_fingerprint = "cpu",
                                     .gangs = {next.Seen(job)}}));
  EXPECT_THAT(next.new_facts, IsEmpty());
  EXPECT_THAT(next.effects, IsEmpty());
  next.Beat(node, {next.Seen(job)});
  next.Pass(milliseconds(7000));
  next.Tick();
  EXPECT_THAT(next.new_facts, IsEmpty());
  EXPECT_EQ(next.At(job).attempt, Attempt{1});
}

TEST_F(StepTest, AWorkerProcessThatRestartedWithoutItsGangLostIt) {
  const JobId job = RunningJob(1, World::Request(1, 1));
  ASSERT_TRUE(world.Send(RegisterNode{.node = NodeId{99},
                                      .name = "worker-1",
                                      .session = 8,
                                      .version = "1",
                                      .slots = 4,
                                      .cores = 4,
                                      .memory_bytes = std::uint64_t{64} << 30,
                                      .cpu_model = "",
                                      .numerics_fingerprint = "cpu",
                                      .gangs = {}}));
  ASSERT_EQ(world.new_facts.size(), 2U);
  EXPECT_EQ(std::get<AttemptFailed>(world.new_facts[0]).job, job);
  EXPECT_EQ(std::get<NodeRegistered>(world.new_facts[1]).node, node);
}

TEST_F(StepTest, AGangThatItsWorkerNoLongerListsIsLost) {
  const JobId job = RunningJob(1, World::Request(1, 1));
  for (int i = 0; i < 17; ++i) {
    world.Pass(milliseconds(500));
    world.Beat(node);
  }
  world.Tick();
  ASSERT_EQ(world.new_facts.size(), 1U);
  EXPECT_EQ(std::get<AttemptFailed>(world.new_facts[0]).job, job);
}

TEST_F(StepTest, MaxDurationStopsAndFailsWithTimeout) {
  JobRequest request = World::Request(1, 1);
  request.max_duration_ms = 3000;
  const JobId job = RunningJob(1, request);
  world.Pass(milliseconds(2000));
  ASSERT_TRUE(world.Send(Pause{job}));
  ASSERT_TRUE(world.Send(world.Ended(job, GangOutcome::kReleased)));
  world.Pass(milliseconds(2000));  // paused time is free
  world.Beat(node);
  ASSERT_TRUE(world.Send(Resume{job}));
  world.Tick();
  world.Started(job);
  world.Pass(milliseconds(900));
  world.Beat(node, {world.Seen(job)});
  world.Tick();
  EXPECT_THAT(world.new_facts, IsEmpty());
  world.Pass(milliseconds(200));
  world.Tick();
  ExpectOnly(StopRequested{job, Attempt{2}, StopWhy::kTimeout, WallTime{1}});
  ASSERT_TRUE(world.Send(world.Ended(job, GangOutcome::kReleased)));
  EXPECT_EQ(std::get<Failed>(world.At(job).phase).reason, FailureReason::kTimeout);
}

TEST_F(StepTest, DrainRequeuesEverythingAndStartsNothing) {
  const JobId job = RunningJob(1, World::Request(1, 1));
  Observe(world.liveness, Sighting{DrainBegun{}}, world.now);
  ASSERT_TRUE(world.Send(DrainAll{}));
  EXPECT_THAT(world.effects,
              ElementsAre(Effect{StopGang{node, job, Attempt{1}, StopMode::kCheckpoint, "drain"}}));
  ASSERT_TRUE(world.Send(world.Ended(job, GangOutcome::kReleased)));
  EXPECT_EQ(StateName(job), JobState::kQueued);
  world.Tick();
  EXPECT_THAT(world.new_facts, IsEmpty());
  EXPECT_THAT(world.effects, IsEmpty());
}

TEST_F(StepTest, SuccessRegistersTheModelOnce) {
  const JobId job = RunningJob(1, World::Request(1, 1));
  const ReportEnded done = world.Ended(job, GangOutcome::kSucceeded);
  ASSERT_TRUE(world.Send(done));
  EXPECT_THAT(world.effects, ElementsAre(Effect{RegisterModel{job}}));
  ASSERT_TRUE(world.Send(done));
  EXPECT_THAT(world.effects, IsEmpty());
  EXPECT_THAT(world.new_facts, IsEmpty());
}

TEST_F(StepTest, AGangThatNoRegisteredWorkersCouldHoldIsRefusedAtSubmit) {
  EXPECT_EQ(CodeOf(world.Send(Submit{.job = JobId{1},
                                     .request = World::Request(8, 8),
                                     .spec_json = "",
                                     .idempotency_key = "",
                                     .body_digest = "",
                                     .held = false})),
            ErrorCode::kInvalid);
  EXPECT_TRUE(world.ledger.jobs.empty());
}

TEST_F(StepTest, JobsAreFoundByIdPrefixAndNewestName) {
  JobRequest request = World::Request(1, 1);
  const JobId old = world.AddJob(0x1000000000, request);
  const JobId young = world.AddJob(0x2000000000, request);
  EXPECT_EQ(FindJobByText(world.ledger, "job")->id, young);
  EXPECT_EQ(FindJobByText(world.ledger, old.ToString())->id, old);
  EXPECT_EQ(FindJobByText(world.ledger, old.ToString().substr(0, 4))->id, old);
  EXPECT_EQ(FindJobByText(world.ledger, "j-"), nullptr);
  EXPECT_EQ(FindJobByText(world.ledger, "nobody"), nullptr);
}

}  // namespace
}  // namespace tutti::core
