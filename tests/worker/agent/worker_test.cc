// The worker program against a coordinator that the test plays: real processes, real MPI ranks.
#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <filesystem>
#include <nlohmann/json.hpp>

#include "common/digest/sha256.h"
#include "common/file/file.h"
#include "tests/worker/agent/blob_server.h"
#include "tests/worker/agent/fake_coordinator.h"

namespace tutti::agent {
namespace {

namespace fs = std::filesystem;
using namespace std::chrono_literals;
using testing::HasSubstr;
using testing::SizeIs;

const std::string kJob = "j-00000001";

bool Alive(int pid) {
  const auto stat = ReadFile("/proc/" + std::to_string(pid) + "/stat", Bytes{4096});
  if (!stat) return false;
  const std::size_t end = stat->rfind(") ");
  return end != std::string::npos && (*stat)[end + 2] != 'Z' && (*stat)[end + 2] != 'X';
}

class Worker : public testing::Test {
 protected:
  void SetUp() override {
    char name[] = "/tmp/tutti-worker-XXXXXX";
    folder_ = mkdtemp(name);
    coordinator_.emplace(folder_ / "server.pub", blobs_.url());
    StartWorker();
    ASSERT_TRUE(Until([&] { return coordinator_->heartbeats > 0; })) << Output();
  }

  void TearDown() override {
    if (worker_ > 0) {
      kill(worker_, SIGTERM);
      EXPECT_EQ(WaitForWorker(), 0);
    }
    if (HasFailure()) std::cerr << Output();
    coordinator_.reset();
    fs::remove_all(folder_);
  }

  void StartWorker() {
    const std::vector<std::string> words = {TUTTI_WORKER,
                                            "--dir",
                                            Dir(),
                                            "--name",
                                            "one",
                                            "--coordinator",
                                            coordinator_->address(),
                                            "--server-key",
                                            folder_ / "server.pub",
                                            "--allow-dir",
                                            folder_ / "allowed",
                                            "--jobs-dir",
                                            folder_ / "jobs",
                                            "--slots",
                                            "4",
                                            "--engine",
                                            TUTTI_STAND_IN_ENGINE};
    std::vector<char*> argv;
    for (const std::string& word : words) argv.push_back(const_cast<char*>(word.c_str()));
    argv.push_back(nullptr);
    const fs::path log = folder_ / "worker.log";
    worker_ = fork();
    ASSERT_GE(worker_, 0);
    if (worker_ > 0) return;
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    const int out = open(log.c_str(), O_WRONLY | O_CREAT | O_APPEND, 0600);
    dup2(out, STDOUT_FILENO);
    dup2(out, STDERR_FILENO);
    execv(argv[0], argv.data());
    _exit(127);
  }

  // Its exit status; -1 when it was killed or did not end.
  int WaitForWorker() {
    int status = 0;
    const bool ended = Until([&] { return waitpid(worker_, &status, WNOHANG) == worker_; });
    worker_ = 0;
    return ended && WIFEXITED(status) ? WEXITSTATUS(status) : -1;
  }

  bool Until(const std::function<bool()>& condition) { return coordinator_->Until(condition); }
  std::string Dir() const { return folder_ / "one"; }
  std::string Output() const { return ReadFile(folder_ / "worker.log").value_or("no output\n"); }
  std::size_t FilesIn(const fs::path& folder) const {
    std::error_code error;
    return static_cast<std::size_t>(
        std::distance(fs::directory_iterator(folder, error), fs::directory_iterator()));
  }

  std::string Spec(const std::string& script) {
    const std::string rows = "rows";
    const nlohmann::json train = {
        {"path", "train.jsonl"}, {"digest", blobs_.Add(rows)}, {"size_bytes", rows.size()}};
    return nlohmann::json{{"script", script}, {"inputs", {{"train", train}}}}.dump();
  }

  void Launch(const std::string& script, std::uint32_t attempt = 1, std::uint32_t ranks = 2) {
    wire::ToWorker message;
    wire::LaunchGang& launch = *message.mutable_launch_gang();
    launch.set_job(kJob);
    launch.set_attempt(attempt);
    launch.set_spec_json(Spec(script));
    launch.set_size(ranks);
    launch.set_local_ranks(ranks);
    coordinator_->Send(message);
  }
  void Stop(wire::StopGang::Mode mode, std::uint32_t attempt = 1) {
    wire::ToWorker message;
    message.mutable_stop_gang()->set_job(kJob);
    message.mutable_stop_gang()->set_attempt(attempt);
    message.mutable_stop_gang()->set_mode(mode);
    message.mutable_stop_gang()->set_reason("pause");
    coordinator_->Send(message);
  }
  // Launches ranks that train until they are stopped; their pids once they do.
  std::vector<int> LaunchForever(std::uint32_t attempt = 1) {
    coordinator_->progress.clear();
    Launch("forever", attempt);
    EXPECT_TRUE(Until([&] {
      return coordinator_->RankPids(kJob, attempt).size() == 2 && coordinator_->progress.size() > 2;
    }));
    return coordinator_->RankPids(kJob, attempt);
  }
  const wire::GangEnded& WaitForEnd(std::uint32_t attempt = 1) {
    static const wire::GangEnded kNone;
    const bool ended = Until([&] { return coordinator_->Ended(kJob, attempt) != nullptr; });
    EXPECT_TRUE(ended);
    return ended ? *coordinator_->Ended(kJob, attempt) : kNone;
  }
  void ExpectNothingLeft(const std::vector<int>& pids) {
    EXPECT_TRUE(Until([&] { return std::none_of(pids.begin(), pids.end(), Alive); }));
    EXPECT_TRUE(Until([&] { return FilesIn(Dir() + "/run") == 0; }));
  }

  void RunTool(std::uint64_t id, const std::string& request, std::uint32_t deadline_ms = 60'000,
               bool stream = false) {
    wire::ToWorker message;
    message.mutable_run_tool()->set_request_id(id);
    message.mutable_run_tool()->set_tool("inspect");
    message.mutable_run_tool()->set_request_json(request);
    message.mutable_run_tool()->set_deadline_ms(deadline_ms);
    message.mutable_run_tool()->set_stream(stream);
    wire::File& file = *message.mutable_run_tool()->add_files();
    file.set_path("rows.jsonl");
    file.set_digest(blobs_.Add("rows"));
    file.set_size_bytes(4);
    coordinator_->Send(message);
  }

  fs::path folder_;
  BlobServer blobs_;
  std::optional<FakeCoordinator> coordinator_;
  pid_t worker_ = 0;
};

TEST_F(Worker, RegistersWithWhatItHas) {
  ASSERT_THAT(coordinator_->registers, SizeIs(1));
  const wire::Register& message = coordinator_->registers[0];
  EXPECT_EQ(message.name(), "one");
  EXPECT_EQ(message.pid(), static_cast<std::uint32_t>(worker_));
  EXPECT_TRUE(Alive(static_cast<int>(message.zygote_pid())));
  EXPECT_EQ(message.resources().slots(), 4u);
  EXPECT_GE(message.resources().cores(), 1u);
  EXPECT_GT(message.resources().memory_bytes(), 0u);
  EXPECT_GT(message.resources().disk_free_bytes(), 0u);
  EXPECT_THAT(message.resources().numerics_fingerprint(), testing::StartsWith("sha256:"));
  EXPECT_EQ(*ReadFile(folder_ / "allowed/one.pub"), *ReadFile(Dir() + "/curve.pub"));
}

TEST_F(Worker, AGangSucceedsAndHandsItsModelOver) {
  Launch("succeed");
  const wire::GangEnded& ended = WaitForEnd();
  ASSERT_EQ(ended.outcome(), wire::GangEnded::SUCCEEDED) << ended.message();
  EXPECT_EQ(ended.model().digest(), Sha256Of("weights of " + kJob).ToString());
  EXPECT_THAT(ended.model().files(), SizeIs(2));
  for (const wire::File& file : ended.model().files()) EXPECT_TRUE(blobs_.Has(file.digest()));
  EXPECT_EQ(ended.metrics_json(), R"({"accuracy":0.5})");
  EXPECT_EQ(ended.step(), 10u);
  EXPECT_GT(ended.memory_peak_bytes(), 0u);
  ASSERT_TRUE(coordinator_->reports[0].has_started());
  EXPECT_EQ(coordinator_->reports[0].started().ranks(), 2u);
  EXPECT_THAT(coordinator_->progress, SizeIs(10));
  for (std::uint32_t rank = 0; rank < 2; ++rank) {
    EXPECT_EQ(coordinator_->logs[rank],
              "rank " + std::to_string(rank) + " of 2\na line on stderr\n");
  }
  ExpectNothingLeft({});
  EXPECT_EQ(FilesIn(Dir() + "/logs"), 0u);
  EXPECT_TRUE(Until([&] { return coordinator_->heartbeat.gangs_size() == 0; }));
}

TEST_F(Worker, OutputOfATalkativeRankArrivesWholeBeforeTheEnd) {
  coordinator_->log_window_bytes = 64 << 10;
  Launch("chatter");
  EXPECT_EQ(WaitForEnd().outcome(), wire::GangEnded::SUCCEEDED);
  std::string expected = "rank 0 of 2\na line on stderr\n";
  for (int i = 0; i < 20000; ++i) {
    expected += "line " + std::to_string(i) + " of a rank that talks a lot\n";
  }
  EXPECT_TRUE(coordinator_->logs[0] == expected) << coordinator_->logs[0].size();
}

TEST_F(Worker, AStopWithCheckpointReleasesTheGang) {
  const auto pids = LaunchForever();
  Stop(wire::StopGang::CHECKPOINT);
  EXPECT_EQ(WaitForEnd().outcome(), wire::GangEnded::RELEASED);
  const wire::GangReport& report = coordinator_->reports.at(1);
  ASSERT_TRUE(report.has_checkpoint());
  EXPECT_EQ(report.checkpoint().path(), folder_ / "jobs" / kJob / "checkpoints/3.h5");
  ExpectNothingLeft(pids);
}

TEST_F(Worker, AStopByKillEndsItKilled) {
  const auto pids = LaunchForever();
  Stop(wire::StopGang::KILL);
  EXPECT_EQ(WaitForEnd().outcome(), wire::GangEnded::KILLED);
  ExpectNothingLeft(pids);
}

// FAULTS.md: peers dead < 200 ms.
TEST_F(Worker, AKilledRankTakesItsPeersAlongAtOnce) {
  const auto pids = LaunchForever();
  ASSERT_THAT(pids, SizeIs(2));
  kill(pids[1], SIGKILL);
  const Instant killed = MonotonicNow();
  while (Alive(pids[0]) && MonotonicNow() - killed < 10s) {
  }
  EXPECT_LT(MonotonicNow() - killed, 200ms);
  const wire::GangEnded& ended = WaitForEnd();
  EXPECT_EQ(ended.outcome(), wire::GangEnded::FAILED);
  EXPECT_EQ(ended.reason(), "crash");
  EXPECT_THAT(ended.message(), HasSubstr("rank 1 was killed by SIGKILL"));
  ExpectNothingLeft(pids);
}

TEST_F(Worker, FailuresAreNamedAsTheRankNamesThem) {
  std::uint32_t attempt = 0;
  for (const auto& [script, reason] : std::map<std::string, std::string>{
           {"numeric", "numeric"}, {"segv", "crash"}, {"abort", "crash"}}) {
    Launch(script, ++attempt);
    const wire::GangEnded& ended = WaitForEnd(attempt);
    EXPECT_EQ(ended.outcome(), wire::GangEnded::FAILED);
    EXPECT_EQ(ended.reason(), reason) << ended.message();
  }
  ExpectNothingLeft({});
}

TEST_F(Worker, ADeadZygoteIsACrashAndTheNextGangRuns) {
  const auto pids = LaunchForever();
  const auto zygote = static_cast<int>(coordinator_->heartbeat.zygote_pid());
  kill(zygote, SIGKILL);
  const wire::GangEnded& ended = WaitForEnd();
  EXPECT_EQ(ended.reason(), "crash");
  EXPECT_THAT(ended.message(), HasSubstr("zygote"));
  Launch("succeed", 2);  // before the next zygote runs
  EXPECT_EQ(WaitForEnd(2).outcome(), wire::GangEnded::SUCCEEDED);
  EXPECT_NE(static_cast<int>(coordinator_->heartbeat.zygote_pid()), zygote);
  ExpectNothingLeft(pids);
}

TEST_F(Worker, SigtermLeavesNothing) {
  const auto pids = LaunchForever();
  const auto zygote = static_cast<int>(coordinator_->heartbeat.zygote_pid());
  kill(worker_, SIGTERM);
  EXPECT_EQ(WaitForWorker(), 0);
  EXPECT_FALSE(Alive(zygote));
  ExpectNothingLeft(pids);
  EXPECT_EQ(FilesIn(Dir() + "/pmix"), 0u);
  EXPECT_TRUE(Until([&] { return coordinator_->goodbyes == 1; }));
}

TEST_F(Worker, SigkillOfTheWorkerLeavesNoRank) {
  auto pids = LaunchForever();
  pids.push_back(static_cast<int>(coordinator_->heartbeat.zygote_pid()));
  kill(worker_, SIGKILL);
  EXPECT_EQ(WaitForWorker(), -1);
  EXPECT_TRUE(Until([&] { return std::none_of(pids.begin(), pids.end(), Alive); }));
  StartWorker();
  ASSERT_TRUE(Until([&] { return coordinator_->registers.size() == 2; }));
  EXPECT_EQ(coordinator_->registers[1].gangs_size(), 0);
  EXPECT_EQ(FilesIn(Dir() + "/run"), 0u);
}

TEST_F(Worker, RanksOutliveARestartOfTheCoordinator) {
  const auto pids = LaunchForever();
  coordinator_->Restart();
  ASSERT_TRUE(Until([&] { return coordinator_->registers.size() >= 2; }));
  const wire::Register& again = coordinator_->registers.back();
  ASSERT_EQ(again.gangs_size(), 1);
  EXPECT_EQ(again.gangs(0).job(), kJob);
  EXPECT_EQ(again.gangs(0).attempt(), 1u);
  coordinator_->progress.clear();
  ASSERT_TRUE(Until([&] { return coordinator_->progress.size() > 2; }));
  EXPECT_EQ(coordinator_->RankPids(kJob, 1), pids);
  Stop(wire::StopGang::CHECKPOINT);
  EXPECT_EQ(WaitForEnd().outcome(), wire::GangEnded::RELEASED);
}

TEST_F(Worker, WhatARestartedCoordinatorDidNotAcknowledgeIsReportedAgain) {
  coordinator_->acknowledge = false;
  Launch("succeed");
  WaitForEnd();
  coordinator_->Restart();
  coordinator_->acknowledge = true;
  EXPECT_TRUE(Until([&] { return coordinator_->report_repeats >= 2; }));
}

TEST_F(Worker, ASilentCoordinatorCostsTheLeaseAndTheGangs) {
  coordinator_->lease_ms = 400;
  coordinator_->Restart();  // tells the lease anew
  ASSERT_TRUE(Until([&] { return coordinator_->registers.size() >= 2; }));
  const auto pids = LaunchForever();
  coordinator_->silent = true;
  EXPECT_TRUE(Until([&] { return std::none_of(pids.begin(), pids.end(), Alive); }));
  coordinator_->silent = false;
  EXPECT_EQ(WaitForEnd().outcome(), wire::GangEnded::KILLED);
  EXPECT_THAT(WaitForEnd().message(), HasSubstr("silent"));
  ExpectNothingLeft(pids);
}

TEST_F(Worker, OlderAttemptsAreRefusedAndEndedOnesReportedAgain) {
  Launch("succeed", 2);
  EXPECT_EQ(WaitForEnd(2).outcome(), wire::GangEnded::SUCCEEDED);
  ASSERT_TRUE(Until([&] { return coordinator_->heartbeat.gangs_size() == 0; }));
  const std::size_t reports = coordinator_->reports.size();
  Launch("succeed", 1);
  Launch("succeed", 2);
  ASSERT_TRUE(Until([&] { return coordinator_->reports.size() > reports; }));
  EXPECT_EQ(coordinator_->reports.back().ended().model().digest(),
            coordinator_->Ended(kJob, 2)->model().digest());
  Launch("succeed", 3);
  WaitForEnd(3);
  for (const wire::GangReport& report : coordinator_->reports) EXPECT_NE(report.attempt(), 1u);
}

TEST_F(Worker, ARunningAttemptIsLeftAloneAndANewerOneReplacesIt) {
  const auto pids = LaunchForever(1);
  Launch("forever", 1);
  coordinator_->progress.clear();
  ASSERT_TRUE(Until([&] { return coordinator_->progress.size() > 2; }));
  EXPECT_EQ(coordinator_->RankPids(kJob, 1), pids);
  Launch("succeed", 2);
  EXPECT_EQ(WaitForEnd(1).outcome(), wire::GangEnded::KILLED);
  EXPECT_EQ(WaitForEnd(2).outcome(), wire::GangEnded::SUCCEEDED);
}

TEST_F(Worker, AStopForAGangItDoesNotHaveIsAnsweredAndFences) {
  Stop(wire::StopGang::KILL, 3);
  EXPECT_EQ(WaitForEnd(3).outcome(), wire::GangEnded::KILLED);
  Launch("succeed", 2);
  Launch("succeed", 4);
  WaitForEnd(4);
  EXPECT_EQ(coordinator_->Ended(kJob, 2), nullptr);
}

TEST_F(Worker, InputsThatCannotBeHadFailWithTheReasonData) {
  wire::ToWorker message;
  wire::LaunchGang& launch = *message.mutable_launch_gang();
  launch.set_job(kJob);
  launch.set_attempt(1);
  launch.set_spec_json(R"({"data": {"train": "file:///etc/hostname"}})");
  launch.set_size(1);
  launch.set_local_ranks(1);
  coordinator_->Send(message);
  const wire::GangEnded& ended = WaitForEnd();
  EXPECT_EQ(ended.reason(), "data");
  EXPECT_THAT(ended.message(), HasSubstr("--data-root"));
  ExpectNothingLeft({});
}

TEST_F(Worker, ToolsAnswerFromTheirFolder) {
  RunTool(1, R"({"train_path": "rows.jsonl"})");
  RunTool(1, R"({"train_path": "rows.jsonl"})");  // asked again
  RunTool(2, R"({"script": "refuse"})");
  RunTool(3, R"({"script": "die"})");
  RunTool(4, R"({"script": "hang"})", 200);
  ASSERT_TRUE(Until([&] { return coordinator_->tool_results.size() >= 4; }));
  std::map<std::uint64_t, wire::ToolResult> results;
  for (const auto& result : coordinator_->tool_results) results[result.request_id()] = result;
  ASSERT_TRUE(results[1].ok()) << results[1].json();
  const auto answer = nlohmann::json::parse(results[1].json());
  EXPECT_EQ(answer["tool"], "inspect");
  EXPECT_THAT(answer["echo"]["train_path"].get<std::string>(),
              testing::StartsWith(Dir() + "/run/tool-"));
  EXPECT_EQ(answer["echo"]["cache_dir"], Dir() + "/cache/tokens");
  EXPECT_EQ(nlohmann::json::parse(results[2].json())["where"], "a.jsonl:3");
  EXPECT_THAT(results[3].json(), HasSubstr("killed by SIGKILL"));
  EXPECT_EQ(nlohmann::json::parse(results[4].json())["code"], "timeout");
  const std::size_t count = coordinator_->tool_results.size();
  RunTool(2, R"({"script": "refuse"})");  // its answer was lost
  EXPECT_TRUE(Until([&] { return coordinator_->tool_results.size() > count; }));
  ExpectNothingLeft({});
}

TEST_F(Worker, AToolThatStreamsIsHeardBeforeItsAnswerAndEndsWhenNobodyWaits) {
  RunTool(1, R"({"script": "speak"})", 60'000, /*stream=*/true);
  ASSERT_TRUE(Until([&] { return coordinator_->tool_results.size() == 1; }));
  EXPECT_EQ(coordinator_->Said(1),
            R"({"piece":{"answer":0,"text":"one"}}{"piece":{"answer":0,"text":"two"}})");
  EXPECT_TRUE(coordinator_->tool_results[0].ok()) << coordinator_->tool_results[0].json();
  RunTool(2, R"({"script": "speak", "then_hang": true})", 60'000, /*stream=*/true);
  ASSERT_TRUE(Until([&] { return coordinator_->Said(2) == coordinator_->Said(1); }));
  EXPECT_EQ(coordinator_->tool_results.size(), 1U);
  wire::ToWorker message;
  message.mutable_cancel_tool()->set_request_id(2);
  coordinator_->Send(message);
  ASSERT_TRUE(Until([&] { return coordinator_->tool_results.size() == 2; }));
  EXPECT_FALSE(coordinator_->tool_results[1].ok());
  ExpectNothingLeft({});
}

TEST_F(Worker, ASecondWorkerInTheSameDirectoryIsRefused) {
  const pid_t first = worker_;
  StartWorker();
  EXPECT_EQ(WaitForWorker(), 2);
  EXPECT_THAT(Output(), HasSubstr("another worker runs in this directory"));
  worker_ = first;
}

TEST_F(Worker, ARefusalEndsItWithStatusTwo) {
  coordinator_->refuse_with = "this coordinator is version 9";
  coordinator_->Restart();
  EXPECT_EQ(WaitForWorker(), 2);
  EXPECT_THAT(Output(), HasSubstr("this coordinator is version 9"));
}

}  // namespace
}  // namespace tutti::agent
