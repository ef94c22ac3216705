#include <poll.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cerrno>
#include <csignal>

#include "jobs/client/endpoint.h"
#include "jobs/supervisor/programs.h"
#include "jobs/supervisor/up.h"

namespace tutti::supervisor {

Result<int> Down(const std::filesystem::path& data_dir, Duration deadline) {
  const auto pid = client::SupervisorOf(data_dir);
  if (!pid) {
    RemoveEndpoint(data_dir);
    return 0;
  }
  const std::string lock = (data_dir / "supervisor.lock").string();
  if (*pid <= 0) {
    return Fail(ErrorCode::kUnavailable, "its supervisor is just starting", lock, "try again");
  }
  // The descriptor names this very process, whatever becomes of its number.
  const UniqueFd process(static_cast<int>(::syscall(SYS_pidfd_open, *pid, 0)));
  if (!process && errno == ESRCH) return *pid;
  if (!process) return Fail(ErrnoError("cannot watch pid " + std::to_string(*pid), lock, errno));
  if (client::SupervisorOf(data_dir) != pid) return *pid;  // it ended in between
  if (::syscall(SYS_pidfd_send_signal, process.get(), SIGTERM, nullptr, 0) != 0) {
    if (errno == ESRCH) return *pid;
    return Fail(ErrnoError("cannot signal pid " + std::to_string(*pid), lock, errno));
  }
  const Instant until = MonotonicNow() + deadline;
  for (;;) {
    const Duration left = until - MonotonicNow();
    if (left <= Duration::zero()) break;
    pollfd fd{process.get(), POLLIN, 0};
    const auto ms = std::chrono::ceil<std::chrono::milliseconds>(left).count();
    if (::poll(&fd, 1, static_cast<int>(ms)) > 0) return *pid;
  }
  return Fail(ErrorCode::kTimeout,
              "pid " + std::to_string(*pid) + " still runs after " + FormatDuration(deadline),
              (data_dir / "logs/supervisor.log").string(),
              "`kill -9 " + std::to_string(*pid) +
                  "` ends it and all its programs; jobs go on from "
                  "their last checkpoint");
}

}  // namespace tutti::supervisor
