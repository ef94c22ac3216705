#include "worker/exchange/gradient_exchange.h"

#include <algorithm>
#include <bit>
#include <chrono>
#include <cmath>
#include <optional>
#include <utility>
#include <vector>

#include "common/base/check.h"
#include "worker/exchange/machine_sum.h"
#include "worker/exchange/sum.h"

namespace tutti::exchange {
namespace {

// Adds the time until it goes to `seconds`.
class Timed {
 public:
  explicit Timed(double& seconds) : seconds_(seconds) {}
  Timed(const Timed&) = delete;
  Timed& operator=(const Timed&) = delete;
  ~Timed() {
    seconds_ += std::chrono::duration<double>(std::chrono::steady_clock::now() - since_).count();
  }

 private:
  double& seconds_;
  const std::chrono::steady_clock::time_point since_ = std::chrono::steady_clock::now();
};

class NodeExchange final : public GradientExchange {
 public:
  NodeExchange(NodeMemory& memory, Machines machines) : memory_(memory), machines_(machines) {
    const NodeLayout& l = memory.layout();
    const std::uint32_t ranks = machines.count * l.local_size;
    TUTTI_CHECK(std::has_single_bit(l.shards) && std::has_single_bit(ranks));
    TUTTI_CHECK(l.shards >= ranks, l.shards, " shards, ", ranks, " ranks");
    TUTTI_CHECK(machines.index < machines.count);
    TUTTI_CHECK(machines.count == 1 || machines.link != nullptr);
    shards_ = l.shards / ranks;
    TUTTI_CHECK(l.gradient_levels == LevelsFor(shards_), l.gradient_levels, " levels");
    const std::uint64_t blocks = BlocksOf(l.elements);
    first_block_ = blocks * memory.local_rank() / l.local_size;
    end_block_ = blocks * (memory.local_rank() + 1) / l.local_size;
    begin_ = std::min(first_block_ * kBlockElements, l.elements);
    end_ = std::min(end_block_ * kBlockElements, l.elements);
    if (machines.count > 1) {
      machine_sum_.emplace(machines, memory.gradients(0, 0).subspan(begin_, end_ - begin_));
    }
    StartStep();
  }

  std::uint32_t first_shard() const override {
    return (machines_.index * memory_.layout().local_size + memory_.local_rank()) * shards_;
  }
  std::uint32_t shards() const override { return shards_; }
  std::uint64_t collectives() const override { return memory_.barriers(); }
  ReduceUse use() const override { return use_; }
  std::span<float> gradient() const override { return memory_.gradients(memory_.local_rank(), 0); }
  std::span<const float> reduced_gradient() const override { return memory_.gradients(0, 0); }

  // A binary counter: level l + 1 holds the sum of 2^l shards while bit l of the count is set. The
  // last shard's carry runs through every level and ends in gradient().
  void FinishShard(std::uint32_t own_shard, const ShardSums& sums) override {
    TUTTI_CHECK(own_shard < shards_);
    memory_.shard_sums()[first_shard() + own_shard] = sums;
    if (own_shard + 1 == shards_) return FoldLast(0);
    const auto carries = static_cast<std::uint32_t>(std::countr_one(own_shard));
    std::vector<const float*> stored;
    for (std::uint32_t level = 0; level < carries; ++level) stored.push_back(Level(level + 1));
    CarrySum(stored, Level(0), Level(carries + 1), memory_.layout().elements);
  }

  void FinishFrom(std::uint64_t from) override {
    if (!machine_sum_ || !status_) return;
    FoldLast(from);
    memory_.progress(memory_.local_rank()).store(Progress(from), std::memory_order_release);
    std::uint64_t ready = from;
    for (std::uint32_t rank = 0; rank < memory_.layout().local_size; ++rank) {
      ready = std::max(ready, FinalFrom(rank));
    }
    ready = std::clamp(ready, begin_, end_);
    SumOverRanks(ready);
    const Timed timed(use_.network.seconds);
    status_ = machine_sum_->Advance(ready - begin_);
  }

  Result<Reduced> Reduce(std::uint64_t control) override {
    TUTTI_RETURN_IF_ERROR(status_);
    const bool first = memory_.local_rank() == 0;
    if (first) memory_.control().store(control, std::memory_order_relaxed);
    TUTTI_RETURN_IF_ERROR(Meet());

    SumOverRanks(begin_);
    TUTTI_RETURN_IF_ERROR(SumOverMachines());
    CountBytes();
    StartStep();
    for (std::uint64_t block = first_block_; block < end_block_; ++block) {
      memory_.block_sums()[block] = BlockSumOfSquares(Block(block));
    }
    Reduced reduced;
    TUTTI_RETURN_IF_ERROR(Meet());
    reduced.control = memory_.control().load(std::memory_order_relaxed);

    double squares = 0;
    for (const double block : memory_.block_sums()) squares += block;
    for (const ShardSums& shard : memory_.shard_sums()) {
      reduced.sums.loss += shard.loss;
      reduced.sums.items += shard.items;
      reduced.sums.tokens += shard.tokens;
      reduced.sums.rows += shard.rows;
    }
    reduced.norm = std::sqrt(squares);
    reduced.finite = std::isfinite(squares) && std::isfinite(reduced.sums.loss);
    return reduced;
  }

  Status Update(const std::function<void(const Slice&)>& update) override {
    const std::uint64_t count = end_ - begin_;
    if (count > 0) {
      update({.begin = begin_,
              .parameters = memory_.parameters().subspan(begin_, count),
              .gradients = memory_.gradients(0, 0).subspan(begin_, count),
              .first_moments = memory_.first_moments().subspan(begin_, count),
              .second_moments = memory_.second_moments().subspan(begin_, count)});
    }
    return memory_.Barrier();
  }

 private:
  float* Level(std::uint32_t level) const {
    return memory_.gradients(memory_.local_rank(), level).data();
  }

  // Of the machine's sum, which is in the first rank's buffer: only the slice's owner reads or
  // writes a slice of it.
  std::span<float> Block(std::uint64_t block) const {
    const std::uint64_t begin = block * kBlockElements;
    const std::uint64_t end = std::min(begin + kBlockElements, memory_.layout().elements);
    return memory_.gradients(0, 0).subspan(begin, end - begin);
  }

  // Nothing of the next gradient is final.
  void StartStep() {
    folded_from_ = memory_.layout().elements;
    summed_from_ = end_;
    ++steps_;
    if (machine_sum_) machine_sum_->Begin();
  }

  // What a rank says of its gradient: grows within a step and from step to step.
  std::uint64_t Progress(std::uint64_t final_from) const {
    const std::uint64_t elements = memory_.layout().elements;
    return steps_ * (elements + 1) + (elements - final_from);
  }
  std::uint64_t FinalFrom(std::uint32_t rank) const {
    const std::uint64_t elements = memory_.layout().elements;
    const std::uint64_t said = memory_.progress(rank).load(std::memory_order_acquire);
    return said < Progress(elements) ? elements : elements - (said - Progress(elements));
  }

  // The carry of the last own shard, of elements from `from` on.
  void FoldLast(std::uint64_t from) {
    TUTTI_CHECK(from <= folded_from_, from);
    const std::uint64_t count = std::exchange(folded_from_, from) - from;
    if (shards_ == 1 || count == 0) return;
    std::vector<const float*> stored;
    for (std::uint32_t level = 1; (1U << level) <= shards_; ++level) {
      stored.push_back(Level(level) + from);
    }
    CarrySum(stored, Level(0) + from, Level(0) + from, count);
  }

  // The own slice's elements from `from` on, those that are not summed yet.
  void SumOverRanks(std::uint64_t from) {
    const NodeLayout& l = memory_.layout();
    const std::uint64_t count = std::exchange(summed_from_, from) - from;
    if (l.local_size == 1 || count == 0) return;
    const Timed timed(use_.memory.seconds);
    std::vector<const float*> terms(l.local_size);
    for (std::uint32_t rank = 0; rank < l.local_size; ++rank) {
      terms[rank] = memory_.gradients(rank, 0).data() + from;
    }
    TreeSum(terms, memory_.gradients(0, 0).data() + from, count);
  }

  // Waits for the machine's other ranks.
  Status Meet() {
    if (memory_.layout().local_size == 1) return memory_.Barrier();
    const Timed timed(use_.memory.seconds);
    return memory_.Barrier();
  }

  Status SumOverMachines() {
    if (!machine_sum_) return {};
    const Timed timed(use_.network.seconds);
    TUTTI_RETURN_IF_ERROR(machine_sum_->Finish());
    return memory_.local_rank() == 0 ? ShareBoard() : Status();
  }

  // A sum in memory reads each rank's gradient once; between machines, each sends one gradient a
  // round of the doubling.
  void CountBytes() {
    const NodeLayout& l = memory_.layout();
    const std::uint64_t a_gradient = l.elements * sizeof(float);
    const std::uint64_t rounds = std::bit_width(machines_.count) - 1U;
    if (l.local_size > 1) use_.memory.bytes += a_gradient * l.local_size * machines_.count;
    use_.network.bytes += a_gradient * rounds * machines_.count;
  }

  // Every machine gets every shard's sums, and the control word of the first machine. Round r swaps
  // the 2^r machines' worth of shards that each side holds.
  Status ShareBoard() {
    const std::span<ShardSums> board = memory_.shard_sums();
    const std::size_t a_machine = board.size() / machines_.count;
    for (std::uint32_t bit = 1; bit < machines_.count; bit <<= 1) {
      const std::uint32_t peer = machines_.index ^ bit;
      const auto held = [&](std::uint32_t machine) {
        return board.subspan((machine & ~(bit - 1)) * a_machine, bit * a_machine);
      };
      TUTTI_RETURN_IF_ERROR(machines_.link->Start(peer, std::as_bytes(held(machines_.index)),
                                                  std::as_writable_bytes(held(peer))));
      const std::uint64_t mine = memory_.control().load(std::memory_order_relaxed);
      std::uint64_t theirs = 0;
      TUTTI_RETURN_IF_ERROR(machines_.link->Start(peer, std::as_bytes(std::span(&mine, 1)),
                                                  std::as_writable_bytes(std::span(&theirs, 1))));
      TUTTI_RETURN_IF_ERROR(machines_.link->Finish(peer));
      TUTTI_RETURN_IF_ERROR(machines_.link->Finish(peer));
      // The lower side's word is, or becomes, the first machine's.
      if (peer < machines_.index) {
        memory_.control().store(theirs, std::memory_order_relaxed);
      }
    }
    return {};
  }

  NodeMemory& memory_;
  Machines machines_;
  std::uint32_t shards_ = 1;
  std::uint64_t first_block_ = 0, end_block_ = 0;  // of the own slice
  std::uint64_t begin_ = 0, end_ = 0;              // the same in elements
  std::optional<MachineSum> machine_sum_;          // with other machines only
  std::uint64_t steps_ = 0;                        // begun
  std::uint64_t folded_from_ = 0;                  // own shards are summed from here on
  std::uint64_t summed_from_ = 0;                  // and the machine's ranks' from here on
  Status status_;                                  // of what FinishFrom began
  ReduceUse use_;
};

}  // namespace

std::unique_ptr<GradientExchange> MakeNodeExchange(NodeMemory& memory, Machines machines) {
  return std::make_unique<NodeExchange>(memory, machines);
}

std::uint32_t LevelsFor(std::uint32_t shards) {
  TUTTI_CHECK(std::has_single_bit(shards), shards, " shards a rank");
  return static_cast<std::uint32_t>(std::bit_width(shards));
}

}  // namespace tutti::exchange
