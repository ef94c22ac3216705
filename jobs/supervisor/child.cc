#include "jobs/supervisor/child.h"

#include <fcntl.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <csignal>
#include <cstring>

#include "common/file/file.h"

namespace tutti::supervisor {
namespace {

namespace fs = std::filesystem;

constexpr Duration kRestartFirst = std::chrono::milliseconds(100);
// With a start behind it well within a worker's lease: gangs outlive a coordinator that dies again
// and again.
constexpr Duration kRestartMax = std::chrono::seconds(2);
constexpr std::uintmax_t kLogMax = 10 << 20;

// Between fork and exec: system calls only.
[[noreturn]] void Become(const std::vector<char*>& argv, int log, pid_t parent) {
  ::setpgid(0, 0);
  ::prctl(PR_SET_PDEATHSIG, SIGKILL);
  if (::getppid() != parent) ::_exit(127);  // it died before the line above
  sigset_t none;
  sigemptyset(&none);
  ::sigprocmask(SIG_SETMASK, &none, nullptr);
  ::signal(SIGPIPE, SIG_DFL);
  ::signal(SIGHUP, SIG_DFL);
  const int null = ::open("/dev/null", O_RDWR);
  ::dup2(null, STDIN_FILENO);
  ::dup2(log, STDOUT_FILENO);
  ::dup2(log, STDERR_FILENO);
  ::close_range(3, ~0U, 0);
  ::execv(argv[0], argv.data());
  const char* why = std::strerror(errno);
  for (const char* text : {"cannot run ", static_cast<const char*>(argv[0]), ": ", why, "\n"}) {
    [[maybe_unused]] const ssize_t written = ::write(STDERR_FILENO, text, std::strlen(text));
  }
  ::_exit(127);
}

}  // namespace

Status Start(Child& child) {
  const UniqueFd log(::open(child.log.c_str(), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0644));
  if (!log) return Fail(ErrnoError("cannot open", child.log.string(), errno));
  std::vector<char*> argv;
  for (std::string& word : child.argv) argv.push_back(word.data());
  argv.push_back(nullptr);
  const pid_t parent = ::getpid();
  const pid_t pid = ::fork();
  if (pid < 0) return Fail(ErrnoError("cannot start a process", child.argv[0], errno));
  if (pid == 0) Become(argv, log.get(), parent);
  ::setpgid(pid, pid);  // here too: whoever comes first, nobody signals a group that isn't there
  child.pid = pid;
  child.started = MonotonicNow();
  return {};
}

void NoteDeath(Child& child, Instant now) {
  child.pid = 0;
  child.deaths = now - child.started >= kSteady ? 1 : child.deaths + 1;
  Duration pause = kRestartFirst;
  for (int i = 1; i < child.deaths && pause < kRestartMax; ++i) pause *= 2;
  child.restart_at = now + std::min(pause, kRestartMax);
}

std::string DescribeExit(int wait_status) {
  if (WIFSIGNALED(wait_status)) {
    const int signal = WTERMSIG(wait_status);
    return "was killed by signal " + std::to_string(signal) + " (" + ::strsignal(signal) + ")";
  }
  return "exited with code " + std::to_string(WEXITSTATUS(wait_status));
}

void SignalGroup(const Child& child, int signal) {
  if (child.pid > 0) ::kill(-child.pid, signal);
}

void RotateLog(const fs::path& log) {
  std::error_code error;
  if (fs::file_size(log, error) <= kLogMax || error) return;
  fs::path old = log;
  old += ".1";
  fs::rename(log, old, error);
}

std::string TailOf(const fs::path& log, int lines) {
  const UniqueFd fd(::open(log.c_str(), O_RDONLY | O_CLOEXEC));
  if (!fd) return {};
  constexpr off_t kWindow = 16 << 10;
  const off_t size = ::lseek(fd.get(), 0, SEEK_END);
  std::string text(static_cast<std::size_t>(std::min(size, kWindow)), '\0');
  const ssize_t count =
      ::pread(fd.get(), text.data(), text.size(), size - static_cast<off_t>(text.size()));
  text.resize(count < 0 ? 0 : static_cast<std::size_t>(count));
  std::size_t at = text.size();
  if (at > 0 && text.back() == '\n') --at;
  for (int i = 0; i < lines && at != std::string::npos && at > 0; ++i) {
    at = text.rfind('\n', at - 1);
  }
  return at == std::string::npos || at == 0 ? text : text.substr(at + 1);
}

}  // namespace tutti::supervisor
