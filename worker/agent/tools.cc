#include "worker/agent/tools.h"

#include <algorithm>
#include <array>
#include <string_view>

#include "common/base/log.h"
#include "worker/agent/gang_inputs.h"

namespace tutti::agent {
namespace {

namespace fs = std::filesystem;

constexpr std::size_t kOutMax = std::size_t{8} << 20;
constexpr std::size_t kErrorsMax = 4096;
constexpr std::size_t kQueueMax = 64;
constexpr std::size_t kOthersMax = 2;  // try and eval at once
constexpr std::size_t kAnsweredMax = 16;
constexpr std::uint32_t kDeadlineMs = 600'000;
constexpr int kNice = 10;

Result<std::vector<WantedFile>> WantedFiles(const wire::RunTool& request) {
  std::vector<WantedFile> wanted;
  for (const wire::File& file : request.files()) {
    const auto digest = Digest::Parse(file.digest());
    if (!digest) return Fail(ErrorCode::kInvalid, "not a digest", file.digest());
    wanted.push_back({.path = file.path(),
                      .digest = *digest,
                      .size = Bytes{static_cast<std::int64_t>(file.size_bytes())}});
  }
  return wanted;
}

bool Is(const wire::RunTool& request, std::string_view tool) { return request.tool() == tool; }

}  // namespace

Tools::~Tools() {
  for (const auto& run : runs_) {
    if (run->child) services_.children.Abandon(*run->child);
  }
}

fs::path Tools::FolderOf(const ToolRun& run) const {
  return services_.settings.dir / "run" / ("tool-" + std::to_string(run.serial));
}

void Tools::Run(std::uint64_t generation, const wire::RunTool& request) {
  if (generation != generation_) {
    CancelAll();
    answered_.clear();
    generation_ = generation;
  }
  const auto same = [&](const auto& other) { return other.request_id() == request.request_id(); };
  const auto answered = std::find_if(answered_.begin(), answered_.end(), same);
  if (answered != answered_.end()) {
    services_.send(*answered);
    return;
  }
  for (const auto& run : runs_) {
    if (run->stage == Stage::kLeaving || run->generation != generation) continue;
    if (same(run->request)) return;
  }
  const std::uint32_t deadline_ms =
      request.deadline_ms() == 0 ? kDeadlineMs : request.deadline_ms();
  runs_.push_back(std::make_unique<ToolRun>());
  ToolRun& run = *runs_.back();
  run.request = request;
  run.generation = generation;
  run.serial = ++last_serial_;
  run.deadline = MonotonicNow() + Duration(std::chrono::milliseconds(deadline_ms));
  if (!IsTool(request.tool())) {
    return Cancel(run, AnswerOfError({.code = ErrorCode::kInvalid,
                                      .message = "no such tool",
                                      .where = request.tool()}));
  }
  if (runs_.size() > kQueueMax) {
    return Cancel(run, AnswerOfError({.code = ErrorCode::kUnavailable,
                                      .message = "too many tools wait on this worker",
                                      .hint = "try again later"}));
  }
  StartNext();
}

bool Tools::HasRoomFor(const ToolRun& candidate) const {
  const bool inspect = Is(candidate.request, "inspect");
  const auto busy = std::count_if(runs_.begin(), runs_.end(), [&](const auto& run) {
    const bool active = run->stage == Stage::kFetching || run->stage == Stage::kRunning;
    return active && Is(run->request, "inspect") == inspect;
  });
  return static_cast<std::size_t>(busy) < (inspect ? 1 : kOthersMax);
}

void Tools::StartNext() {
  for (const auto& run : runs_) {
    if (run->stage == Stage::kQueued && HasRoomFor(*run)) Fetch(*run);
  }
}

void Tools::Fetch(ToolRun& run) {
  run.stage = Stage::kFetching;
  auto work = [this, request = run.request, pinned = run.pinned,
               folder = FolderOf(run)](std::stop_token stop) -> Status {
    TUTTI_RETURN_IF_ERROR(MakeDirectories(folder, 0700));
    TUTTI_RETURN_IF_ERROR(MakeDirectories(folder / "tmp"));
    TUTTI_ASSIGN_OR_RETURN(const auto wanted, WantedFiles(request));
    const PlaceOptions options{.folder = folder,
                               .cache = services_.cache,
                               .remote = services_.remote,
                               .data_roots = services_.settings.data_roots};
    for (const WantedFile& file : wanted) {
      TUTTI_RETURN_IF_ERROR(PlaceFile(file, folder, options, stop));
    }
    TUTTI_ASSIGN_OR_RETURN(const std::string local,
                           LocalRequest(request.request_json(),
                                        {.folder = folder,
                                         .cache_dir = services_.settings.dir / "cache" / "tokens",
                                         .jobs_dir = services_.settings.jobs_dir,
                                         .data_roots = services_.settings.data_roots,
                                         .pinned = *pinned}));
    return WriteFileAtomically(folder / "request.json", local, {.mode = 0600, .durable = false});
  };
  run.stop = services_.background.Run<Status>(std::move(work), [this, &run](Status fetched) {
    if (run.verdict) {
      Answer(run, std::move(*run.verdict));
    } else if (!fetched) {
      Answer(run, AnswerOfError(fetched.error()));
    } else {
      Spawn(run);
    }
  });
}

void Tools::Spawn(ToolRun& run) {
  run.stage = Stage::kRunning;
  if (const Status spawned = SpawnChild(run); !spawned) {
    Answer(run, AnswerOfError(spawned.error()));
  }
}

Status Tools::SpawnChild(ToolRun& run) {
  const fs::path folder = FolderOf(run);
  UniqueFd out, errors;
  TUTTI_ASSIGN_OR_RETURN(
      run.out_pipe, OutputPipe::Create(services_.loop, out, [this, &run](std::string_view data) {
        if (run.verdict) return;
        run.out += data;
        if (run.request.stream()) TellPieces(run);
        if (run.out.size() <= kOutMax) return;
        Cancel(run, AnswerOfError({.code = ErrorCode::kTooLarge,
                                   .message = "the tool's answer is too long"}));
      }));
  TUTTI_ASSIGN_OR_RETURN(run.error_pipe,
                         OutputPipe::Create(services_.loop, errors, [&run](std::string_view data) {
                           run.errors += data;
                           if (run.errors.size() > kErrorsMax) {
                             run.errors.erase(0, run.errors.size() - kErrorsMax);
                           }
                         }));
  const std::uint32_t threads = Is(run.request, "inspect") ? 1 : services_.threads;
  const enginelink::Spawn spawn{
      .arguments = {run.request.tool(), "--request", (folder / "request.json").string()},
      .environment = {{"TMPDIR", (folder / "tmp").string()},
                      {"OMP_NUM_THREADS", std::to_string(threads)},
                      {"OPENBLAS_NUM_THREADS", std::to_string(threads)}},
      .fd_names = {"stdout", "stderr"},
      .working_dir = (folder / "tmp").string(),
      .nice = kNice,
      .threads = threads};
  const std::array<int, 2> fds = {out.get(), errors.get()};
  run.child = services_.children.Spawn(
      spawn, fds,
      {.on_spawned =
           [this, &run](const Result<pid_t>& pid) {
             if (!pid) {
               run.child.reset();
               Answer(run, run.verdict ? std::move(*run.verdict) : AnswerOfError(pid.error()));
             } else if (run.verdict) {
               services_.children.Kill(*run.child);
             }
           },
       .on_exited = [this, &run](const Children::Exit& exit) { OnExited(run, exit); }});
  return {};
}

void Tools::TellPieces(ToolRun& run) {
  std::vector<std::string> pieces = TakePieces(run.out);
  if (pieces.empty() || run.generation != generation_) return;
  wire::ToolOutput output;
  output.set_request_id(run.request.request_id());
  output.set_sequence(++run.told);
  for (std::string& piece : pieces) output.add_json(std::move(piece));
  services_.tell(output);
}

void Tools::OnExited(ToolRun& run, const Children::Exit& exit) {
  run.child.reset();
  run.out_pipe->Drain();
  run.error_pipe->Drain();
  if (!run.verdict) {
    run.verdict = AnswerOfOutput(run.request.tool(), run.out, run.errors, exit.wait_status);
  }
  Answer(run, std::move(*run.verdict));
}

void Tools::Cancel(ToolRun& run, ToolAnswer answer) {
  if (run.verdict || run.stage == Stage::kLeaving) return;
  run.verdict = std::move(answer);
  switch (run.stage) {
    case Stage::kQueued:
      return Answer(run, std::move(*run.verdict));
    case Stage::kFetching:
      run.stop.request_stop();
      return;
    case Stage::kRunning:
      if (run.child) services_.children.Kill(*run.child);
      return;
    case Stage::kLeaving:
      return;
  }
}

void Tools::Answer(ToolRun& run, ToolAnswer answer) {
  wire::ToolResult result;
  result.set_request_id(run.request.request_id());
  result.set_ok(answer.ok);
  result.set_json(std::move(answer.json));
  Log(kInfo, "tool_ended",
      {{"tool", run.request.tool()}, {"request", run.request.request_id()}, {"ok", answer.ok}});
  if (run.generation == generation_) {  // who else asked has no use for it
    services_.send(result);
    Remember(result);
  }
  Leave(run);
}

void Tools::Remember(const wire::ToolResult& result) {
  answered_.push_front(result);
  if (answered_.size() > kAnsweredMax) answered_.pop_back();
}

// Not at once: this may be the callback of a pipe that goes.
void Tools::Leave(ToolRun& run) {
  run.stage = Stage::kLeaving;
  services_.background.Run<Status>(
      [folder = FolderOf(run)](std::stop_token) { return RemoveTree(folder); },
      [this, &run](Status removed) {
        if (!removed) Log(kError, "folder_left", {{"error", removed.error().ToString()}});
        runs_.remove_if([&](const auto& other) { return other.get() == &run; });
        StartNext();
      });
}

void Tools::Cancel(std::uint64_t generation, std::uint64_t request_id) {
  if (generation != generation_) return;
  for (const auto& run : runs_) {
    if (run->generation != generation || run->request.request_id() != request_id) continue;
    return Cancel(*run,
                  AnswerOfError({.code = ErrorCode::kUnavailable, .message = "it was cancelled"}));
  }
}

void Tools::Tick(Instant now) {
  std::vector<ToolRun*> late;
  for (const auto& run : runs_) {
    if (now >= run->deadline) late.push_back(run.get());
  }
  for (ToolRun* run : late) {
    Cancel(*run, AnswerOfError({.code = ErrorCode::kTimeout,
                                .message = run->request.tool() + " was not done in time"}));
  }
}

void Tools::CancelAll() {
  std::vector<ToolRun*> all;
  for (const auto& run : runs_) all.push_back(run.get());
  for (ToolRun* run : all) {
    Cancel(*run, AnswerOfError({.code = ErrorCode::kUnavailable, .message = "it was cancelled"}));
  }
}

}  // namespace tutti::agent
