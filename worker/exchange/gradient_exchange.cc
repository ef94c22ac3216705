#include "worker/exchange/gradient_exchange.h"

#include <bit>
#include <cmath>
#include <utility>
#include <vector>

#include "common/base/check.h"
#include "worker/exchange/sum.h"

namespace tutti::exchange {
namespace {

class NodeExchange final : public GradientExchange {
 public:
  explicit NodeExchange(NodeMemory& memory) : memory_(memory) {
    const NodeLayout& l = memory.layout();
    TUTTI_CHECK(std::has_single_bit(l.shards) && std::has_single_bit(l.local_size));
    TUTTI_CHECK(l.shards >= l.local_size, l.shards, " shards, ", l.local_size, " ranks");
    shards_ = l.shards / l.local_size;
    TUTTI_CHECK(l.gradient_levels == LevelsFor(shards_), l.gradient_levels, " levels");
    const std::uint64_t blocks = BlocksOf(l.elements);
    first_block_ = blocks * memory.local_rank() / l.local_size;
    end_block_ = blocks * (memory.local_rank() + 1) / l.local_size;
  }

  std::uint32_t first_shard() const override { return memory_.local_rank() * shards_; }
  std::uint32_t shards() const override { return shards_; }
  std::uint64_t collectives() const override { return memory_.barriers(); }
  std::span<float> gradient() const override { return memory_.gradients(memory_.local_rank(), 0); }
  std::span<const float> reduced_gradient() const override { return memory_.gradients(0, 0); }

  // A binary counter: level l + 1 holds the sum of 2^l shards while bit l of the count is set. The
  // last shard's carry runs through every level and ends in gradient().
  void FinishShard(std::uint32_t own_shard, const ShardSums& sums) override {
    TUTTI_CHECK(own_shard < shards_);
    memory_.shard_sums()[first_shard() + own_shard] = sums;
    if (shards_ == 1) return;
    const auto carries = static_cast<std::uint32_t>(std::countr_one(own_shard));
    std::vector<const float*> stored;
    for (std::uint32_t level = 0; level < carries; ++level) stored.push_back(Level(level + 1));
    float* out = own_shard + 1 == shards_ ? Level(0) : Level(carries + 1);
    CarrySum(stored, Level(0), out, memory_.layout().elements);
  }

  Result<Reduced> Reduce(std::uint64_t control) override {
    const NodeLayout& l = memory_.layout();
    if (memory_.local_rank() == 0) memory_.control().store(control, std::memory_order_relaxed);
    TUTTI_RETURN_IF_ERROR(memory_.Barrier());

    std::vector<const float*> terms;
    for (std::uint32_t rank = 0; rank < l.local_size; ++rank) {
      terms.push_back(memory_.gradients(rank, 0).data());
    }
    float* out = memory_.gradients(0, 0).data();  // only the slice's owner reads or writes a slice
    for (std::uint64_t block = first_block_; block < end_block_; ++block) {
      const std::uint64_t begin = block * kBlockElements;
      const std::uint64_t count = std::min<std::uint64_t>(kBlockElements, l.elements - begin);
      std::vector<const float*> at = terms;
      for (const float*& term : at) term += begin;
      TreeSum(at, out + begin, count);
      memory_.block_sums()[block] = BlockSumOfSquares({out + begin, count});
    }
    Reduced reduced;
    reduced.control = memory_.control().load(std::memory_order_relaxed);
    TUTTI_RETURN_IF_ERROR(memory_.Barrier());

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
    const std::uint64_t elements = memory_.layout().elements;
    const std::uint64_t begin = std::min(first_block_ * kBlockElements, elements);
    const std::uint64_t count = std::min(end_block_ * kBlockElements, elements) - begin;
    if (count > 0) {
      update({.begin = begin,
              .parameters = memory_.parameters().subspan(begin, count),
              .gradients = memory_.gradients(0, 0).subspan(begin, count),
              .first_moments = memory_.first_moments().subspan(begin, count),
              .second_moments = memory_.second_moments().subspan(begin, count)});
    }
    return memory_.Barrier();
  }

 private:
  float* Level(std::uint32_t level) const {
    return memory_.gradients(memory_.local_rank(), level).data();
  }

  NodeMemory& memory_;
  std::uint32_t shards_ = 1;
  std::uint64_t first_block_ = 0;
  std::uint64_t end_block_ = 0;
};

}  // namespace

std::unique_ptr<GradientExchange> MakeNodeExchange(NodeMemory& memory) {
  return std::make_unique<NodeExchange>(memory);
}

std::uint32_t LevelsFor(std::uint32_t shards) {
  TUTTI_CHECK(std::has_single_bit(shards), shards, " shards a rank");
  return static_cast<std::uint32_t>(std::bit_width(shards));
}

}  // namespace tutti::exchange
