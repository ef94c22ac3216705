// Emptying workers over HTTP and the wire.
#include "with_worker.h"

namespace tutti::coordinator {
namespace {

TEST_F(WithWorker, DrainStopsGangsAndPlacesNothing) {
  const wire::LaunchGang launch = Run("drained");
  EXPECT_EQ(coordinator.Call("POST", "/api/v1/drain").body["running"], 1);
  const auto stop = worker->Await(IsStop);
  ASSERT_TRUE(stop);
  EXPECT_EQ(stop->stop_gang().reason(), "drain");
  wire::GangReport ended = ReportOf(launch);
  ended.mutable_ended()->set_outcome(wire::GangEnded::RELEASED);
  ASSERT_TRUE(worker->Report(ended));
  EXPECT_EQ(coordinator.Call("POST", "/api/v1/drain").body["running"], 0);
  EXPECT_EQ(Job(launch.job())["state"], "queued");
}

TEST_F(WithWorker, DrainingAWorkerStopsItsGangsAndIsShown) {
  const wire::LaunchGang launch = Run("drained");
  const Answer drained = coordinator.Call("POST", "/api/v1/workers/worker-1/drain");
  EXPECT_EQ(drained.status, 200) << drained.text;
  EXPECT_EQ(drained.body["draining"], true);
  const auto stop = worker->Await(IsStop);
  ASSERT_TRUE(stop);
  EXPECT_EQ(stop->stop_gang().reason(), "drain");
  EXPECT_EQ(Job(launch.job())["reason"], "drain");
  wire::GangReport ended = ReportOf(launch);
  ended.mutable_ended()->set_outcome(wire::GangEnded::RELEASED);
  ASSERT_TRUE(worker->Report(ended));
  EXPECT_EQ(Job(launch.job())["reason"], "pool_down");
  const std::string id = drained.body["id"];
  EXPECT_EQ(coordinator.Get("/api/v1/workers/" + id).body["draining"], true);
  EXPECT_EQ(coordinator.Call("POST", "/api/v1/workers/" + id + "/undrain").body["draining"], false);
  EXPECT_TRUE(worker->Await([](const wire::ToWorker& m) { return m.has_launch_gang(); }));
  EXPECT_EQ(coordinator.Call("POST", "/api/v1/workers/nobody/drain").status, 404);
}

}  // namespace
}  // namespace tutti::coordinator
