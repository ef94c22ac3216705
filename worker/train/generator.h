// Seeds by hash: every random stream of a job follows from the job's seed and where it is used, so
// no generator state is kept in checkpoints. Pure functions.
#pragma once

#include <cstdint>

#include "worker/model/random.h"

namespace tutti::train {

using model::HashSeed;

struct MicroBatchPlace {
  std::int64_t step = 0;
  std::int64_t shard = 0;
  std::int64_t micro = 0;  // within the shard's share of the step
};

// The seed of one micro-batch's dropout: independent of the gang's size.
std::uint64_t MicroBatchSeed(std::uint64_t seed, const MicroBatchPlace& place);

}  // namespace tutti::train
