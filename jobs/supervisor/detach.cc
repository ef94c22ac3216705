#include <fcntl.h>
#include <poll.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <csignal>
#include <nlohmann/json.hpp>

#include "common/base/log.h"
#include "jobs/supervisor/supervisor.h"
#include "jobs/supervisor/up.h"

namespace tutti::supervisor {
namespace {

namespace fs = std::filesystem;
using nlohmann::json;

constexpr Duration kUndo = std::chrono::seconds(35);  // Supervisor::Stop takes at most 30

// From now on what the supervisor logs goes into its file.
Status RedirectLog(const fs::path& data_dir) {
  TUTTI_RETURN_IF_ERROR(MakeDirectories(data_dir / "logs"));
  const fs::path path = data_dir / "logs/supervisor.log";
  RotateLog(path);
  const UniqueFd log(::open(path.c_str(), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0644));
  if (!log) return Fail(ErrnoError("cannot open", path.string(), errno));
  ::dup2(log.get(), STDERR_FILENO);
  ConfigureLog("tutti-supervisor", kInfo);
  return {};
}

std::string_view KindName(ReportKind kind) {
  switch (kind) {
    case ReportKind::kNote:
      return "note";
    case ReportKind::kReady:
      return "ready";
  }
  return "note";
}

// The supervisor's process of `up --detach`: tells the waiting one through `pipe`, a line of JSON
// each time.
[[noreturn]] void RunDetached(const UpOptions& options, int pipe) {
  ::setsid();
  ::signal(SIGHUP, SIG_IGN);
  const int null = ::open("/dev/null", O_RDWR | O_CLOEXEC);
  for (const int fd : {STDIN_FILENO, STDOUT_FILENO, STDERR_FILENO}) ::dup2(null, fd);
  // Nothing of the caller's stays open: whoever reads a pipe of it must see its end.
  for (int fd = 3; fd < 1024; ++fd) {
    if (fd != pipe) ::close(fd);
  }
  ::signal(SIGPIPE, SIG_IGN);
  const auto tell = [pipe](std::string_view kind, const json& value) {
    const std::string line = json{{"kind", kind}, {"value", value}}.dump() + "\n";
    [[maybe_unused]] const ssize_t written = ::write(pipe, line.data(), line.size());
  };
  Status status = RedirectLog(options.data_dir);
  if (status) {
    Supervisor supervisor(
        options, [&](ReportKind kind, const std::string& text) { tell(KindName(kind), text); });
    status = supervisor.Run();
  }
  if (!status) {
    Log(kError, "supervisor_failed", {{"error", status.error().ToString()}});
    tell("failed", {{"code", static_cast<int>(status.error().code)},
                    {"message", status.error().message},
                    {"where", status.error().where},
                    {"hint", status.error().hint}});
  }
  ::_exit(status ? 0 : 1);
}

// What came through the pipe by now; `done` once it says ready or failed.
struct Told {
  std::string pending{};
  std::string url{};
  Error error{};
  bool done = false;
};

void TakeLines(Told& told, const Say& say) {
  for (std::size_t end = 0; (end = told.pending.find('\n')) != std::string::npos;) {
    const json line = json::parse(told.pending.substr(0, end), nullptr, false);
    told.pending.erase(0, end + 1);
    if (!line.is_object()) continue;
    const json& value = line.at("value");
    const std::string kind = line.value("kind", "");
    if (kind == "note") {
      say(value.get<std::string>());
    } else if (kind == "ready") {
      told.url = value.get<std::string>();
      told.done = true;
    } else if (kind == "failed") {
      told.error = {static_cast<ErrorCode>(value.at("code").get<int>()), value.value("message", ""),
                    value.value("where", ""), value.value("hint", "")};
      told.done = true;
    }
  }
}

// Reads until the supervisor said something final, closed its end, or time is up (false).
bool Listen(int pipe, Instant deadline, Told& told, const Say& say) {
  while (!told.done) {
    const Duration left = deadline - MonotonicNow();
    if (left <= Duration::zero()) return false;
    pollfd fd{pipe, POLLIN, 0};
    const auto ms = std::chrono::ceil<std::chrono::milliseconds>(left).count();
    if (::poll(&fd, 1, static_cast<int>(ms)) <= 0) continue;
    char block[4096];
    const ssize_t count = ::read(pipe, block, sizeof block);
    if (count < 0 && errno == EINTR) continue;
    if (count <= 0) return true;
    told.pending.append(block, static_cast<std::size_t>(count));
    TakeLines(told, say);
  }
  return true;
}

std::string Tails(const UpOptions& options) {
  std::string out;
  std::error_code error;
  for (const auto& entry : fs::directory_iterator(options.data_dir / "logs", error)) {
    if (entry.path().extension() != ".log") continue;
    out += "\n---- " + entry.path().string() + "\n" + TailOf(entry.path(), 10);
  }
  return out;
}

}  // namespace

Status UpHere(const UpOptions& options, const Say& say) {
  TUTTI_RETURN_IF_ERROR(RedirectLog(options.data_dir));
  Supervisor supervisor(options, [&](ReportKind kind, const std::string& text) {
    say(kind == ReportKind::kReady ? "ready: " + text : text);
  });
  return supervisor.Run();
}

Result<std::string> UpDetached(const UpOptions& options, const Say& say, Duration deadline) {
  int ends[2];
  if (::pipe2(ends, O_CLOEXEC) != 0) return Fail(ErrnoError("cannot make a pipe", "", errno));
  const UniqueFd reading(ends[0]);
  UniqueFd writing(ends[1]);
  const pid_t pid = ::fork();
  if (pid < 0) return Fail(ErrnoError("cannot start a process", "", errno));
  if (pid == 0) RunDetached(options, writing.get());
  writing.Reset();
  Told told;
  const bool in_time = Listen(reading.get(), MonotonicNow() + deadline, told, say);
  if (!told.url.empty()) return told.url;
  if (!in_time) {
    ::kill(pid, SIGTERM);
    Told rest;
    rest.done = false;
    Listen(reading.get(), MonotonicNow() + kUndo, rest, say);
    ::kill(pid, SIGKILL);
    told.error = {ErrorCode::kInternal,
                  "the cluster was not up within " + FormatDuration(deadline) +
                      "; it is stopped again. The ends of its logs:" + Tails(options),
                  options.data_dir.string()};
  }
  ::waitpid(pid, nullptr, 0);
  if (told.error.message.empty()) {
    told.error = {ErrorCode::kInternal, "the supervisor died:" + Tails(options),
                  options.data_dir.string()};
  }
  return Fail(told.error);
}

}  // namespace tutti::supervisor
