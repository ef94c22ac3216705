// MPI's world: the processes that were started together. One object a process, on its main thread.
// MPI does no more than that on one machine; gradients go through worker/exchange.
#pragma once

#include <cstdint>

#include "common/base/result.h"

namespace tutti::engine {

class World {
 public:
  // Loads the parts of Open MPI that Join opens: for a zygote, whose forks inherit them. A process
  // with 290 libraries takes about a millisecond to bind each. What is not there is left out.
  static void Preload();
  // MPI_Init. A process that no worker (or mpirun) started is a world of its own.
  static Result<World> Join();

  std::uint32_t rank() const { return rank_; }
  std::uint32_t size() const { return size_; }
  // Everyone has called it.
  Status Barrier();
  // MPI_Finalize; a collective. Not called after an error: peers may be gone.
  void Leave();

 private:
  World(std::uint32_t rank, std::uint32_t size) : rank_(rank), size_(size) {}
  std::uint32_t rank_ = 0, size_ = 1;
};

}  // namespace tutti::engine
