// The other machines of a gang, as the exchange sees them: each rank swaps bytes with the rank of
// the same local number on another machine. Implemented over MPI in worker/mpi; one thread.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

#include "common/base/result.h"

namespace tutti::exchange {

class PeerLink {
 public:
  virtual ~PeerLink() = default;

  // Starts to send `send` to our counterpart on `machine` and to fill `receive` with what it sends.
  // Both ends start their swaps with each other in the same order; the buffers are in use until
  // that swap is over, and at most kSwapsMax with one machine are under way. `receive` never
  // overlaps `send`.
  static constexpr std::size_t kSwapsMax = 4;
  virtual Status Start(std::uint32_t machine, std::span<const std::byte> send,
                       std::span<std::byte> receive) = 0;
  // Whether the oldest swap under way with `machine` is over; then the next one is the oldest. Does
  // not wait. kUnavailable when the counterpart is gone.
  virtual Result<bool> Poll(std::uint32_t machine) = 0;
  // Waits for the oldest swap under way with `machine`. kTimeout when it does not answer.
  virtual Status Finish(std::uint32_t machine) = 0;
};

// A power of two of machines with equally many ranks each; ours holds the ranks
// index × local_size … and so the shards in the same order.
struct Machines {
  std::uint32_t count = 1;
  std::uint32_t index = 0;
  PeerLink* link = nullptr;  // not owned; may be null for one machine
};

}  // namespace tutti::exchange
