#include "jobs/client/interrupt.h"

#include <sys/eventfd.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <csignal>
#include <cstdint>

#include "common/base/check.h"

namespace tutti::client {
namespace {

constexpr int kExitInterrupted = 130;

std::atomic<int> event_fd{-1};
std::atomic<bool> interrupted{false};

extern "C" void OnSignal(int) {
  const int saved = errno;
  const int fd = event_fd.load();
  if (fd < 0 || interrupted.exchange(true)) ::_exit(kExitInterrupted);
  const std::uint64_t one = 1;
  [[maybe_unused]] const ssize_t written = ::write(fd, &one, sizeof one);
  errno = saved;
}

void Handle(int signal) {
  struct sigaction action {};
  action.sa_handler = OnSignal;
  sigemptyset(&action.sa_mask);
  ::sigaction(signal, &action, nullptr);
}

}  // namespace

InterruptScope::InterruptScope() {
  TUTTI_CHECK(event_fd.load() < 0, "two interrupt scopes");
  interrupted = false;
  event_fd = ::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
  Handle(SIGINT);
  Handle(SIGTERM);
}

InterruptScope::~InterruptScope() {
  const int fd = event_fd.exchange(-1);
  if (fd >= 0) ::close(fd);
  ::signal(SIGTERM, SIG_DFL);
}

void ExitOnInterrupt() { Handle(SIGINT); }

bool Interrupted() { return interrupted; }
int InterruptFd() { return event_fd; }

}  // namespace tutti::client
