// Small texts of every rank of a gang, to every rank: what does not go through the memory of one
// machine. One thread, between MPI_Init and MPI_Finalize.
#pragma once

#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "common/base/result.h"

namespace tutti::mpi {

// Everyone's `mine`, by rank; a collective. Waits without a deadline of its own: the worker kills a
// gang whose rank has died, and names one that stands still. kUnavailable when MPI says so.
//   on_wait   may be nullptr; called again and again while others are waited for, from 50 ms on; an
//             error ends the wait with it
Result<std::vector<std::string>> AllGather(std::string_view mine,
                                           const std::function<Status()>& on_wait = nullptr);

}  // namespace tutti::mpi
