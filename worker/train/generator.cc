#include "worker/train/generator.h"

namespace tutti::train {

std::uint64_t MicroBatchSeed(std::uint64_t seed, const MicroBatchPlace& place) {
  std::uint64_t hash = HashSeed(seed, static_cast<std::uint64_t>(place.step));
  hash = HashSeed(hash, static_cast<std::uint64_t>(place.shard));
  return HashSeed(hash, static_cast<std::uint64_t>(place.micro));
}

}  // namespace tutti::train
