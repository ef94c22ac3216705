#include "worker/agent/agent.h"

#include <fcntl.h>
#include <signal.h>
#include <sys/file.h>
#include <sys/prctl.h>
#include <sys/random.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <utility>

#include "common/base/check.h"
#include "common/base/log.h"
#include "common/version/version.h"
#include "common/wire/protocol.h"
#include "worker/agent/admission.h"
#include "worker/agent/checkpoint_files.h"
#include "worker/agent/fingerprint.h"
#include "worker/agent/gpus.h"
#include "worker/agent/join.h"
#include "worker/agent/token_files.h"

namespace tutti::agent {
namespace {

namespace fs = std::filesystem;

constexpr Duration kServerKeyPatience = std::chrono::seconds(60);
constexpr Duration kStopPatience = std::chrono::seconds(5);
constexpr Duration kSilence = std::chrono::seconds(10);
constexpr Duration kComplainEvery = std::chrono::minutes(1);
constexpr Duration kPruneEvery = std::chrono::hours(1);
constexpr std::int64_t kTokensShare = 4;  // tokenised data: a quarter of --cache-max
constexpr Duration kGangTick = std::chrono::milliseconds(100);
constexpr std::uintmax_t kZygoteLogMax = 10 << 20;  // then it starts anew, at a start
constexpr int kExitRefused = 2;

std::uint64_t RandomSession() {
  std::uint64_t session = 0;
  while (session == 0) {
    TUTTI_CHECK(getrandom(&session, sizeof session, 0) == sizeof session, "errno ", errno);
  }
  return session;
}

// Removes what is in the folder, not the folder.
Status EmptyFolder(const fs::path& folder) {
  std::error_code error;
  for (const auto& entry : fs::directory_iterator(folder, error)) {
    TUTTI_RETURN_IF_ERROR(RemoveTree(entry.path()));
  }
  return {};
}

// What is free for checkpoints and for what attempts write, on whichever disk has less.
std::uint64_t DiskFree(const Settings& settings) {
  const auto jobs = FreeSpace(settings.jobs_dir);
  const auto own = FreeSpace(settings.dir);
  if (!jobs || !own) return 0;
  return static_cast<std::uint64_t>(std::min(jobs->count, own->count));
}

}  // namespace

Result<std::unique_ptr<Agent>> Agent::Start(Settings settings) {
  std::unique_ptr<Agent> agent(new Agent(std::move(settings)));
  TUTTI_RETURN_IF_ERROR(agent->PrepareFolders());
  if (agent->settings_.join) TUTTI_RETURN_IF_ERROR(tutti::agent::Join(agent->settings_));
  TUTTI_ASSIGN_OR_RETURN(agent->loop_, Loop::Create());
  TUTTI_RETURN_IF_ERROR(agent->WatchSignals());
  TUTTI_RETURN_IF_ERROR(agent->StartProcesses());
  TUTTI_RETURN_IF_ERROR(agent->Describe());
  TUTTI_RETURN_IF_ERROR(agent->Connect());
  agent->MakeParts();
  return agent;
}

Status Agent::PrepareFolders() {
  const fs::path& dir = settings_.dir;
  TUTTI_RETURN_IF_ERROR(MakeDirectories(dir, 0700));
  lock_ = UniqueFd(open(dir.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (!lock_) return Fail(ErrnoError("cannot open", dir.string(), errno));
  if (flock(lock_.get(), LOCK_EX | LOCK_NB) != 0) {
    lock_.Reset();
    return Fail(ErrorCode::kConflict, "another worker runs in this directory", dir.string(),
                "stop it, or give this one a --dir of its own");
  }
  TUTTI_RETURN_IF_ERROR(MakeDirectories(settings_.jobs_dir));
  for (const char* name : {"run", "logs", "pmix", "cache/tokens"}) {
    TUTTI_RETURN_IF_ERROR(MakeDirectories(dir / name, 0700));
  }
  // Left by a worker that was killed; its processes died with it.
  for (const char* name : {"run", "pmix"}) TUTTI_RETURN_IF_ERROR(EmptyFolder(dir / name));
  LogShipper::Prune(dir / "logs", Bytes{static_cast<std::int64_t>(RankLog::kKeepBytes)});
  const fs::path zygote_log = dir / "zygote.log";
  std::error_code error;
  if (const auto size = fs::file_size(zygote_log, error); !error && size > kZygoteLogMax) {
    fs::rename(zygote_log, dir / "zygote.log.1", error);
  }
  TUTTI_ASSIGN_OR_RETURN(cache_, BlobCache::Open(dir / "cache", Bytes{settings_.cache_max_bytes}));
  if (access(settings_.engine.c_str(), X_OK) != 0) {
    return Fail(ErrnoError("cannot execute the engine", settings_.engine.string(), errno));
  }
  return {};
}

Status Agent::WatchSignals() {
  // Ranks whose zygote dies become children of this process.
  if (prctl(PR_SET_CHILD_SUBREAPER, 1) != 0) {
    return Fail(ErrnoError("cannot become a subreaper", "", errno));
  }
  signal(SIGPIPE, SIG_IGN);
  sigset_t wanted;
  sigemptyset(&wanted);
  for (const int number : {SIGCHLD, SIGTERM, SIGINT}) sigaddset(&wanted, number);
  sigprocmask(SIG_BLOCK, &wanted, nullptr);  // before any thread starts: all inherit it
  signals_ = UniqueFd(signalfd(-1, &wanted, SFD_CLOEXEC | SFD_NONBLOCK));
  if (!signals_) return Fail(ErrnoError("cannot watch", "signals", errno));
  loop_->Watch(signals_.get(), EPOLLIN, [this](std::uint32_t) { OnSignals(); });
  return {};
}

Status Agent::StartProcesses() {
  // The zygote first: it loads its libraries while the rest starts.
  children_.emplace(Children::Options{.loop = *loop_,
                                      .engine = {settings_.engine.string()},
                                      .log_path = settings_.dir / "zygote.log",
                                      .on_zygote_died = [this] {
                                        if (gangs_) gangs_->OnZygoteDied();
                                      }});
  TUTTI_RETURN_IF_ERROR(children_->Start());
  TUTTI_ASSIGN_OR_RETURN(
      pmix_, PmixServer::Start({.temp_dir = settings_.dir / "pmix",
                                .machine_name = settings_.name,
                                .on_abort =
                                    [this](std::string gang, std::uint32_t rank, int status) {
                                      loop_->Post([this, gang = std::move(gang), rank, status] {
                                        if (gangs_) gangs_->OnMpiAborted(gang, rank, status);
                                      });
                                    },
                                .on_fence =
                                    [this](PmixFence fence) {
                                      loop_->Post([this, fence = std::move(fence)] {
                                        if (gangs_) gangs_->OnFence(fence);
                                      });
                                    }}));
  background_.emplace(*loop_);
  return {};
}

Status Agent::Describe() {
  TUTTI_ASSIGN_OR_RETURN(machine_, ProbeMachine());
  resources_.set_slots(settings_.slots);
  resources_.set_cores(machine_.cores);
  resources_.set_memory_bytes(machine_.memory_bytes);
  resources_.set_cpu_model(machine_.cpu_model);
  TUTTI_ASSIGN_OR_RETURN(const Bytes disk, TotalSpace(settings_.jobs_dir));
  resources_.set_disk_bytes(static_cast<std::uint64_t>(disk.count));
  for (const Gpu& gpu : ProbeGpus()) {
    wire::Gpu& told = *resources_.add_gpus();
    told.set_name(gpu.name);
    told.set_memory_bytes(gpu.memory_bytes);
  }
  TUTTI_ASSIGN_OR_RETURN(*resources_.mutable_numerics_fingerprint(),
                         NumericsFingerprint(machine_, settings_.engine));
  if (!settings_.address.empty()) {
    auto given = AddressHere(settings_.address);
    if (!given) given.error().where = "--address";
    TUTTI_ASSIGN_OR_RETURN(address_, std::move(given));
  } else if (auto found = AddressTowards(settings_.coordinator)) {
    address_ = std::move(*found);
  }
  return {};
}

Status Agent::Connect() {
  TUTTI_ASSIGN_OR_RETURN(curve::KeyPair keys, curve::LoadOrMakeKeyPair(settings_.dir));
  if (!settings_.allow_dir.empty()) {
    TUTTI_RETURN_IF_ERROR(AllowKey(settings_.allow_dir, settings_.name, keys.public_key));
  }
  TUTTI_ASSIGN_OR_RETURN(std::string server_key,
                         AwaitPublicKey(settings_.server_key, kServerKeyPatience));
  TUTTI_ASSIGN_OR_RETURN(
      link_, CoordinatorLink::Connect(
                 {.loop = *loop_,
                  .address = settings_.coordinator,
                  .server_key = std::move(server_key),
                  .keys = std::move(keys),
                  .on_message = [this](const wire::ToWorker& message) { OnMessage(message); },
                  .on_key_refused = [this] { OnKeyRefused(); }}));
  loop_->AfterEachRound([this] {
    link_->Pump();
    if (stop_by_) StopIfDone();
  });
  return {};
}

template <typename Fill>
bool Agent::Send(Fill fill) {
  if (!membership_->registered()) return false;
  wire::ToCoordinator message = membership_->Envelope();
  fill(message);
  return link_->Send(message);
}

void Agent::MakeParts() {
  membership_.emplace(
      Membership::Options{
          .session = RandomSession(),
          .send = [this](const wire::ToCoordinator& message) { return link_->Send(message); },
          .describe = [this] { return RegisterMessage(); },
          .beat = [this] { return HeartbeatMessage(); },
          .on_registered = [this](const wire::Registered& registered) { OnRegistered(registered); },
          .on_lease_lost =
              [this] {
                gangs_->KillAll("the coordinator was silent for too long");
                LookForAddress();
              },
          .on_refused = [this](const wire::Refused& refused) { OnRefused(refused); }},
      MonotonicNow());
  reports_.emplace([this](const wire::GangReport& report) {
    return Send([&](wire::ToCoordinator& message) { *message.mutable_gang_report() = report; });
  });
  logs_.emplace(LogShipper::Options{
      .directory = settings_.dir / "logs", .send = [this](const wire::LogChunk& chunk) {
        return Send([&](wire::ToCoordinator& message) { *message.mutable_log_chunk() = chunk; });
      }});
  gangs_.emplace(GangServices{
      .loop = *loop_,
      .children = *children_,
      .pmix = *pmix_,
      .background = *background_,
      .cache = *cache_,
      .remote = remote_,
      .logs = *logs_,
      .reports = *reports_,
      .settings = settings_,
      .shares_jobs_dir = shares_jobs_dir_,
      .address = address_,
      .send_progress =
          [this](const wire::GangProgress& progress) {
            Send(
                [&](wire::ToCoordinator& message) { *message.mutable_gang_progress() = progress; });
          },
      .send_fence =
          [this](const wire::Fence& fence) {
            Send([&](wire::ToCoordinator& message) { *message.mutable_fence() = fence; });
          },
      .lease_until = [this] { return membership_->lease_until(); },
      .beat_now = [this] { membership_->BeatSoon(); }});
  tools_.emplace(ToolServices{
      .loop = *loop_,
      .children = *children_,
      .background = *background_,
      .cache = *cache_,
      .remote = remote_,
      .settings = settings_,
      .send =
          [this](const wire::ToolResult& result) {
            return Send(
                [&](wire::ToCoordinator& message) { *message.mutable_tool_result() = result; });
          },
      .tell =
          [this](const wire::ToolOutput& output) {
            Send([&](wire::ToCoordinator& message) { *message.mutable_tool_output() = output; });
          },
      .threads = machine_.cores});
}

Agent::~Agent() {
  tools_.reset();
  gangs_.reset();
  background_.reset();  // joins: nothing writes into folders any more
  children_.reset();    // the zygote, and with it what it started
  pmix_.reset();
  link_.reset();
  if (!lock_) return;  // another worker's
  for (const char* name : {"run", "pmix"}) {
    if (const Status emptied = EmptyFolder(settings_.dir / name); !emptied) {
      Log(kError, "folder_left", {{"error", emptied.error().ToString()}});
    }
  }
}

// ---- running ------------------------------------------------------------------------------------

int Agent::Run() {
  next_complaint_ = MonotonicNow() + kSilence;
  Log(kInfo, "worker_started",
      {{"name", settings_.name}, {"slots", settings_.slots}, {"pid", getpid()}});
  Tick();
  loop_->Run();
  Log(kInfo, "worker_stopped", {{"name", settings_.name}});
  return exit_status_;
}

void Agent::Tick() {
  const Instant now = MonotonicNow();
  membership_->Tick(now);
  reports_->Tick(now);
  logs_->Tick(now);
  tools_->Tick(now);
  if (membership_->registered()) {
    next_complaint_ = now + kSilence;
  } else if (now >= next_complaint_ && !stop_by_) {
    next_complaint_ = now + kComplainEvery;
    Log(kWarning, "no_answer",
        {{"coordinator", settings_.coordinator},
         {"hint",
          "is it up, does a firewall let this machine reach it, is its key still this one?"}});
  }
  if (now >= next_gang_tick_) {
    gangs_->Tick();
    next_gang_tick_ = now + kGangTick;
  }
  if (now >= next_prune_ && membership_->registered() && !shares_jobs_dir_) {
    next_prune_ = now + kPruneEvery;
    background_->Run<bool>(
        [dir = settings_.jobs_dir, running = gangs_->Jobs()](std::stop_token) {
          PruneJobFolders(dir, running);
          return true;
        },
        [](bool) {});
  }
  if (now >= next_token_look_) {
    next_token_look_ = now + kPruneEvery;
    background_->Run<bool>(
        [dir = settings_.dir / "cache/tokens",
         max = Bytes{settings_.cache_max_bytes / kTokensShare}](std::stop_token) {
          BoundTokenFiles(dir, max);
          return true;
        },
        [](bool) {});
  }
  loop_->After(Membership::kTickInterval, [this] { Tick(); });
}

void Agent::OnSignals() {
  signalfd_siginfo info{};
  while (read(signals_.get(), &info, sizeof info) == static_cast<ssize_t>(sizeof info)) {
    if (info.ssi_signo == SIGCHLD) continue;
    if (stop_by_) loop_->Stop();  // asked twice: at once
    BeginStop();
  }
  children_->Reap();
}

void Agent::BeginStop() {
  if (stop_by_) return;
  Log(kInfo, "worker_stopping");
  stop_by_ = MonotonicNow() + kStopPatience;
  gangs_->Close();
  gangs_->KillAll("the worker is stopping");
  tools_->CancelAll();
}

void Agent::StopIfDone() {
  const bool nothing_left = gangs_->empty() && tools_->empty() && background_->idle();
  // Reports that nobody acknowledges do not hold it up for long: the goodbye says the same.
  const bool told = reports_->empty() || !membership_->registered();
  if (!(nothing_left && told) && MonotonicNow() < *stop_by_) return;
  membership_->SayGoodbye();
  loop_->Stop();
}

// ---- messages -----------------------------------------------------------------------------------

wire::Register Agent::RegisterMessage() {
  wire::Register message;
  message.set_protocol(wire::kProtocol);
  message.set_version(std::string(Version()));
  message.set_name(settings_.name);
  resources_.set_disk_free_bytes(DiskFree(settings_));
  *message.mutable_resources() = resources_;
  for (const auto& [key, value] : settings_.labels) (*message.mutable_labels())[key] = value;
  for (wire::GangStatus& status : gangs_->Statuses()) *message.add_gangs() = std::move(status);
  message.set_pid(static_cast<std::uint32_t>(getpid()));
  message.set_zygote_pid(static_cast<std::uint32_t>(children_->zygote_pid()));
  message.set_address(address_.ip);
  message.set_jobs_folder_id(FolderIdOf(settings_.jobs_dir));
  if (address_.ip.empty()) LookForAddress();
  return message;
}

// It may be another one after a time without a line.
void Agent::LookForAddress() {
  if (!settings_.address.empty() || looking_for_address_) return;
  looking_for_address_ = true;
  background_->Run<Result<LocalAddress>>(
      [coordinator = settings_.coordinator](std::stop_token) {
        return AddressTowards(coordinator);
      },
      [this](Result<LocalAddress> found) {
        looking_for_address_ = false;
        if (found) address_ = std::move(*found);
      });
}

wire::Heartbeat Agent::HeartbeatMessage() {
  wire::Heartbeat message;
  for (wire::GangStatus& status : gangs_->Statuses()) *message.add_gangs() = std::move(status);
  const Usage usage = ProbeUsage();
  message.set_memory_used_bytes(usage.memory_used_bytes);
  message.set_cpu_seconds(usage.cpu_seconds);
  message.set_disk_free_bytes(DiskFree(settings_));
  message.set_zygote_pid(static_cast<std::uint32_t>(children_->zygote_pid()));
  return message;
}

void Agent::OnMessage(const wire::ToWorker& message) {
  const Instant now = MonotonicNow();
  if (!membership_->Hear(message, now)) return;
  switch (message.body_case()) {
    case wire::ToWorker::kLaunchGang:
      return gangs_->Launch(message.launch_gang());
    case wire::ToWorker::kStopGang:
      return gangs_->Stop(message.stop_gang());
    case wire::ToWorker::kCheckpointGang:
      return gangs_->Checkpoint(message.checkpoint_gang());
    case wire::ToWorker::kFenceDone:
      return gangs_->OnFenceDone(message.fence_done());
    case wire::ToWorker::kReportAck:
      return reports_->Acknowledge(message.report_ack().report_id());
    case wire::ToWorker::kLogAck:
      return logs_->Acknowledge(message.log_ack(), now);
    case wire::ToWorker::kRunTool:
      if (!stop_by_) tools_->Run(message.generation(), message.run_tool());
      return;
    case wire::ToWorker::kCancelTool:
      return tools_->Cancel(message.generation(), message.cancel_tool().request_id());
    case wire::ToWorker::kRegistered:
    case wire::ToWorker::kRefused:
    case wire::ToWorker::kReregister:
    case wire::ToWorker::kHeartbeatAck:
    case wire::ToWorker::BODY_NOT_SET:
      return;
  }
}

void Agent::OnRegistered(const wire::Registered& registered) {
  remote_.SetTarget(registered.http_url(), registered.http_token(), registered.http_pin());
  const bool shared = registered.jobs_folder_id().empty() ||
                      registered.jobs_folder_id() == FolderIdOf(settings_.jobs_dir);
  shares_jobs_dir_ = shared;
  Log(kInfo, "checkpoints", {{"folder", settings_.jobs_dir.string()}, {"sent", !shared}});
  const Instant now = MonotonicNow();
  reports_->SendAll(now);
  gangs_->OnRegistered();
  logs_->Restart(registered.log_window_bytes(), now);
}

void Agent::OnKeyRefused() {
  if (stop_by_) return;
  wire::Refused refused;
  refused.set_message("the coordinator does not know this worker's key: it was removed there");
  refused.set_hint("join again with a new string of `tutti worker token`: tutti worker --join");
  OnRefused(refused);
}

void Agent::OnRefused(const wire::Refused& refused) {
  Log(kError, "refused", {{"message", refused.message()}, {"hint", refused.hint()}});
  exit_status_ = kExitRefused;
  BeginStop();
}

}  // namespace tutti::agent
