// The seam between a training step and where its gradients are summed: in one process, in the
// memory of one machine, between machines, later on devices.
//
// A step, on every rank alike:
//
//   for each own shard i:  fill gradient();  FinishShard(i, sums)
//                          in the last one, while it is filled: FinishFrom(element) …
//   Reduce(control)  → the whole batch's norm and sums, the same on all ranks
//   Update(callback) → each rank updates its own slice; then all see all weights
//
// The sums follow one binary tree over the shards of the global batch, whatever rank computed them:
// 1, 2 and 4 ranks give the same bits. One thread per rank.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <span>

#include "common/base/result.h"
#include "worker/exchange/machines.h"
#include "worker/exchange/node_memory.h"

namespace tutti::exchange {

// What a step's reduction leaves, equal on all ranks.
struct Reduced {
  ShardSums sums;             // added over shards in index order
  double norm = 0;            // of the gradient of the whole batch
  bool finite = false;        // loss and gradient
  std::uint64_t control = 0;  // rank 0's word of this step
};

// What reductions took so far, by path.
struct PathUse {
  std::uint64_t bytes = 0;  // of gradients, of all ranks of the gang
  double seconds = 0;       // of this rank, waiting for others included
};
struct ReduceUse {
  PathUse memory;   // between the ranks of a machine; 0 when it has one
  PathUse network;  // between machines; 0 when there is one
};

// A rank's part of the flat buffers; [begin, begin + parameters.size()), block-aligned.
struct Slice {
  std::uint64_t begin = 0;
  std::span<float> parameters;
  std::span<const float> gradients;
  std::span<float> first_moments;
  std::span<float> second_moments;
};

class GradientExchange {
 public:
  virtual ~GradientExchange() = default;

  // Shards of this rank: [first_shard, first_shard + shards).
  virtual std::uint32_t first_shard() const = 0;
  virtual std::uint32_t shards() const = 0;
  // Where the next shard's gradient goes, [elements]; the caller zeroes it. Always the same place:
  // parameters' gradients can be views of it.
  virtual std::span<float> gradient() const = 0;
  // Folds gradient() into the rank's sum. Called for own shards 0, 1, … in order, each step.
  virtual void FinishShard(std::uint32_t own_shard, const ShardSums& sums) = 0;
  // In the last own shard: gradient() is final from element `from` on, which falls from call to
  // call. Sums with other machines begin, and go on in each call, without waiting; Reduce tells of
  // errors. Not calling it changes no bit.
  virtual void FinishFrom(std::uint64_t from) = 0;
  // Collective, in turn with Update. `control` counts on the gang's rank 0 only. kUnavailable when
  // a peer is gone, kTimeout.
  virtual Result<Reduced> Reduce(std::uint64_t control) = 0;
  // Collective, after Reduce: calls `update` for the own slice, then waits for all.
  virtual Status Update(const std::function<void(const Slice&)>& update) = 0;
  // The whole batch's gradient after Reduce, until the next FinishShard: to name what is not
  // finite.
  virtual std::span<const float> reduced_gradient() const = 0;
  // Reductions entered so far.
  virtual std::uint64_t collectives() const = 0;
  virtual ReduceUse use() const = 0;
};

// Over the memory of this machine, which outlives the exchange, and the links to the gang's other
// machines. REQUIRES: layout.shards (of the whole gang) a multiple of machines.count × local_size,
// all powers of two, and gradient_levels = LevelsFor(shards a rank).
//
// On each machine a rank sums its slice over the machine's ranks; counterparts on different
// machines then sum that slice by recursive doubling. Blocks of shards lie on ranks and machines in
// order, so this is the same tree over shards as in one process.
std::unique_ptr<GradientExchange> MakeNodeExchange(NodeMemory& memory, Machines machines = {});

// Gradient buffers a rank with `shards` shards needs.
std::uint32_t LevelsFor(std::uint32_t shards);

}  // namespace tutti::exchange
