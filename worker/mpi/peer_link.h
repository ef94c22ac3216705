// Links between the machines of a gang over its MPI world: non-blocking sends and receives, never a
// collective of MPI's (whose order of summation is not fixed). One thread, after MPI_Init and
// before MPI_Finalize.
#pragma once

#include <chrono>
#include <functional>
#include <memory>

#include "worker/exchange/machines.h"

namespace tutti::mpi {

struct PeerLinkOptions {
  std::uint32_t local_rank = 0;
  std::uint32_t local_size = 1;  // ranks on every machine; rank = machine × local_size + local_rank
  // A swap fails with kTimeout after this long: a last resort, the worker names stalled ranks long
  // before.
  std::chrono::milliseconds deadline{std::chrono::minutes(30)};
  // Called again and again while a swap waits for the other end, from the first 50 ms on; an
  // error ends the wait with it.
  std::function<Status()> on_wait = nullptr;
};

std::unique_ptr<exchange::PeerLink> MakePeerLink(PeerLinkOptions options);

}  // namespace tutti::mpi
