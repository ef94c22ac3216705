#include "worker/mpi/await.h"

#include <sched.h>

namespace tutti::mpi {
namespace {

// A core may hold more ranks than one: after so many looks at MPI the rank lets others run.
constexpr int kSpins = 100;
constexpr Duration kWaitTold = std::chrono::milliseconds(50);

}  // namespace

Result<Awaited> Await(std::span<MPI_Request> requests, const std::function<Status()>& on_wait,
                      std::optional<Duration> deadline) {
  const Instant start = MonotonicNow();
  Instant tell_wait = start + kWaitTold;
  for (int looks = 1;; ++looks) {
    int done = 0;
    if (MPI_Testall(static_cast<int>(requests.size()), requests.data(), &done,
                    MPI_STATUSES_IGNORE) != MPI_SUCCESS) {
      return Awaited::kBroken;
    }
    if (done != 0) return Awaited::kDone;
    if (looks % kSpins != 0) continue;
    sched_yield();
    const Instant now = MonotonicNow();
    if (on_wait && now >= tell_wait) {
      TUTTI_RETURN_IF_ERROR(on_wait());
      tell_wait = now + kWaitTold;
    }
    if (deadline && now - start > *deadline) return Awaited::kLate;
  }
}

}  // namespace tutti::mpi
