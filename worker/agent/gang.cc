#include "worker/agent/gang.h"

#include <signal.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <nlohmann/json.hpp>
#include <utility>

#include "common/base/check.h"
#include "common/base/log.h"
#include "jobs/attempt/stall.h"
#include "worker/agent/checkpoint_files.h"
#include "worker/agent/gang_export.h"
#include "worker/agent/machine.h"

namespace tutti::agent {
namespace {

using spec::FailureReason;

constexpr Duration kLogPatience = std::chrono::seconds(3);          // for the last output to arrive
constexpr Duration kCheckpointPatience = std::chrono::minutes(10);  // for the last one to arrive

FailureReason ReasonOf(const Error& error) {
  switch (error.code) {
    case ErrorCode::kDiskFull:
      return FailureReason::kDiskFull;
    case ErrorCode::kInvalid:
    case ErrorCode::kUnsupported:
    case ErrorCode::kNotFound:
    case ErrorCode::kTooLarge:
      return FailureReason::kData;
    case ErrorCode::kConflict:
    case ErrorCode::kAuth:
    case ErrorCode::kQuota:
    case ErrorCode::kUnavailable:
    case ErrorCode::kTimeout:
    case ErrorCode::kIo:
    case ErrorCode::kInternal:
      return FailureReason::kInternal;
  }
  return FailureReason::kInternal;
}

void RemoveTemporaries(const std::filesystem::path& directory) {
  std::error_code ignored;
  for (const auto& entry : std::filesystem::directory_iterator(directory, ignored)) {
    if (entry.path().filename().string().find(".tmp-") == std::string::npos) continue;
    std::filesystem::remove(entry.path(), ignored);
  }
}

wire::GangEnded::Outcome OutcomeOf(attempt::Outcome outcome) {
  switch (outcome) {
    case attempt::Outcome::kSucceeded:
      return wire::GangEnded::SUCCEEDED;
    case attempt::Outcome::kReleased:
      return wire::GangEnded::RELEASED;
    case attempt::Outcome::kFailed:
      return wire::GangEnded::FAILED;
    case attempt::Outcome::kKilled:
      return wire::GangEnded::KILLED;
  }
  return wire::GangEnded::UNKNOWN;
}

double Seconds(Duration duration) { return std::chrono::duration<double>(duration).count(); }

void WriteStall(const attempt::Stall& stall, std::uint32_t first_rank, wire::Stall& out) {
  out.set_rank(first_rank + stall.rank);
  out.set_stopped(stall.stopped);
  out.set_phase(stall.phase);
  out.set_collective(stall.collective);
  out.set_sequence(stall.sequence);
  out.set_step(stall.step);
  out.set_silent_seconds(Seconds(stall.silent));
  out.set_message(stall.message);
}

}  // namespace

Gang::Gang(const GangServices& services, wire::LaunchGang launch, OnOver on_over)
    : services_(services),
      launch_(std::move(launch)),
      on_over_(std::move(on_over)),
      fences_(launch_.job(), launch_.attempt(), services.send_fence),
      checkpoints_({.loop = services.loop,
                    .background = services.background,
                    .remote = services.remote,
                    .job = launch_.job(),
                    .shares_folder = [&services] { return services.shares_jobs_dir; },
                    .report =
                        [this](wire::CheckpointCommitted checkpoint) {
                          wire::GangReport report = NewReport();
                          *report.mutable_checkpoint() = std::move(checkpoint);
                          services_.reports.Add(std::move(report), MonotonicNow());
                        },
                    .warn = [this](const std::string& message) { Warn(message); }}) {
  folder_ = services_.settings.dir / "run" / name();
  state_ = attempt::Begin({.local_ranks = launch_.local_ranks(),
                           .first_rank = launch_.first_rank(),
                           .gang_size = launch_.size(),
                           .worker = services_.settings.name},
                          services_.limits, MonotonicNow());
  ranks_.resize(launch_.local_ranks());
}

Gang::~Gang() {
  for (RankRun& rank : ranks_) {
    if (rank.child) services_.children.Abandon(*rank.child);
  }
  if (in_pmix_) services_.pmix.Deregister(name());
}

std::string Gang::name() const { return launch_.job() + "." + std::to_string(launch_.attempt()); }

wire::GangStatus Gang::Status() const {
  wire::GangStatus status;
  status.set_job(launch_.job());
  status.set_attempt(launch_.attempt());
  status.set_stopping(state_.stop != attempt::Stop::kNone ||
                      state_.phase >= attempt::Phase::kKilling);
  for (const attempt::Rank& rank : state_.ranks) {
    if (rank.life == attempt::Rank::Life::kAlive) {
      status.add_rank_pids(static_cast<std::uint32_t>(rank.pid));
    }
  }
  for (const std::uint64_t bytes : memory_bytes_) status.add_memory_bytes(bytes);
  for (const attempt::Stall& stall : state_.stalls) {
    WriteStall(stall, launch_.first_rank(), *status.add_stalls());
  }
  for (const attempt::Rank& rank : state_.ranks) {
    if (rank.compute_times.size() < attempt::kStepTimesNeeded) continue;
    status.add_compute_seconds(Seconds(attempt::Median(rank.compute_times)));
  }
  if (status.compute_seconds_size() != static_cast<int>(state_.ranks.size())) {
    status.clear_compute_seconds();  // of all ranks or none
  }
  return status;
}

void Gang::Start() {
  Log(kInfo, "gang_accepted", {{"gang", name()}, {"ranks", launch_.local_ranks()}});
  auto inputs = ReadGangInputs(launch_.spec_json());
  if (!inputs) {
    return Do(attempt::InputsFailed{ReasonOf(inputs.error()), inputs.error().ToString()});
  }
  FetchInputs(std::move(*inputs));
}

void Gang::Tick() {
  fences_.Tick(MonotonicNow());
  ProbeSilentRanks();
  SayAlive();
  WatchMemory();
  Do(attempt::Tick{});
}

// ---- events and actions -------------------------------------------------------------------------

void Gang::Do(attempt::Event event, std::string line) {
  if (const auto* stop = std::get_if<attempt::StopRequested>(&event)) {
    if (stop->mode == attempt::Stop::kKill) checkpoints_.Abandon();
  }
  events_.emplace_back(std::move(event), std::move(line));
  if (stepping_) return;  // an action made this event: it is next
  stepping_ = true;
  while (!events_.empty()) {
    const auto [next, its_line] = std::move(events_.front());
    events_.pop_front();
    for (const attempt::Action& action : attempt::Step(state_, next, MonotonicNow())) {
      std::visit([&, &text = its_line](const auto& a) { Perform(a, text); }, action);
    }
  }
  stepping_ = false;
}

template <typename T>
void Gang::Work(std::function<T(std::stop_token)> work, std::function<void(T)> done) {
  ++works_;
  stop_work_ = services_.background.Run<T>(std::move(work), [this, done](T result) {
    --works_;
    done(std::move(result));
    if (cleaning_ && works_ == 0) RemoveFolder();
    CallIfOver();
  });
}

void Gang::FetchInputs(GangInputs inputs) {
  inputs_ = std::move(inputs);
  struct Fetched {
    LocalInputs inputs;
    std::vector<std::string> warnings;
  };
  Work<Result<Fetched>>(
      [this, shared = services_.shares_jobs_dir](std::stop_token stop) -> Result<Fetched> {
        TUTTI_RETURN_IF_ERROR(RemoveTree(folder_));
        TUTTI_RETURN_IF_ERROR(MakeDirectories(folder_, 0700));
        TUTTI_RETURN_IF_ERROR(MakeDirectories(CheckpointDir()));
        for (const char* name : {"inputs", "tmp", "export"}) {
          TUTTI_RETURN_IF_ERROR(MakeDirectories(folder_ / name));
        }
        Fetched fetched;
        TUTTI_ASSIGN_OR_RETURN(fetched.inputs,
                               PlaceInputs(inputs_,
                                           {.folder = folder_ / "inputs",
                                            .cache = services_.cache,
                                            .remote = services_.remote,
                                            .data_roots = services_.settings.data_roots},
                                           stop));
        if (shared) return fetched;
        TUTTI_ASSIGN_OR_RETURN(fetched.warnings,
                               FetchCheckpoints(launch_, CheckpointDir(), services_.remote, stop));
        return fetched;
      },
      [this](Result<Fetched> fetched) {
        if (!fetched) {
          return Do(attempt::InputsFailed{ReasonOf(fetched.error()), fetched.error().ToString()});
        }
        for (const std::string& warning : fetched->warnings) Warn(warning);
        local_ = std::move(fetched->inputs);
        Do(attempt::InputsReady{});
      });
}

void Gang::Perform(const attempt::SendToRankZero& action, const std::string& /*line*/) {
  if (launch_.first_rank() == 0 && ranks_[0].link) ranks_[0].link->Send(action.message);
}

void Gang::Perform(const attempt::KillRanks&, const std::string& /*line*/) {
  for (const RankRun& rank : ranks_) {
    if (rank.child) services_.children.Kill(*rank.child);
  }
}

void Gang::Perform(const attempt::UploadExport& action, const std::string& /*line*/) {
  Work<Result<wire::Model>>(
      [this, files = action.files](std::stop_token stop) {
        return UploadModel(folder_ / "export", files, services_.remote, std::move(stop));
      },
      [this](Result<wire::Model> model) {
        if (!model) {
          const FailureReason reason = model.error().code == ErrorCode::kDiskFull
                                           ? FailureReason::kDiskFull
                                           : FailureReason::kInternal;
          return Do(attempt::UploadFailed{
              reason, "the model could not be handed over: " + model.error().ToString()});
        }
        model_ = std::move(*model);
        Do(attempt::UploadFinished{});
      });
}

// Not at once: this may be the callback of a link that goes.
void Gang::Perform(const attempt::CleanUp&, const std::string& /*line*/) {
  services_.loop.Post([this] { FinishCleaning(); });
}

void Gang::FinishCleaning() {
  for (RankRun& rank : ranks_) {
    rank.link.reset();
    rank.output.reset();
    if (rank.log) services_.logs.Close(*rank.log);
  }
  fences_.Abandon();
  if (std::exchange(in_pmix_, false)) services_.pmix.Deregister(name());
  memory_.Reset();
  cleaning_ = true;
  if (works_ > 0) {
    stop_work_.request_stop();  // it may still write into the folder
  } else {
    RemoveFolder();
  }
}

void Gang::RemoveFolder() {
  cleaning_ = false;
  // A copy of what the coordinator has: nobody asks for it again.
  const bool forget = state_.uploaded && !services_.shares_jobs_dir;
  Work<tutti::Status>(
      [this, forget](std::stop_token) -> tutti::Status {
        // Only rank 0 writes there, and it is gone: what it left half-written is of no use.
        if (launch_.first_rank() == 0) RemoveTemporaries(CheckpointDir());
        if (forget) TUTTI_RETURN_IF_ERROR(RemoveTree(CheckpointDir().parent_path()));
        return RemoveTree(folder_);
      },
      [this](tutti::Status removed) {
        if (!removed) {
          Log(kError, "folder_left", {{"error", removed.error().ToString()}});
        }
        Do(attempt::CleanedUp{});
      });
}

// ---- reports ------------------------------------------------------------------------------------

wire::GangReport Gang::NewReport() const {
  wire::GangReport report;
  report.set_job(launch_.job());
  report.set_attempt(launch_.attempt());
  return report;
}

void Gang::SendProgress(std::string payload_json) {
  wire::GangProgress progress;
  progress.set_job(launch_.job());
  progress.set_attempt(launch_.attempt());
  progress.set_payload_json(std::move(payload_json));
  services_.send_progress(progress);
}

void Gang::Perform(const attempt::Forward&, const std::string& line) { SendProgress(line); }

void Gang::Warn(const std::string& message) {
  Log(kWarning, "gang_warning", {{"gang", name()}, {"message", message}});
  SendWarning(enginelink::Warning{.message = message});
}

void Gang::SendWarning(enginelink::Warning warning) {
  std::string text = enginelink::Encode(enginelink::ToWorker(std::move(warning)));
  text.pop_back();  // the line's end
  SendProgress(std::move(text));
}

void Gang::Perform(const attempt::ReportWarning& action, const std::string& /*line*/) {
  Warn(action.message);
}

void Gang::Perform(const attempt::ReportStall& action, const std::string& /*line*/) {
  const attempt::Stall& stall = action.stall;
  Log(kWarning, action.over ? "stall_over" : "rank_stalled",
      {{"gang", name()},
       {"rank", launch_.first_rank() + stall.rank},
       {"collective", stall.collective},
       {"sequence", stall.sequence},
       {"step", stall.step},
       {"message", stall.message}});
  SendWarning({.message = stall.message, .code = action.over ? "stall_over" : "stalled"});
  // Once the attempt has taken the change in.
  services_.loop.Post(services_.beat_now);
}

void Gang::Perform(const attempt::ReportStarted& action, const std::string& /*line*/) {
  const double seconds = Seconds(action.launch);
  Log(kInfo, "gang_started",
      {{"gang", name()}, {"from_step", action.from_step}, {"launch_seconds", seconds}});
  wire::GangReport report = NewReport();
  report.mutable_started()->set_ranks(launch_.size());
  report.mutable_started()->set_from_step(action.from_step);
  report.mutable_started()->set_launch_seconds(seconds);
  services_.reports.Add(std::move(report), MonotonicNow());
}

void Gang::Perform(const attempt::ReportCheckpoint& action, const std::string& /*line*/) {
  checkpoints_.Add(action.checkpoint);
}

void Gang::Perform(const attempt::ReportEnded& action, const std::string& /*line*/) {
  wire::GangReport report = NewReport();
  wire::GangEnded& ended = *report.mutable_ended();
  ended.set_outcome(OutcomeOf(action.outcome));
  if (action.reason) ended.set_reason(std::string(spec::ToString(*action.reason)));
  ended.set_message(action.message);
  ended.set_step(action.step);
  ended.set_memory_peak_bytes(action.memory_peak_bytes);
  if (action.outcome == attempt::Outcome::kSucceeded) {
    *ended.mutable_model() = model_;
    ended.set_metrics_json(nlohmann::json(action.metrics).dump());
  }
  Log(kInfo, "gang_ended",
      {{"gang", name()},
       {"outcome", wire::GangEnded::Outcome_Name(ended.outcome())},
       {"reason", ended.reason()},
       {"message", ended.message()}});
  // What was not sent yet is of no use when the gang was killed or has its model; else the next
  // attempt may need it.
  if (action.outcome == attempt::Outcome::kKilled ||
      action.outcome == attempt::Outcome::kSucceeded) {
    checkpoints_.Abandon();
  }
  checkpoints_.WhenReported(kCheckpointPatience, [this, report = std::move(report)]() mutable {
    ReportEnd(std::move(report));
  });
}

void Gang::ReportEnd(wire::GangReport report) {
  // Who hears of the end may look at the output: it goes first.
  services_.logs.WhenArrived(launch_.job(), launch_.attempt(), MonotonicNow(), kLogPatience,
                             [this, report = std::move(report)]() mutable {
                               ended_ = report;
                               services_.reports.Add(std::move(report), MonotonicNow());
                               services_.loop.Post([this] { CallIfOver(); });
                             });
}

void Gang::CallIfOver() {
  if (!ended_ || works_ > 0 || checkpoints_.busy() || !on_over_) return;
  const OnOver on_over = std::exchange(on_over_, nullptr);
  on_over(*ended_);
}

}  // namespace tutti::agent
