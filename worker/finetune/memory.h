// How much memory a rank of a job will use: what it allocates, added up. One thread.
#pragma once

#include <cstdint>
#include <span>

#include "common/base/result.h"
#include "common/base/time.h"
#include "common/base/units.h"
#include "worker/finetune/job.h"

namespace tutti::finetune {

// What a rank holds besides the model's working memory; each in bytes.
struct MemoryParts {
  std::int64_t parameters = 0;  // floats of a flat buffer
  std::int64_t shards = 1;      // of the global batch
  std::int64_t ranks = 1;       // of the gang, on one machine
};
// Weights, moments, their snapshot, own gradient buffers, and the slices of other ranks' gradients
// that a rank reads. All of it is shared memory, counted for each rank that touches it.
std::int64_t BufferBytes(const MemoryParts& parts);

// The peak of resident memory of a rank of `ranks`, as getrusage's ru_maxrss will have it: the
// process as it is now (libraries, tokenizer, rows), the buffers, the cache of an evaluation's
// answers, and the working memory of the largest micro-batch that this job will meet, which is
// computed once to know it. `parameters` and `base` are flat buffers of layout() and, with an
// adapter, base_layout(). REQUIRES: nothing is bound to the model yet.
struct WeightsHeld {
  std::span<const float> parameters{};
  std::span<const float> base{};
};
struct Prediction {
  Bytes memory;         // of a rank
  Duration training{};  // all steps of a gang of `ranks`, by the time that micro-batch took
};
Result<Prediction> Predict(Job& job, std::int64_t ranks, const WeightsHeld& weights);

// Resident memory of this process now.
Result<Bytes> ResidentMemory();

}  // namespace tutti::finetune
