// The supervisor as a process of its own, with shell scripts in place of the two programs and this
// test's HTTP server in place of the coordinator's.
#include "jobs/supervisor/supervisor.h"

#include <gmock/gmock.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <fstream>
#include <functional>
#include <nlohmann/json.hpp>
#include <sstream>

#include "jobs/client/endpoint.h"
#include "jobs/supervisor/up.h"
#include "tests/common/base/wait_until.h"
#include "tests/common/httpclient/fake_server.h"

namespace tutti::supervisor {
namespace {

namespace fs = std::filesystem;
using httpclient::FakeServer;
using httpclient::Seen;
using testing::HasSubstr;

constexpr Duration kLong = std::chrono::seconds(20);

bool Eventually(const std::function<bool()>& condition) { return WaitUntil(condition, 20); }

bool Alive(int pid) { return pid > 0 && ::kill(pid, 0) == 0; }

class SupervisorTest : public testing::Test {
 protected:
  SupervisorTest() {
    std::string pattern = testing::TempDir() + "supervisor-XXXXXX";
    root_ = ::mkdtemp(pattern.data());
    fs::create_directories(root_ / "bin");
    options_ = {.data_dir = root_ / "data", .bin_dir = root_ / "bin", .slots_per_worker = 3};
    options_.http.port = 0;
    Script("tutti-coordinator",
           "while [ $# -gt 0 ]; do case $1 in --data-dir) dir=$2;; esac; shift; done\n"
           "echo secret > $dir/token; echo $$ >> $dir/coordinator.pids\n"
           "echo \"{\\\"url\\\": \\\"" +
               server_.url() +
               "\\\", \\\"zmq\\\": \\\"tcp://127.0.0.1:9\\\", \\\"pid\\\": $$}\" > $dir/s.tmp\n"
               "mv $dir/s.tmp $dir/coordinator/serving.json\n"
               "exec tail -f /dev/null\n");
    Script("tutti-worker",
           "echo \"$@\" >> $2/args; echo $$ >> $2/pids\n"
           "exec tail -f /dev/null\n");
  }
  ~SupervisorTest() override {
    if (pid_ > 0) {
      ::kill(pid_, SIGKILL);
      ::waitpid(pid_, nullptr, 0);
    }
    // Programs of a killed supervisor may write a moment longer.
    EXPECT_TRUE(Eventually([&] {
      std::error_code error;
      fs::remove_all(root_, error);
      return !fs::exists(root_);
    }));
  }

  void Script(const std::string& name, const std::string& body) {
    const fs::path path = root_ / "bin" / name;
    std::ofstream(path) << "#!/bin/sh\n" << body;
    ::chmod(path.c_str(), 0755);
  }

  std::string Answer(const Seen& seen) {
    if (seen.headers.contains("authorization") &&
        seen.headers.at("authorization") != "Bearer secret") {
      return FakeServer::Json("{}", 401);
    }
    if (seen.target == "/api/v1/drain") {
      return FakeServer::Json("{\"running\": " + std::to_string(running_-- > 0 ? 1 : 0) + "}");
    }
    nlohmann::json workers = nlohmann::json::array();
    for (const std::string& name : WorkerNames(HostName(), options_.workers)) {
      workers.push_back({{"name", name}, {"state", "up"}});
    }
    return FakeServer::Json(nlohmann::json{{"data", workers}}.dump());
  }

  // Runs UpHere in a child process; its lines go to root_/said.
  void Up() {
    pid_ = ::fork();
    ASSERT_GE(pid_, 0);
    if (pid_ == 0) {
      const Status status = UpHere(options_, [this](const std::string& line) {
        std::ofstream(root_ / "said", std::ios::app) << line << "\n";
      });
      if (!status) std::ofstream(root_ / "error") << status.error().ToString();
      ::_exit(status ? 0 : 1);
    }
  }
  bool Ready() {
    return Eventually([&] { return Text(root_ / "said").find("ready: ") != std::string::npos; });
  }
  int WaitExit() {
    int status = 0;
    const bool ended = Eventually([&] { return ::waitpid(pid_, &status, WNOHANG) == pid_; });
    EXPECT_TRUE(ended);
    if (ended) pid_ = 0;
    return status;
  }

  static std::string Text(const fs::path& path) {
    std::ostringstream out;
    out << std::ifstream(path).rdbuf();
    return out.str();
  }
  static std::vector<int> Pids(const fs::path& path) {
    std::vector<int> pids;
    std::ifstream in(path);
    for (int pid = 0; in >> pid;) pids.push_back(pid);
    return pids;
  }
  fs::path WorkerDir(int index = 0) const {
    return options_.data_dir / "workers" /
           WorkerNames(HostName(), options_.workers)[static_cast<std::size_t>(index)];
  }
  std::vector<int> CoordinatorPids() const { return Pids(options_.data_dir / "coordinator.pids"); }

  std::atomic<int> running_{0};
  FakeServer server_{[this](const Seen& seen) { return Answer(seen); }};
  fs::path root_;
  UpOptions options_;
  pid_t pid_ = 0;
};

TEST_F(SupervisorTest, StartsTheProgramsWithTheirCommandLines) {
  options_.workers = 2;
  Up();
  ASSERT_TRUE(Ready()) << Text(root_ / "error");
  const auto endpoint = client::ReadEndpointFile(options_.data_dir);
  ASSERT_TRUE(endpoint.has_value()) << endpoint.error().ToString();
  EXPECT_EQ(endpoint->url, server_.url());
  EXPECT_EQ(endpoint->pid, pid_);
  EXPECT_EQ(endpoint->coordinator_pid, CoordinatorPids().at(0));
  EXPECT_EQ(endpoint->token_file, options_.data_dir / "token");
  ASSERT_TRUE(Eventually([&] { return !Pids(WorkerDir(1) / "pids").empty(); }));
  const std::string args = Text(WorkerDir(1) / "args");
  EXPECT_THAT(args, HasSubstr("--dir " + WorkerDir(1).string()));
  EXPECT_THAT(args, HasSubstr("--coordinator tcp://127.0.0.1:9"));
  EXPECT_THAT(args, HasSubstr("--slots 3"));
}

TEST_F(SupervisorTest, ASignalDrainsStopsEverythingAndRemovesTheEndpoint) {
  Up();
  ASSERT_TRUE(Ready()) << Text(root_ / "error");
  ASSERT_TRUE(Eventually([&] { return !Pids(WorkerDir() / "pids").empty(); }));
  running_ = 2;
  ::kill(pid_, SIGTERM);
  EXPECT_EQ(WaitExit(), 0);
  EXPECT_LE(running_, 0);
  EXPECT_FALSE(Alive(CoordinatorPids().at(0)));
  EXPECT_FALSE(Alive(Pids(WorkerDir() / "pids").at(0)));
  EXPECT_FALSE(fs::exists(options_.data_dir / "endpoint.json"));
  EXPECT_THAT(Text(root_ / "said"), HasSubstr("checkpoint"));
}

TEST_F(SupervisorTest, AProgramThatIgnoresTheSignalIsKilled) {
  Script("tutti-worker", "trap '' TERM; echo $$ >> $2/pids\nwhile :; do sleep 0.05; done\n");
  Up();
  ASSERT_TRUE(Ready()) << Text(root_ / "error");
  ASSERT_TRUE(Eventually([&] { return !Pids(WorkerDir() / "pids").empty(); }));
  ::kill(pid_, SIGTERM);
  EXPECT_EQ(WaitExit(), 0);
  EXPECT_FALSE(Alive(Pids(WorkerDir() / "pids").at(0)));
}

TEST_F(SupervisorTest, AKilledCoordinatorComesBackAndTheEndpointNamesTheNewOne) {
  Up();
  ASSERT_TRUE(Ready()) << Text(root_ / "error");
  const int first = CoordinatorPids().at(0);
  ::kill(first, SIGKILL);
  ASSERT_TRUE(Eventually([&] {
    const auto endpoint = client::ReadEndpointFile(options_.data_dir);
    return endpoint && endpoint->coordinator_pid != first;
  }));
  EXPECT_EQ(client::ReadEndpointFile(options_.data_dir)->coordinator_pid, CoordinatorPids().at(1));
}

TEST_F(SupervisorTest, AKilledWorkerComesBack) {
  Up();
  ASSERT_TRUE(Ready()) << Text(root_ / "error");
  ASSERT_TRUE(Eventually([&] { return !Pids(WorkerDir() / "pids").empty(); }));
  ::kill(Pids(WorkerDir() / "pids").at(0), SIGKILL);
  EXPECT_TRUE(Eventually([&] { return Pids(WorkerDir() / "pids").size() == 2; }));
}

TEST_F(SupervisorTest, AKilledSupervisorTakesItsProgramsWithIt) {
  Up();
  ASSERT_TRUE(Ready()) << Text(root_ / "error");
  ASSERT_TRUE(Eventually([&] { return !Pids(WorkerDir() / "pids").empty(); }));
  ::kill(pid_, SIGKILL);
  WaitExit();
  EXPECT_TRUE(Eventually(
      [&] { return !Alive(CoordinatorPids().at(0)) && !Alive(Pids(WorkerDir() / "pids").at(0)); }));
  EXPECT_EQ(client::SupervisorOf(options_.data_dir), std::nullopt);
  Up();
  EXPECT_TRUE(Eventually([&] { return CoordinatorPids().size() == 2; }));
}

TEST_F(SupervisorTest, ASecondOneSaysWhoRuns) {
  Up();
  ASSERT_TRUE(Ready()) << Text(root_ / "error");
  const auto second = LockDataDir(options_.data_dir);
  ASSERT_FALSE(second.has_value());
  EXPECT_EQ(second.error().code, ErrorCode::kConflict);
  EXPECT_THAT(second.error().message, HasSubstr(std::to_string(pid_)));
  EXPECT_THAT(second.error().message, HasSubstr(server_.url()));
}

TEST_F(SupervisorTest, ACoordinatorThatCannotStartIsGivenUpWithItsLog) {
  Script("tutti-coordinator", "echo the store is broken >&2; exit 1\n");
  Up();
  EXPECT_NE(WaitExit(), 0);
  EXPECT_THAT(Text(root_ / "error"), HasSubstr("the store is broken"));
  EXPECT_FALSE(fs::exists(options_.data_dir / "endpoint.json"));
}

TEST_F(SupervisorTest, AMissingProgramIsNamed) {
  fs::remove(root_ / "bin/tutti-coordinator");
  Up();
  EXPECT_NE(WaitExit(), 0);
  EXPECT_THAT(Text(root_ / "error"), HasSubstr("tutti-coordinator: No such file"));
}

TEST_F(SupervisorTest, ATakenPortIsNoError) {
  options_.http = *AddressOf(server_.url());
  Up();
  ASSERT_TRUE(Ready()) << Text(root_ / "error");
  EXPECT_THAT(Text(root_ / "said"), HasSubstr("taken"));
}

TEST_F(SupervisorTest, DetachedReturnsWhenReadyAndDownEndsIt) {
  const auto url = UpDetached(
      options_, [](const std::string&) {}, kLong);
  ASSERT_TRUE(url.has_value()) << url.error().ToString();
  EXPECT_EQ(*url, server_.url());
  const int pid = client::ReadEndpointFile(options_.data_dir)->pid;
  EXPECT_EQ(client::SupervisorOf(options_.data_dir), pid);
  const auto down = Down(options_.data_dir, kLong);
  EXPECT_EQ(down.value_or(-1), pid);
  ::waitpid(pid, nullptr, 0);
  EXPECT_FALSE(fs::exists(options_.data_dir / "endpoint.json"));
  EXPECT_EQ(Down(options_.data_dir, kLong).value_or(-1), 0);
}

TEST_F(SupervisorTest, DetachedThatFailsStopsEverythingAndShowsTheLogs) {
  Script("tutti-coordinator", "echo never serving >&2; exec tail -f /dev/null\n");
  const auto url = UpDetached(
      options_, [](const std::string&) {}, std::chrono::milliseconds(300));
  ASSERT_FALSE(url.has_value());
  EXPECT_THAT(url.error().message, HasSubstr("never serving"));
  EXPECT_EQ(client::SupervisorOf(options_.data_dir), std::nullopt);
}

}  // namespace
}  // namespace tutti::supervisor
