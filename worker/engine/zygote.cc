#include "worker/engine/zygote.h"

#include <fcntl.h>
#include <grp.h>
#include <linux/close_range.h>
#include <poll.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <exception>
#include <map>
#include <utility>

#include "common/base/log.h"
#include "common/enginelink/messages.h"

namespace tutti::engine {
namespace {

using enginelink::Exited;
using enginelink::Spawn;
using enginelink::Spawned;

constexpr rlim_t kMappedSlackBytes = rlim_t{1} << 30;
constexpr std::size_t kMaxPacketBytes = 256 << 10;
constexpr std::size_t kMaxFds = 16;
constexpr int kFirstFd = 3;
constexpr int kParkedFds = 100;  // above every number a child is given
constexpr int kChildSetupFailed = 127;

struct Packet {
  std::string text;
  std::vector<UniqueFd> fds;
};

// nullopt: the worker closed the socket.
Result<std::optional<Packet>> Receive(int socket) {
  std::string text(kMaxPacketBytes, '\0');
  alignas(cmsghdr) std::array<char, CMSG_SPACE(kMaxFds * sizeof(int))> control{};
  iovec data{text.data(), text.size()};
  msghdr message{};
  message.msg_iov = &data;
  message.msg_iovlen = 1;
  message.msg_control = control.data();
  message.msg_controllen = control.size();
  const ssize_t size = recvmsg(socket, &message, MSG_CMSG_CLOEXEC);
  if (size < 0) return Fail(ErrnoError("cannot read from", "the zygote's socket", errno));
  Packet packet;
  for (cmsghdr* h = CMSG_FIRSTHDR(&message); h != nullptr; h = CMSG_NXTHDR(&message, h)) {
    if (h->cmsg_level != SOL_SOCKET || h->cmsg_type != SCM_RIGHTS) continue;
    const std::size_t count = (h->cmsg_len - CMSG_LEN(0)) / sizeof(int);
    for (std::size_t i = 0; i < count; ++i) {
      int fd = -1;
      std::memcpy(&fd, CMSG_DATA(h) + i * sizeof(int), sizeof fd);
      packet.fds.emplace_back(fd);
    }
  }
  if (size == 0) return std::nullopt;
  if ((message.msg_flags & (MSG_TRUNC | MSG_CTRUNC)) != 0) {
    return Fail(ErrorCode::kTooLarge, "a packet for the zygote is too large");
  }
  text.resize(static_cast<std::size_t>(size));
  packet.text = std::move(text);
  return packet;
}

// The number after "Threads:" in /proc/self/status; -1 when it cannot be read.
int ThreadCount() {
  const auto status = ReadFile("/proc/self/status");
  if (!status) return -1;
  const std::size_t at = status->find("\nThreads:");
  return at == std::string::npos ? -1 : std::atoi(status->c_str() + at + 9);
}

// ---- in the child ----------------------------------------------------------------------------

[[noreturn]] void GiveUp(const char* what) {
  Log(kError, "child_setup_failed", {{"what", what}, {"error", std::strerror(errno)}});
  _exit(kChildSetupFailed);
}

// Puts each descriptor at its number (messages.h) and closes everything else of the zygote.
std::map<std::string, int> PlaceFds(const Spawn& spawn, const std::vector<UniqueFd>& fds) {
  std::vector<int> parked;
  for (const UniqueFd& fd : fds) {
    parked.push_back(fcntl(fd.get(), F_DUPFD_CLOEXEC, kParkedFds));
    if (parked.back() < 0) GiveUp("dup");
  }
  std::map<std::string, int> numbers;
  int next = kFirstFd;
  for (std::size_t i = 0; i < parked.size(); ++i) {
    const std::string& name = spawn.fd_names[i];
    const int number = name == "stdin"    ? STDIN_FILENO
                       : name == "stdout" ? STDOUT_FILENO
                       : name == "stderr" ? STDERR_FILENO
                                          : next++;
    if (dup2(parked[i], number) < 0) GiveUp("dup2");
    numbers[name] = number;
  }
  close_range(static_cast<unsigned>(next), ~0U, 0);
  return numbers;
}

void TakeIdentity(const Spawn& spawn) {
  if (spawn.gid) {
    if (geteuid() == 0 && setgroups(0, nullptr) != 0) GiveUp("setgroups");
    if (setresgid(*spawn.gid, *spawn.gid, *spawn.gid) != 0) GiveUp("setgid");
  }
  if (spawn.uid && setresuid(*spawn.uid, *spawn.uid, *spawn.uid) != 0) GiveUp("setuid");
}

// A change of uid clears the death signal: it is set after that, and only then is the parent looked
// at, which may have died in between.
void TieTo(pid_t zygote) {
  if (prctl(PR_SET_PDEATHSIG, SIGKILL) != 0) GiveUp("PR_SET_PDEATHSIG");
  if (getppid() != zygote) _exit(kChildSetupFailed);
  if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0) GiveUp("PR_SET_NO_NEW_PRIVS");
}

void TakeLimits(const Spawn& spawn) {
  if (spawn.nice != 0 && setpriority(PRIO_PROCESS, 0, spawn.nice) != 0) GiveUp("nice");
  if (spawn.memory_limit_bytes > 0) {
    // The worker watches what is resident. This stops what grows faster than it looks, and counts
    // what is mapped, of which libraries never touch a good part: hence the slack.
    const rlim_t data_max = spawn.memory_limit_bytes + kMappedSlackBytes;
    const rlimit limit{data_max, data_max};
    if (setrlimit(RLIMIT_DATA, &limit) != 0) GiveUp("setrlimit");
  }
  const rlimit no_core{0, 0};
  setrlimit(RLIMIT_CORE, &no_core);
}

std::vector<std::string> Substitute(const Spawn& spawn, const std::map<std::string, int>& fds) {
  std::vector<std::string> arguments = spawn.arguments;
  for (std::string& argument : arguments) {
    if (argument.size() < 3 || argument.front() != '{' || argument.back() != '}') continue;
    const auto found = fds.find(argument.substr(1, argument.size() - 2));
    if (found != fds.end()) argument = std::to_string(found->second);
  }
  return arguments;
}

[[noreturn]] void BecomeChild(const Spawn& spawn, std::vector<UniqueFd> fds, pid_t zygote,
                              const ZygoteHooks& hooks) {
  sigset_t none;
  sigemptyset(&none);
  sigprocmask(SIG_SETMASK, &none, nullptr);
  setpgid(0, 0);
  for (const auto& [name, value] : spawn.environment) setenv(name.c_str(), value.c_str(), 1);
  const auto numbers = PlaceFds(spawn, fds);
  for (UniqueFd& fd : fds) static_cast<void>(fd.Release());  // closed or placed above
  TakeIdentity(spawn);
  TieTo(zygote);
  if (!spawn.working_dir.empty() && chdir(spawn.working_dir.c_str()) != 0) {
    GiveUp(spawn.working_dir.c_str());
  }
  TakeLimits(spawn);
  int status = kChildSetupFailed;
  try {
    hooks.set_threads(static_cast<int>(spawn.threads));
    status = hooks.run(Substitute(spawn, numbers));
  } catch (const std::exception& exception) {
    Log(kError, "child_failed", {{"error", exception.what()}});
    status = 1;
  }
  std::fflush(nullptr);
  // Not exit(): destructors of libraries were registered by another process.
  _exit(status);
}

// ---- in the zygote ---------------------------------------------------------------------------

class Server {
 public:
  Server(UniqueFd control, const ZygoteHooks& hooks)
      : control_(std::move(control)), hooks_(hooks), pid_(getpid()) {}
  ~Server() { KillChildren(); }

  Status Run() {
    sigset_t mask;
    sigemptyset(&mask);
    sigaddset(&mask, SIGCHLD);
    sigaddset(&mask, SIGTERM);
    sigaddset(&mask, SIGINT);
    sigprocmask(SIG_BLOCK, &mask, nullptr);
    signals_ = UniqueFd(signalfd(-1, &mask, SFD_CLOEXEC | SFD_NONBLOCK));
    if (!signals_) return Fail(ErrnoError("cannot watch", "signals", errno));
    while (true) {
      std::array<pollfd, 2> waiting{{{control_.get(), POLLIN, 0}, {signals_.get(), POLLIN, 0}}};
      if (poll(waiting.data(), waiting.size(), -1) < 0 && errno != EINTR) {
        return Fail(ErrnoError("cannot wait for", "the worker", errno));
      }
      if (waiting[1].revents != 0 && !HandleSignals()) return {};
      if (waiting[0].revents != 0) {
        TUTTI_ASSIGN_OR_RETURN(auto packet, Receive(control_.get()));
        if (!packet) return {};
        HandleSpawn(std::move(*packet));
      }
    }
  }

 private:
  // Whether to go on.
  bool HandleSignals() {
    signalfd_siginfo info{};
    bool go_on = true;
    while (read(signals_.get(), &info, sizeof info) == static_cast<ssize_t>(sizeof info)) {
      if (info.ssi_signo != SIGCHLD) go_on = false;
    }
    Reap();
    return go_on;
  }

  void Reap() {
    int status = 0;
    rusage usage{};
    pid_t pid = 0;
    while ((pid = wait4(-1, &status, WNOHANG, &usage)) > 0) {
      const auto child = children_.find(pid);
      if (child == children_.end()) continue;
      Tell(Exited{.id = child->second,
                  .pid = pid,
                  .wait_status = status,
                  .memory_peak_bytes = static_cast<std::uint64_t>(usage.ru_maxrss) * 1024});
      children_.erase(child);
    }
  }

  void HandleSpawn(Packet packet) {
    auto spawn = enginelink::DecodeSpawn(packet.text);
    if (!spawn) {
      Log(kError, "zygote_nonsense", {{"error", spawn.error().ToString()}});
      return;
    }
    const auto refuse = [&](std::string why) {
      Log(kError, "spawn_refused", {{"error", why}});
      Tell(Spawned{.id = spawn->id, .pid = 0, .error = std::move(why)});
    };
    if (packet.fds.size() != spawn->fd_names.size()) {
      return refuse("it names " + std::to_string(spawn->fd_names.size()) + " descriptors and has " +
                    std::to_string(packet.fds.size()));
    }
    if (const int threads = ThreadCount(); threads != 1) {
      return refuse("the zygote has " + std::to_string(threads) +
                    " threads and cannot fork; a library started one when it was loaded");
    }
    std::fflush(nullptr);
    const pid_t child = fork();
    if (child < 0) return refuse(std::string("fork: ") + std::strerror(errno));
    if (child == 0) BecomeChild(*spawn, std::move(packet.fds), pid_, hooks_);
    children_[child] = spawn->id;
    Tell(Spawned{.id = spawn->id, .pid = child, .error = {}});
  }

  void Tell(const std::variant<Spawned, Exited>& event) {
    const std::string packet = enginelink::EncodePacket(event);
    // The worker is gone when this fails; the next poll sees it too.
    while (send(control_.get(), packet.data(), packet.size(), MSG_NOSIGNAL) < 0 && errno == EINTR) {
    }
  }

  void KillChildren() {
    if (getpid() != pid_) return;  // a child that unwinds
    for (const auto& [pid, id] : children_) {
      kill(-pid, SIGKILL);  // its process group
      kill(pid, SIGKILL);   // before it has made one
    }
    for (const auto& [pid, id] : children_) waitpid(pid, nullptr, 0);
  }

  UniqueFd control_;
  const ZygoteHooks& hooks_;
  pid_t pid_;
  UniqueFd signals_;
  std::map<pid_t, std::uint64_t> children_;  // pid -> id of its request
};

}  // namespace

Status RunZygote(UniqueFd control, const ZygoteHooks& hooks) {
  if (prctl(PR_SET_PDEATHSIG, SIGKILL) != 0) {
    return Fail(ErrnoError("cannot set", "PR_SET_PDEATHSIG", errno));
  }
  int type = 0;
  socklen_t size = sizeof type;
  if (getsockopt(control.get(), SOL_SOCKET, SO_TYPE, &type, &size) != 0 || type != SOCK_SEQPACKET) {
    return Fail(ErrorCode::kInvalid, "the zygote needs a SOCK_SEQPACKET socket", "--fd",
                "the worker starts it; it is not for use by hand");
  }
  return Server(std::move(control), hooks).Run();
}

}  // namespace tutti::engine
