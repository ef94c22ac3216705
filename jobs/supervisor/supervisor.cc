#include "jobs/supervisor/supervisor.h"

#include <poll.h>
#include <sys/signalfd.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <csignal>
#include <cstdlib>
#include <nlohmann/json.hpp>

#include "common/base/log.h"
#include "common/httpclient/http.h"

namespace tutti::supervisor {
namespace {

using nlohmann::json;

// Deaths in a row of a program that never came up, after which `up` gives up.
constexpr int kStartsMax = 5;
constexpr Duration kWatch = std::chrono::milliseconds(10);  // while something is awaited
constexpr Duration kIdle = std::chrono::seconds(60);        // a signal ends every wait
constexpr Duration kCallTimeout = std::chrono::seconds(2);
constexpr int kTailLines = 12;

}  // namespace

Supervisor::Supervisor(UpOptions options, Report report)
    : options_(std::move(options)),
      report_(std::move(report)),
      worker_names_(WorkerNames(HostName(), options_.workers)) {}

Status Supervisor::Run() {
  TUTTI_RETURN_IF_ERROR(Prepare());
  Status status;
  while (stops_asked_ == 0) {
    status = StartDue();
    if (!status) break;
    WatchCoordinator();
    CheckReady();
    Sleep();
    TakeSignals();
    status = CannotStart();
    if (!status) break;
  }
  Stop();
  return status;
}

Status Supervisor::Prepare() {
  TUTTI_ASSIGN_OR_RETURN(lock_, LockDataDir(options_.data_dir));
  TUTTI_RETURN_IF_ERROR(MakeFolders(options_, worker_names_));
  RemoveEndpoint(options_.data_dir);
  TUTTI_RETURN_IF_ERROR(ChooseAddresses());

  sigset_t set;
  sigemptyset(&set);
  for (const int signal : {SIGCHLD, SIGTERM, SIGINT}) sigaddset(&set, signal);
  struct sigaction hangup {};
  if (::sigaction(SIGHUP, nullptr, &hangup) == 0 && hangup.sa_handler != SIG_IGN) {
    sigaddset(&set, SIGHUP);
  }
  ::sigprocmask(SIG_BLOCK, &set, nullptr);
  ::signal(SIGPIPE, SIG_IGN);
  signals_ = UniqueFd(::signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK));
  if (!signals_) return Fail(ErrnoError("cannot watch signals", "signalfd", errno));

  ::unsetenv("TUTTI_TOKEN");  // a person's, and no program of ours needs it

  const std::filesystem::path logs = options_.data_dir / "logs";
  coordinator_ = {.name = "coordinator",
                  .argv = CoordinatorCommand(options_, http_, zmq_),
                  .log = logs / "coordinator.log"};
  RotateLog(coordinator_.log);
  for (const std::string& name : worker_names_) {
    workers_.push_back({.name = name, .argv = {}, .log = logs / (name + ".log")});
    RotateLog(workers_.back().log);
  }
  Log(kInfo, "supervisor_started",
      {{"data_dir", options_.data_dir.string()}, {"workers", worker_names_.size()}});
  return {};
}

// A taken port is no error: any free one, and ZeroMQ's too.
Status Supervisor::ChooseAddresses() {
  http_ = options_.http;
  if (http_.port != 0) {
    TUTTI_ASSIGN_OR_RETURN(const bool free, IsFree(http_));
    if (!free) {
      report_(ReportKind::kNote, http_.ToString() + " is taken: a free port instead");
      http_.port = 0;
    }
  }
  zmq_ = options_.zmq.value_or(HostPort{.host = http_.host, .port = 0});
  if (options_.zmq) {
    TUTTI_ASSIGN_OR_RETURN(const bool free, zmq_.port == 0 ? Result<bool>(true) : IsFree(zmq_));
    if (free) return {};
    return Fail(ErrorCode::kConflict, "the port is taken", "--zmq " + zmq_.ToString(),
                "give another, or none: then a free one is found");
  }
  if (http_.port != 0 && http_.port < 65535) {
    zmq_.port = static_cast<std::uint16_t>(http_.port + 1);
    TUTTI_ASSIGN_OR_RETURN(const bool free, IsFree(zmq_));
    if (!free) zmq_.port = 0;
  }
  return {};
}

Status Supervisor::StartDue() {
  const Instant now = MonotonicNow();
  if (coordinator_.pid == 0 && coordinator_.restart_at <= now) {
    ForgetServing(options_.data_dir);
    TUTTI_RETURN_IF_ERROR(Start(coordinator_));
    Log(kInfo, "program_started", {{"name", coordinator_.name}, {"pid", coordinator_.pid}});
  }
  for (Child& worker : workers_) {
    // Without an address to connect to there is nothing to start yet.
    if (worker.pid != 0 || worker.argv.empty() || worker.restart_at > now) continue;
    TUTTI_RETURN_IF_ERROR(Start(worker));
    Log(kInfo, "program_started", {{"name", worker.name}, {"pid", worker.pid}});
  }
  return {};
}

void Supervisor::WatchCoordinator() {
  if (coordinator_.pid == 0 || !url_.empty()) return;
  if (const auto serving = ReadServing(options_.data_dir, coordinator_.pid)) OnServing(*serving);
}

void Supervisor::OnServing(const Serving& serving) {
  const auto http = AddressOf(serving.url);
  const auto zmq = AddressOf(serving.zmq);
  if (!http || !zmq) {
    Log(kError, "serving_file_bad", {{"url", serving.url}, {"zmq", serving.zmq}});
    return;
  }
  // From now on these are the cluster's ports: a restarted coordinator listens there again.
  http_.port = http->port;
  zmq_.port = zmq->port;
  coordinator_.argv = CoordinatorCommand(options_, http_, zmq_);
  for (Child& worker : workers_) worker.argv = WorkerCommand(options_, worker.name, serving.zmq);
  if (Status status = WriteEndpoint(options_.data_dir, serving, coordinator_.pid); !status) {
    Log(kError, "endpoint_not_written", {{"error", status.error().ToString()}});
    return;
  }
  url_ = serving.url;
  pin_ = serving.pin;
  Log(kInfo, "coordinator_serves",
      {{"url", url_}, {"advertise", serving.advertise}, {"pid", coordinator_.pid}});
}

Result<int> Supervisor::CallRunning(
    std::string_view method, const std::string& target,
    const std::function<Result<int>(const std::string& body)>& read) {
  TUTTI_ASSIGN_OR_RETURN(httpclient::Url url, httpclient::ParseUrl(url_));
  url.trust.pin = pin_;
  TUTTI_ASSIGN_OR_RETURN(std::string token, ReadFile(options_.data_dir / "token", Bytes{4096}));
  while (!token.empty() && token.back() <= ' ') token.pop_back();
  TUTTI_ASSIGN_OR_RETURN(const httpclient::Response response,
                         httpclient::Send(url, {.method = std::string(method),
                                                .target = target,
                                                .headers = {{"Authorization", "Bearer " + token}},
                                                .timeout = kCallTimeout}));
  if (response.status != 200) {
    return Fail(ErrorCode::kUnavailable, "answered " + std::to_string(response.status), target);
  }
  return read(response.body);
}

void Supervisor::CheckReady() {
  if (ready_ || url_.empty() || ask_at_ > MonotonicNow()) return;
  const auto up = CallRunning("GET", "/api/v1/workers", [this](const std::string& body) {
    const json parsed = json::parse(body, nullptr, false);
    int count = 0;
    if (!parsed.is_object() || !parsed.contains("data")) return Result<int>(0);
    for (const std::string& name : worker_names_) {
      for (const json& worker : parsed["data"]) {
        if (worker.value("name", "") == name && worker.value("state", "") == "up") ++count;
      }
    }
    return Result<int>(count);
  });
  ask_at_ = MonotonicNow() + kWatch;
  if (!up || *up < static_cast<int>(worker_names_.size())) return;
  ready_ = true;
  Log(kInfo, "ready", {{"url", url_}, {"workers", worker_names_.size()}});
  report_(ReportKind::kReady, url_);
}

void Supervisor::Sleep() {
  const Instant now = MonotonicNow();
  Duration pause = kIdle;
  const bool awaiting = (coordinator_.pid != 0 && url_.empty()) || (!ready_ && !url_.empty());
  if (awaiting) pause = kWatch;
  const auto until_start = [&](const Child& child) {
    if (child.pid == 0 && !child.argv.empty()) pause = std::min(pause, child.restart_at - now);
  };
  until_start(coordinator_);
  for (const Child& worker : workers_) until_start(worker);
  const auto ms = std::chrono::ceil<std::chrono::milliseconds>(pause).count();
  pollfd fd{signals_.get(), POLLIN, 0};
  ::poll(&fd, 1, static_cast<int>(std::max<long>(ms, 0)));
}

void Supervisor::TakeSignals() {
  signalfd_siginfo info{};
  while (::read(signals_.get(), &info, sizeof info) == static_cast<ssize_t>(sizeof info)) {
    if (info.ssi_signo != SIGCHLD) ++stops_asked_;
  }
  Reap();
}

void Supervisor::Reap() {
  int status = 0;
  for (pid_t pid = 0; (pid = ::waitpid(-1, &status, WNOHANG)) > 0;) {
    Child* child = pid == coordinator_.pid ? &coordinator_ : nullptr;
    for (Child& worker : workers_) {
      if (worker.pid == pid) child = &worker;
    }
    if (child == nullptr) continue;
    SignalGroup(*child, SIGKILL);  // what it may have left behind in its group
    const std::string how = DescribeExit(status);
    NoteDeath(*child, MonotonicNow());
    if (child == &coordinator_) {
      url_.clear();
      RemoveEndpoint(options_.data_dir);
    }
    Log(stops_asked_ > 0 ? kInfo : kWarning, "program_ended",
        {{"name", child->name}, {"pid", pid}, {"how", how}});
    if (stops_asked_ == 0 && ready_) {
      report_(ReportKind::kNote, child->name + " " + how + "; starting it again");
    }
  }
}

Status Supervisor::CannotStart() const {
  if (ready_) return {};
  const auto hopeless = [](const Child& child) { return child.deaths >= kStartsMax; };
  const Child* child = hopeless(coordinator_) ? &coordinator_ : nullptr;
  for (const Child& worker : workers_) {
    if (hopeless(worker)) child = &worker;
  }
  if (child == nullptr) return {};
  return Fail(ErrorCode::kInternal,
              child->name + " does not start; its last lines:\n" + TailOf(child->log, kTailLines),
              child->log.string());
}

}  // namespace tutti::supervisor
