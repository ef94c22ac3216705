#include "worker/train/generator.h"

#include "worker/model/kernels.h"

namespace tutti::train {

std::uint64_t HashSeed(std::uint64_t seed, std::uint64_t value) {
  return model::MixBits(model::MixBits(seed) ^ value);
}

std::uint64_t HashSeed(std::uint64_t seed, std::string_view name) {
  std::uint64_t hash = model::MixBits(seed) ^ name.size();
  for (const char c : name) hash = model::MixBits(hash ^ static_cast<unsigned char>(c));
  return hash;
}

std::uint64_t MicroBatchSeed(std::uint64_t seed, const MicroBatchPlace& place) {
  std::uint64_t hash = HashSeed(seed, static_cast<std::uint64_t>(place.step));
  hash = HashSeed(hash, static_cast<std::uint64_t>(place.shard));
  return HashSeed(hash, static_cast<std::uint64_t>(place.micro));
}

}  // namespace tutti::train
