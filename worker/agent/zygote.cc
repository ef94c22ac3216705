#include "worker/agent/zygote.h"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>

#include "common/base/check.h"
#include "common/base/log.h"

namespace tutti::agent {
namespace {

constexpr Duration kZygoteBackOffMin = std::chrono::milliseconds(100);
constexpr Duration kZygoteBackOffMax = std::chrono::seconds(5);
constexpr auto kHealthyAfter = std::chrono::seconds(30);
constexpr int kSendTimeoutMs = 1000;
constexpr std::size_t kMaxPacketBytes = 64 << 10;
constexpr std::size_t kMaxFds = 16;
constexpr int kSocketFd = 3;  // the zygote's number for its end

// Between fork and exec: only async-signal-safe calls.
[[noreturn]] void BecomeZygote(int socket, int log, pid_t parent, char* const argv[],
                               char* const environment[]) {
  sigset_t none;
  sigemptyset(&none);
  sigprocmask(SIG_SETMASK, &none, nullptr);
  setpgid(0, 0);
  prctl(PR_SET_PDEATHSIG, SIGKILL);
  if (getppid() != parent) _exit(127);
  const int null = open("/dev/null", O_RDONLY);
  if (null >= 0) dup2(null, STDIN_FILENO);
  dup2(log, STDOUT_FILENO);
  dup2(log, STDERR_FILENO);
  if (socket == kSocketFd) {
    fcntl(socket, F_SETFD, 0);
  } else {
    dup2(socket, kSocketFd);
  }
  close_range(kSocketFd + 1, ~0U, 0);
  execve(argv[0], argv, environment);
  constexpr char kMessage[] = "cannot execute the engine\n";
  [[maybe_unused]] const ssize_t written = write(STDERR_FILENO, kMessage, sizeof kMessage - 1);
  _exit(127);
}

// The worker's own environment with one thread for every library that starts some by itself.
std::vector<std::string> ZygoteEnvironment() {
  std::vector<std::string> result;
  for (char** variable = environ; *variable != nullptr; ++variable) {
    const std::string_view text(*variable);
    if (text.starts_with("OMP_") || text.starts_with("OPENBLAS_") || text.starts_with("MKL_") ||
        text.starts_with("PMIX_") || text.starts_with("OMPI_")) {
      continue;
    }
    result.emplace_back(text);
  }
  for (const char* fixed : {"OMP_NUM_THREADS=1", "OPENBLAS_NUM_THREADS=1", "MKL_NUM_THREADS=1",
                            "OMP_WAIT_POLICY=passive", "OMP_PROC_BIND=false"}) {
    result.emplace_back(fixed);
  }
  return result;
}

std::vector<char*> Pointers(std::vector<std::string>& texts) {
  std::vector<char*> pointers;
  for (std::string& text : texts) pointers.push_back(text.data());
  pointers.push_back(nullptr);
  return pointers;
}

}  // namespace

Zygote::~Zygote() {
  if (restart_) options_.loop.Cancel(*restart_);
  if (socket_) options_.loop.Forget(socket_.get());
  if (pid_ > 0) {
    kill(pid_, SIGKILL);
    waitpid(pid_, nullptr, 0);
  }
}

Status Zygote::Start() { return Launch(); }

Status Zygote::Launch() {
  std::array<int, 2> pair{};
  if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair.data()) != 0) {
    return Fail(ErrnoError("cannot make a socket for the zygote", "", errno));
  }
  UniqueFd ours(pair[0]), theirs(pair[1]);
  const UniqueFd log(
      open(options_.log_path.c_str(), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0644));
  if (!log) return Fail(ErrnoError("cannot open", options_.log_path.string(), errno));

  std::vector<std::string> arguments = options_.command;
  arguments.insert(arguments.end(), {"zygote", "--fd", std::to_string(kSocketFd)});
  std::vector<std::string> environment = ZygoteEnvironment();
  const std::vector<char*> argv = Pointers(arguments);
  const std::vector<char*> envp = Pointers(environment);
  const pid_t parent = getpid();
  const pid_t child = fork();
  if (child < 0) return Fail(ErrnoError("cannot start the zygote", arguments[0], errno));
  if (child == 0) BecomeZygote(theirs.get(), log.get(), parent, argv.data(), envp.data());

  pid_ = child;
  started_at_ = MonotonicNow();
  socket_ = std::move(ours);
  options_.loop.Watch(socket_.get(), EPOLLIN, [this](std::uint32_t) { OnReadable(); });
  Log(kInfo, "zygote_started", {{"pid", pid_}});
  if (options_.on_started) options_.on_started();
  return {};
}

Status Zygote::Send(const enginelink::Spawn& spawn, std::span<const int> fds) {
  TUTTI_CHECK(fds.size() == spawn.fd_names.size() && fds.size() <= kMaxFds, fds.size());
  if (!socket_) {
    return Fail(ErrorCode::kUnavailable, "the engine's zygote is not running", "",
                "it is restarted by itself; see the worker's log");
  }
  std::string packet = enginelink::EncodePacket(spawn);
  iovec data{packet.data(), packet.size()};
  alignas(cmsghdr) std::array<char, CMSG_SPACE(kMaxFds * sizeof(int))> control{};
  msghdr message{};
  message.msg_iov = &data;
  message.msg_iovlen = 1;
  if (!fds.empty()) {
    message.msg_control = control.data();
    message.msg_controllen = CMSG_SPACE(fds.size_bytes());
    cmsghdr* header = CMSG_FIRSTHDR(&message);
    header->cmsg_level = SOL_SOCKET;
    header->cmsg_type = SCM_RIGHTS;
    header->cmsg_len = CMSG_LEN(fds.size_bytes());
    std::memcpy(CMSG_DATA(header), fds.data(), fds.size_bytes());
  }
  while (sendmsg(socket_.get(), &message, MSG_DONTWAIT | MSG_NOSIGNAL) < 0) {
    if (errno == EINTR) continue;
    pollfd ready{socket_.get(), POLLOUT, 0};
    if (errno != EAGAIN || poll(&ready, 1, kSendTimeoutMs) <= 0) {
      return Fail(ErrnoError("cannot reach the engine's zygote", "", errno));
    }
  }
  return {};
}

void Zygote::OnReadable() {
  std::array<char, kMaxPacketBytes> packet{};
  while (socket_) {
    const ssize_t size = recv(socket_.get(), packet.data(), packet.size(), MSG_DONTWAIT);
    if (size < 0 && errno == EINTR) continue;
    if (size < 0 && errno == EAGAIN) return;
    if (size <= 0) {
      HandleDeath();
      return;
    }
    const auto event =
        enginelink::DecodeZygoteEvent({packet.data(), static_cast<std::size_t>(size)});
    if (!event) {
      Log(kError, "zygote_nonsense", {{"error", event.error().ToString()}});
      continue;
    }
    if (const auto* spawned = std::get_if<enginelink::Spawned>(&*event)) {
      options_.on_spawned(*spawned);
    } else {
      options_.on_exited(std::get<enginelink::Exited>(*event));
    }
  }
}

bool Zygote::Reaped(pid_t pid, int wait_status) {
  if (pid != pid_) return false;
  Log(kWarning, "zygote_exited",
      {{"pid", pid},
       {"signal", WIFSIGNALED(wait_status) ? WTERMSIG(wait_status) : 0},
       {"status", WIFEXITED(wait_status) ? WEXITSTATUS(wait_status) : -1}});
  pid_ = 0;
  if (socket_) OnReadable();  // what it said last, then its end
  if (socket_) HandleDeath();
  return true;
}

void Zygote::HandleDeath() {
  options_.loop.Forget(socket_.get());
  socket_.Reset();
  // It closed its socket but may live: nobody else could reach it, so it goes, and its children
  // with it.
  if (pid_ > 0) kill(pid_, SIGKILL);
  LaunchAgainLater();
  options_.on_died();
}

void Zygote::LaunchAgainLater() {
  if (MonotonicNow() - started_at_ > kHealthyAfter) back_off_ = kZygoteBackOffMin;
  restart_ = options_.loop.After(back_off_, [this] {
    restart_.reset();
    if (const Status started = Launch(); !started) {
      Log(kError, "zygote_restart_failed", {{"error", started.error().ToString()}});
      LaunchAgainLater();
    }
  });
  back_off_ = std::min(back_off_ * 2, kZygoteBackOffMax);
}

}  // namespace tutti::agent
