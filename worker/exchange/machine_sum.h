// The sum of one slice of a flat buffer over the machines of a gang, bucket by bucket from the
// slice's end, while the rest of it is still being computed: recursive doubling, in round r with
// the machine whose index differs in bit r. a + b = b + a in every bit, so all ends hold the same.
//
//   Begin() → Advance(ready) … → Finish()
//
// Owned by an exchange; one thread, the one of the links.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "common/base/result.h"
#include "worker/exchange/machines.h"

namespace tutti::exchange {

class MachineSum {
 public:
  // `slice` holds this machine's terms and becomes the sum; it outlives this.
  MachineSum(Machines machines, std::span<float> slice);

  // A new sum: nothing is ready.
  void Begin();
  // Starts and ends what can be without waiting; [ready, slice.size()) holds its final terms and is
  // no more the caller's until Finish. `ready` never grows. kUnavailable: a machine is gone.
  Status Advance(std::size_t ready);
  // All of the slice is ready; waits for the rest. kTimeout: a machine does not answer.
  Status Finish();

 private:
  static constexpr std::size_t kWindow = PeerLink::kSwapsMax;  // buckets under way in a round
  struct Round {
    std::uint32_t peer = 0;
    std::size_t started = 0, ended = 0;  // buckets
    std::array<std::vector<float>, kWindow> received{};
  };
  std::size_t buckets() const;
  std::span<float> Bucket(std::size_t index) const;  // 0 is the slice's end
  std::size_t BucketsReady(std::size_t ready) const;
  Status Start(Round& round);
  void End(Round& round);

  Machines machines_;
  std::span<float> slice_;
  std::vector<Round> rounds_;
};

}  // namespace tutti::exchange
