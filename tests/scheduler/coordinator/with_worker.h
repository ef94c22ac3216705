// The coordinator's program and one worker that speaks the real wire. For tests; main thread.
#pragma once

#include <gtest/gtest.h>

#include <optional>
#include <string>

#include "common/digest/sha256.h"
#include "fake_worker.h"
#include "process.h"

namespace tutti::coordinator {

inline bool IsTool(const wire::ToWorker& m) { return m.has_run_tool(); }
inline bool IsLaunch(const wire::ToWorker& m) { return m.has_launch_gang(); }
inline bool IsStop(const wire::ToWorker& m) { return m.has_stop_gang(); }

class WithWorker : public testing::Test {
 protected:
  ScratchFolder scratch;
  CoordinatorProcess coordinator{scratch.path() / "data"};
  std::optional<FakeWorker> worker;

  void SetUp() override {
    ASSERT_TRUE(coordinator.Start()) << coordinator.log();
    worker.emplace(coordinator.dir(), coordinator.zmq(), "worker-1");
    ASSERT_NE(worker->Join(), "") << coordinator.log();
  }

  void AnswerTool(std::uint64_t id, bool ok, const json& answer) {
    wire::ToCoordinator message;
    auto* result = message.mutable_tool_result();
    result->set_request_id(id);
    result->set_ok(ok);
    result->set_json(answer.dump());
    worker->Send(std::move(message));
  }
  // Answers the next inspection.
  void Admit() {
    const auto tool = worker->Await(IsTool);
    ASSERT_TRUE(tool) << coordinator.log();
    ASSERT_EQ(tool->run_tool().tool(), "inspect");
    AnswerTool(
        tool->run_tool().request_id(), true,
        {{"estimate", {{"rows", 8}, {"total_steps", 40}, {"memory_bytes_per_rank", 1 << 20}}},
         {"warnings", {"label z is only in eval"}}});
  }
  static wire::GangStatus Status(const wire::LaunchGang& launch) {
    wire::GangStatus status;
    status.set_job(launch.job());
    status.set_attempt(launch.attempt());
    status.add_rank_pids(777);
    return status;
  }
  static wire::GangReport ReportOf(const wire::LaunchGang& launch) {
    wire::GangReport report;
    report.set_job(launch.job());
    report.set_attempt(launch.attempt());
    return report;
  }
  // Submitted, admitted, launched, started.
  wire::LaunchGang Run(const std::string& name) {
    coordinator.Submit(name);
    Admit();
    return Launched();
  }
  wire::LaunchGang Launched() {
    const auto launch = worker->Await(IsLaunch);
    EXPECT_TRUE(launch) << coordinator.log();
    if (!launch) return {};
    worker->Beat({Status(launch->launch_gang())});
    wire::GangReport started = ReportOf(launch->launch_gang());
    started.mutable_started()->set_ranks(launch->launch_gang().size());
    if (!launch->launch_gang().checkpoints().empty()) {
      started.mutable_started()->set_from_step(launch->launch_gang().checkpoints(0).step());
    }
    EXPECT_TRUE(worker->Report(started));
    return launch->launch_gang();
  }
  void Checkpoint(const wire::LaunchGang& launch, std::uint64_t step) {
    wire::GangReport report = ReportOf(launch);
    report.mutable_checkpoint()->set_step(step);
    report.mutable_checkpoint()->set_path("/jobs/step-" + std::to_string(step) + ".h5");
    report.mutable_checkpoint()->set_state_digest("sha256:aa");
    ASSERT_TRUE(worker->Report(report));
  }
  wire::GangReport Succeeded(const wire::LaunchGang& launch, const std::string& weights) {
    wire::GangReport report = ReportOf(launch);
    auto* ended = report.mutable_ended();
    ended->set_outcome(wire::GangEnded::SUCCEEDED);
    ended->set_step(40);
    ended->set_memory_peak_bytes(123);
    ended->set_metrics_json(R"({"accuracy": 0.75})");
    const std::string digest = Sha256Of(weights).ToString();
    ended->mutable_model()->set_digest(digest);
    auto* file = ended->mutable_model()->add_files();
    file->set_path("model.safetensors");
    file->set_digest(digest);
    file->set_size_bytes(weights.size());
    return report;
  }
  void Say(const wire::LaunchGang& launch, const json& payload) {
    wire::ToCoordinator message;
    auto* progress = message.mutable_gang_progress();
    progress->set_job(launch.job());
    progress->set_attempt(launch.attempt());
    progress->set_payload_json(payload.dump());
    worker->Send(std::move(message));
  }
  json Job(const std::string& id) { return coordinator.Get("/api/v1/jobs/" + id).body; }
};

}  // namespace tutti::coordinator
