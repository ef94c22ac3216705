// What a job will take: the memory of a rank, added up from what it allocates, and the time of its
// steps. One thread.
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

// Flat buffers of a model's layout() and, with an adapter, base_layout().
struct WeightsHeld {
  std::span<const float> parameters{};
  std::span<const float> base{};
};

struct Prediction {
  Bytes memory;         // of a rank, its peak
  Duration training{};  // of all steps
};

// Of a gang of `ranks`, from the largest micro-batch that the job will meet, which is computed
// once. Memory is what getrusage's ru_maxrss will have: the process as it is now (libraries,
// tokenizer, rows), the buffers, the cache of an evaluation's answers, and that micro-batch's
// working memory. The training is all steps' tokens at that micro-batch's rate. REQUIRES: nothing
// is bound to the model yet.
Result<Prediction> Predict(Job& job, std::int64_t ranks, const WeightsHeld& weights);

// Resident memory of this process now.
Result<Bytes> ResidentMemory();

}  // namespace tutti::finetune
