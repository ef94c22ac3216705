// The program with a worker that speaks the real wire: a job's whole life, and what a worker may
// not.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <sys/resource.h>

#include <thread>

#include "common/wire/protocol.h"
#include "with_worker.h"

namespace tutti::coordinator {
namespace {

using testing::HasSubstr;

TEST_F(WithWorker, AJobRunsToItsModel) {
  const wire::LaunchGang launch = Run("sections");
  EXPECT_EQ(launch.attempt(), 1U);
  EXPECT_EQ(launch.size(), 1U);
  EXPECT_FALSE(launch.resume());
  EXPECT_EQ(json::parse(launch.spec_json())["name"], "sections");
  EXPECT_EQ(Job(launch.job())["state"], "running");
  EXPECT_EQ(Job(launch.job())["estimate"]["total_steps"], 40);

  Say(launch, {{"type", "progress"},
               {"step", 10},
               {"total_steps", 40},
               {"epoch", 0.5},
               {"loss", 1.5},
               {"learning_rate", 1e-4},
               {"grad_norm", 2.0},
               {"tokens_per_second", 100.0},
               {"rows_per_second", 5.0},
               {"step_seconds", 0.01},
               {"eta_seconds", 3.0},
               {"phase_seconds", {{"forward", 0.1}}},
               {"reduced_bytes", {{"memory", 4096.0}, {"other", 1.0}}},
               {"reduced_seconds", {{"memory", 0.5}, {"other", 1.0}}},
               {"tokens_total", 1000},
               {"samples_total", 80}});
  Say(launch, {{"type", "eval"},
               {"step", 10},
               {"metrics", {{"accuracy", 0.6}, {"loss", 1.2}}},
               {"best", true}});
  ASSERT_TRUE(WaitUntil([&] { return !Job(launch.job())["eval"].is_null(); }));
  const json shown = Job(launch.job());
  EXPECT_EQ(shown["progress"]["step"], 10);
  EXPECT_EQ(shown["progress"]["grad_norm"], 2.0);
  EXPECT_EQ(shown["eval"]["accuracy"], 0.6);

  Checkpoint(launch, 20);
  EXPECT_EQ(Job(launch.job())["checkpoints"][0]["step"], 20);

  const std::string weights = "the weights";
  coordinator.PutBlob(weights);
  ASSERT_TRUE(worker->Report(Succeeded(launch, weights)));
  const json done = Job(launch.job());
  EXPECT_EQ(done["state"], "succeeded");
  EXPECT_EQ(done["result"]["metrics"]["accuracy"], 0.75);
  EXPECT_EQ(done["measured"]["memory_bytes_peak"], 123);
  const fs::path model = done["result"]["path"].get<std::string>();
  EXPECT_TRUE(fs::exists(model / "model.safetensors"));
  EXPECT_EQ(coordinator.Get("/api/v1/models/sections").body["digest"], done["result"]["digest"]);
  EXPECT_EQ(coordinator.Get("/api/v1/models/sections/files/model.safetensors").text, weights);
  EXPECT_THAT(coordinator.Get("/metrics").text,
              HasSubstr("tutti_train_step{job=\"" + launch.job() + "\"} 10"));
  EXPECT_THAT(coordinator.Get("/metrics").text,
              HasSubstr("tutti_allreduce_bytes_total{path=\"memory\"} 4096\n"));
  EXPECT_THAT(coordinator.Get("/metrics").text,
              HasSubstr("tutti_allreduce_duration_seconds_sum{path=\"memory\"} 0.05\n"));
}

TEST_F(WithWorker, AReportSaidTwiceChangesNothing) {
  const wire::LaunchGang launch = Run("twice");
  Checkpoint(launch, 5);
  Checkpoint(launch, 5);
  EXPECT_EQ(Job(launch.job())["checkpoints"].size(), 1U);
  const std::string weights = "w";
  coordinator.PutBlob(weights);
  ASSERT_TRUE(worker->Report(Succeeded(launch, weights)));
  ASSERT_TRUE(worker->Report(Succeeded(launch, weights)));
  EXPECT_EQ(Job(launch.job())["attempts"].size(), 1U);
}

TEST_F(WithWorker, AModelThatDidNotArriveFailsTheAttempt) {
  const wire::LaunchGang launch = Run("lost-model");
  ASSERT_TRUE(worker->Report(Succeeded(launch, "never uploaded")));
  const json job = Job(launch.job());
  EXPECT_EQ(job["state"], "failed");
  EXPECT_EQ(job["reason"], "internal");
  EXPECT_THAT(job["message"].get<std::string>(), HasSubstr("model.safetensors"));
}

TEST_F(WithWorker, InspectSaysNoWithFileAndLine) {
  const std::string id = coordinator.Submit("bad-row");
  const auto tool = worker->Await(IsTool);
  ASSERT_TRUE(tool);
  const json request = json::parse(tool->run_tool().request_json());
  EXPECT_EQ(request["model_dir"], "model");
  EXPECT_EQ(request["train_path"], "train/rows.jsonl");
  EXPECT_TRUE(request["eval_path"].is_null());
  std::vector<std::string> places;
  for (const auto& file : tool->run_tool().files()) places.push_back(file.path());
  EXPECT_THAT(places, testing::UnorderedElementsAre("model/config.json", "train/rows.jsonl"));
  AnswerTool(tool->run_tool().request_id(), false,
             {{"code", "invalid"}, {"message", "not JSON"}, {"where", "train/rows.jsonl:2"}});
  ASSERT_TRUE(WaitUntil([&] { return Job(id)["state"] == "failed"; }));
  EXPECT_EQ(Job(id)["reason"], "data");
  EXPECT_THAT(Job(id)["message"].get<std::string>(), HasSubstr("rows.jsonl:2"));
}

TEST_F(WithWorker, AToolThatBreaksIsAskedAgain) {
  const std::string id = coordinator.Submit("flaky");
  const auto first = worker->Await(IsTool);
  ASSERT_TRUE(first);
  AnswerTool(first->run_tool().request_id(), false,
             {{"code", "internal"}, {"message", "the zygote died"}});
  const auto second = worker->Await(IsTool);
  ASSERT_TRUE(second);
  EXPECT_NE(second->run_tool().request_id(), first->run_tool().request_id());
  AnswerTool(second->run_tool().request_id(), true, {{"estimate", {{"total_steps", 3}}}});
  EXPECT_TRUE(worker->Await(IsLaunch));
  EXPECT_EQ(Job(id)["estimate"]["total_steps"], 3);
}

TEST_F(WithWorker, PauseResumeAndTheNextAttemptGoesOnFromTheCheckpoint) {
  const wire::LaunchGang launch = Run("paused");
  const std::string path = "/api/v1/jobs/" + launch.job();
  EXPECT_EQ(coordinator.Post(path + "/pause").body["state"], "preempting");
  const auto stop = worker->Await(IsStop);
  ASSERT_TRUE(stop);
  EXPECT_EQ(stop->stop_gang().mode(), wire::StopGang::CHECKPOINT);
  Checkpoint(launch, 15);
  wire::GangReport ended = ReportOf(launch);
  ended.mutable_ended()->set_outcome(wire::GangEnded::RELEASED);
  ended.mutable_ended()->set_step(15);
  ASSERT_TRUE(worker->Report(ended));
  EXPECT_EQ(Job(launch.job())["state"], "paused");
  worker->Beat();
  ASSERT_EQ(coordinator.Post(path + "/resume").status, 200);
  const wire::LaunchGang again = Launched();
  EXPECT_EQ(again.attempt(), 2U);
  EXPECT_TRUE(again.resume());
  ASSERT_EQ(again.checkpoints_size(), 1);
  EXPECT_EQ(again.checkpoints(0).step(), 15U);
  const json attempts = Job(launch.job())["attempts"];
  EXPECT_EQ(attempts[0]["reason"], "pause");
  EXPECT_EQ(attempts[1]["from_step"], 15);
  EXPECT_THAT(attempts[1]["workers"], testing::ElementsAre("worker-1"));
}

TEST_F(WithWorker, ARestartedCoordinatorTakesTheRunningGangBack) {
  const wire::LaunchGang launch = Run("survivor");
  const std::string http = coordinator.url().substr(7);
  const std::string zmq = coordinator.zmq().substr(6);
  coordinator.Signal(SIGKILL);
  coordinator.Wait();
  ASSERT_TRUE(coordinator.Start(http, zmq)) << coordinator.log();
  // Heartbeats of a session it does not know are answered with Reregister.
  std::optional<wire::ToWorker> answer;
  ASSERT_TRUE(WaitUntil([&] {
    worker->Beat({Status(launch)});
    answer = worker->Receive(0.2);
    return answer && answer->has_reregister();
  }));
  wire::ToCoordinator message;
  *message.mutable_register_() = worker->Registration();
  *message.mutable_register_()->add_gangs() = Status(launch);
  worker->Send(std::move(message));
  ASSERT_TRUE(worker->Await([](const wire::ToWorker& m) { return m.has_registered(); }));
  worker->Beat({Status(launch)});
  Checkpoint(launch, 10);
  const json job = Job(launch.job());
  EXPECT_EQ(job["state"], "running");
  EXPECT_EQ(job["attempts"].size(), 1U);
  const json gangs = coordinator.Get("/api/v1/workers").body["data"][0]["gangs"];
  EXPECT_EQ(gangs[0]["rank_pids"][0], 777);
}

TEST_F(WithWorker, AStaleAttemptIsKilledAndItsReportsChangeNothing) {
  const wire::LaunchGang launch = Run("fenced");
  wire::GangReport failed = ReportOf(launch);
  failed.mutable_ended()->set_outcome(wire::GangEnded::FAILED);
  failed.mutable_ended()->set_reason("crash");
  failed.mutable_ended()->set_message("rank 0 was killed by signal 9");
  ASSERT_TRUE(worker->Report(failed));
  worker->Beat();
  const wire::LaunchGang second = Launched();
  ASSERT_EQ(second.attempt(), 2U);
  wire::GangReport stale = ReportOf(launch);
  stale.mutable_checkpoint()->set_step(99);
  ASSERT_TRUE(worker->Report(stale));
  EXPECT_EQ(Job(launch.job())["checkpoints"].size(), 0U);
  worker->Beat({Status(launch), Status(second)});
  const auto stop = worker->Await(IsStop);
  ASSERT_TRUE(stop);
  EXPECT_EQ(stop->stop_gang().attempt(), 1U);
  EXPECT_EQ(stop->stop_gang().mode(), wire::StopGang::KILL);
  EXPECT_EQ(Job(launch.job())["attempts"][0]["reason"], "crash");
}

TEST_F(WithWorker, LogsArriveInOrderAndOnce) {
  const wire::LaunchGang launch = Run("talks");
  const auto chunk = [&](std::uint64_t offset, const std::string& data) {
    wire::ToCoordinator message;
    auto* log = message.mutable_log_chunk();
    log->set_job(launch.job());
    log->set_attempt(launch.attempt());
    log->set_offset(offset);
    log->set_data(data);
    worker->Send(std::move(message));
    const auto ack = worker->Await([](const wire::ToWorker& m) { return m.has_log_ack(); });
    return ack ? ack->log_ack().up_to_offset() : 0;
  };
  EXPECT_EQ(chunk(0, "step 1\n"), 7U);
  EXPECT_EQ(chunk(0, "step 1\n"), 7U);  // said again
  EXPECT_EQ(chunk(3, "p 1\nstep 2\n"), 14U);
  EXPECT_EQ(chunk(20, "lost before"), 14U);  // go back
  EXPECT_EQ(chunk(14, "step 3\n"), 21U);
  const Answer all = coordinator.Get("/api/v1/jobs/talks/logs");
  EXPECT_EQ(all.text, "step 1\nstep 2\nstep 3\n");
  EXPECT_EQ(all.next_offset, "21");
  EXPECT_EQ(coordinator.Get("/api/v1/jobs/talks/logs?offset=14").text, "step 3\n");
  EXPECT_EQ(coordinator.Get("/api/v1/jobs/talks/logs?rank=3").text, "");
}

TEST_F(WithWorker, TryEvalAndInspectRunOnAWorker) {
  const wire::LaunchGang launch = Run("model");
  coordinator.PutBlob("w");
  ASSERT_TRUE(worker->Report(Succeeded(launch, "w")));
  Answer answer;
  const auto ask = [&](const std::string& target, const json& body, bool ok, const json& reply) {
    std::thread client([&] { answer = coordinator.Post(target, body); });
    const auto tool = worker->Await(IsTool);
    if (tool) AnswerTool(tool->run_tool().request_id(), ok, reply);
    client.join();
    return tool ? json::parse(tool->run_tool().request_json()) : json();
  };
  json request = ask("/api/v1/models/model/try", {{"texts", {"hello"}}, {"top_k", 1}}, true,
                     {{"results", {{{{"label", "x"}, {"score", 0.9}}}}}});
  EXPECT_EQ(request["model_dir"], "model");
  EXPECT_EQ(request["top_k"], 1);
  EXPECT_EQ(answer.body["results"][0][0]["label"], "x");

  const std::string digest = coordinator.PutBlob("{\"text\": \"a\", \"label\": \"x\"}\n");
  const json data = {{"path", "some/eval.jsonl"}, {"digest", digest}, {"size_bytes", 28}};
  request = ask("/api/v1/models/model/eval", {{"data", data}}, true, {{"accuracy", 1.0}});
  EXPECT_EQ(request["data_path"], "data/eval.jsonl");
  EXPECT_EQ(request["spec"]["name"], "model");
  EXPECT_EQ(answer.body["accuracy"], 1.0);

  json body = coordinator.Submission("dry");
  body.erase("hold");
  ask("/api/v1/inspect", body, true, {{"estimate", {{"total_steps", 30}}}, {"labels", {"x"}}});
  EXPECT_EQ(answer.body["estimate"]["total_steps"], 30);
  EXPECT_EQ(answer.body["report"]["labels"][0], "x");
  ask("/api/v1/inspect", body, false,
      {{"error", {{"code", "invalid"}, {"message", "bad"}, {"where", "train/rows.jsonl:2"}}}});
  EXPECT_EQ(answer.status, 422);
  EXPECT_EQ(answer.body["error"]["where"], "train/rows.jsonl:2");
  EXPECT_EQ(coordinator.Post("/api/v1/models/model/try", {{"texts", json::array()}}).status, 422);
  EXPECT_EQ(coordinator.Post("/api/v1/models/none/try", {{"texts", {"a"}}}).status, 404);
}

TEST_F(WithWorker, AGangThatNoWorkerCouldHoldIsRefused) {
  json body = coordinator.Submission("huge");
  body["spec"]["training"]["shards"] = 64;
  body["spec"]["training"]["global_batch_size"] = 512;
  body["spec"]["resources"]["ranks"] = {{"min", 64}, {"max", 64}};
  const Answer answer = coordinator.Post("/api/v1/jobs", body);
  EXPECT_EQ(answer.status, 422) << answer.text;
  EXPECT_THAT(answer.body["error"]["message"].get<std::string>(), HasSubstr("64"));
}

TEST_F(WithWorker, AnotherProtocolIsRefusedWithBothVersions) {
  FakeWorker other(coordinator.dir(), coordinator.zmq(), "worker-2");
  other.session = 22;
  wire::ToCoordinator message;
  *message.mutable_register_() = other.Registration();
  message.mutable_register_()->set_protocol(wire::kProtocol + 1);
  other.Send(std::move(message));
  const auto refused = other.Await([](const wire::ToWorker& m) { return m.has_refused(); });
  ASSERT_TRUE(refused);
  EXPECT_THAT(refused->refused().message(), HasSubstr("0.0.test"));
  EXPECT_THAT(refused->refused().message(),
              HasSubstr("protocol " + std::to_string(wire::kProtocol)));
}

TEST_F(WithWorker, AWorkerCannotTakeAnothersName) {
  FakeWorker other(coordinator.dir(), coordinator.zmq(), "worker-2");
  other.session = 22;
  wire::ToCoordinator message;
  *message.mutable_register_() = other.Registration();
  message.mutable_register_()->set_name("worker-1");
  other.Send(std::move(message));
  EXPECT_TRUE(other.Await([](const wire::ToWorker& m) { return m.has_refused(); }));
  // Nor its session.
  other.session = worker->session;
  other.Beat();
  EXPECT_TRUE(other.Await([](const wire::ToWorker& m) { return m.has_reregister(); }));
}

TEST_F(WithWorker, AnUnknownKeyIsNotLetIn) {
  FakeWorker stranger(coordinator.dir(), coordinator.zmq(), "stranger", false);
  wire::ToCoordinator message;
  *message.mutable_register_() = stranger.Registration();
  stranger.Send(std::move(message));
  ASSERT_TRUE(
      WaitUntil([&] { return coordinator.log().find("worker_key_refused") != std::string::npos; }));
  EXPECT_FALSE(stranger.Receive(0.2));
  EXPECT_EQ(coordinator.Get("/api/v1/workers").body["data"].size(), 1U);
}

TEST_F(WithWorker, GarbageIsCountedAndKillsNothing) {
  worker->SendRaw("");
  worker->SendRaw(std::string(1000, '\xff'));
  worker->SendParts({"a", "b", "c"});
  // Nested far beyond what any message needs.
  std::string nested;
  for (int i = 0; i < 2000; ++i) nested = "\x0b" + nested + "\x0c";
  worker->SendRaw(nested);
  worker->Beat();
  ASSERT_TRUE(worker->Await([](const wire::ToWorker& m) { return m.has_heartbeat_ack(); }));
  const std::string text = coordinator.Get("/metrics").text;
  EXPECT_THAT(text, HasSubstr("tutti_wire_dropped_frames_total{reason=\"malformed\"} 3"));
  EXPECT_THAT(text, HasSubstr("tutti_wire_dropped_frames_total{reason=\"parts\"} 1"));
}

TEST_F(WithWorker, AFrameBeyondTheLimitEndsTheConnectionAndNothingElse) {
  worker->SendRaw(std::string(static_cast<std::size_t>(wire::kMaxMessageBytes) + 1, 'x'));
  // It connects anew; its session goes on.
  EXPECT_TRUE(WaitUntil([&] {
    worker->Beat();
    const auto answer = worker->Receive(0.2);
    return answer && answer->has_heartbeat_ack();
  }));
}

TEST_F(WithWorker, CheckpointAndResizeReachTheGang) {
  const wire::LaunchGang launch = Run("asked");
  const std::string path = "/api/v1/jobs/" + launch.job();
  EXPECT_EQ(coordinator.Post(path + "/checkpoint").status, 200);
  const auto checkpoint =
      worker->Await([](const wire::ToWorker& m) { return m.has_checkpoint_gang(); });
  ASSERT_TRUE(checkpoint);
  EXPECT_EQ(checkpoint->checkpoint_gang().attempt(), launch.attempt());
  // One shard: one rank is all there can be.
  EXPECT_EQ(coordinator.Post(path + "/resize", {{"ranks", 2}}).status, 422);
  EXPECT_EQ(coordinator.Post(path + "/resize", {{"ranks", 1}}).body["state"], "running");
}

TEST_F(WithWorker, WaitAnswersWhenTheJobEnds) {
  const wire::LaunchGang launch = Run("awaited");
  const std::string path = "/api/v1/jobs/" + launch.job();
  EXPECT_EQ(coordinator.Get(path + "/wait?timeout_ms=1").body["state"], "running");
  Answer answer;
  std::thread client([&] { answer = coordinator.Get(path + "/wait?timeout_ms=60000"); });
  coordinator.PutBlob("w");
  EXPECT_TRUE(worker->Report(Succeeded(launch, "w")));
  client.join();
  EXPECT_EQ(answer.body["state"], "succeeded");
}

// A file-size limit stands for a full disk: ranks live on, nothing is acknowledged falsely.
TEST_F(WithWorker, WhileTheStoreCannotWriteLeasesAreKeptAndReportsNotAcknowledged) {
  const wire::LaunchGang launch = Run("patient");
  const rlimit small{4096, RLIM_INFINITY};
  ASSERT_EQ(::prlimit(coordinator.pid(), RLIMIT_FSIZE, &small, nullptr), 0);
  wire::ToCoordinator message;
  auto* report = message.mutable_gang_report();
  *report = ReportOf(launch);
  report->set_report_id(1000);
  report->mutable_checkpoint()->set_step(7);
  worker->Send(message);
  ASSERT_TRUE(WaitUntil([&] { return coordinator.Get("/healthz").body["read_only"] == true; }));
  worker->Send(message);
  worker->Beat({Status(launch)});
  const auto answer = worker->Await(
      [](const wire::ToWorker& m) { return m.has_heartbeat_ack() || m.has_report_ack(); });
  ASSERT_TRUE(answer);
  EXPECT_TRUE(answer->has_heartbeat_ack());
  EXPECT_EQ(Job(launch.job())["state"], "running");
  EXPECT_EQ(Job(launch.job())["checkpoints"].size(), 0U);
  const rlimit none{RLIM_INFINITY, RLIM_INFINITY};
  ASSERT_EQ(::prlimit(coordinator.pid(), RLIMIT_FSIZE, &none, nullptr), 0);
  ASSERT_TRUE(WaitUntil([&] { return coordinator.Get("/healthz").body["read_only"] == false; }));
  worker->Send(message);
  EXPECT_TRUE(worker->Await([](const wire::ToWorker& m) { return m.has_report_ack(); }));
  EXPECT_EQ(Job(launch.job())["checkpoints"].size(), 1U);
}

TEST_F(WithWorker, AGoodbyeFreesItsGangsAtOnce) {
  const wire::LaunchGang launch = Run("left");
  wire::ToCoordinator message;
  message.mutable_goodbye();
  worker->Send(std::move(message));
  ASSERT_TRUE(WaitUntil([&] { return Job(launch.job())["state"] == "recovering"; }));
  EXPECT_EQ(Job(launch.job())["attempts"][0]["reason"], "worker_lost");
  EXPECT_EQ(coordinator.Get("/api/v1/workers").body["data"][0]["state"], "left");
}

}  // namespace
}  // namespace tutti::coordinator
