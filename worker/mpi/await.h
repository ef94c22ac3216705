// Waiting for MPI on a core that others may need too. Internal to worker/mpi; the rank's thread.
#pragma once

#include <mpi.h>

#include <cstdint>
#include <functional>
#include <optional>
#include <span>

#include "common/base/result.h"
#include "common/base/time.h"

namespace tutti::mpi {

enum class Awaited : std::uint8_t { kDone, kBroken, kLate };

// Until all of them are done, MPI reports an error, or `deadline` has passed (none: no limit). From
// 50 ms on `on_wait`, unless it is empty, is called again and again; its error ends the wait.
Result<Awaited> Await(std::span<MPI_Request> requests, const std::function<Status()>& on_wait,
                      std::optional<Duration> deadline = std::nullopt);

}  // namespace tutti::mpi
