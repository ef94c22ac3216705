#include "worker/exchange/gradient_exchange.h"

#include <algorithm>
#include <array>
#include <bit>
#include <cmath>
#include <utility>
#include <vector>

#include "common/base/check.h"
#include "worker/exchange/sum.h"

namespace tutti::exchange {
namespace {

// What goes between machines at once: 1 MiB. Two are under way, so that one is summed while the
// next travels.
constexpr std::size_t kBucketElements = 4 * kBlockElements;

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
  }

  std::uint32_t first_shard() const override {
    return (machines_.index * memory_.layout().local_size + memory_.local_rank()) * shards_;
  }
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
    const bool first = memory_.local_rank() == 0;
    if (first) memory_.control().store(control, std::memory_order_relaxed);
    TUTTI_RETURN_IF_ERROR(memory_.Barrier());

    SumOverRanks();
    if (machines_.count > 1) {
      TUTTI_RETURN_IF_ERROR(SumOverMachines());
      if (first) TUTTI_RETURN_IF_ERROR(ShareBoard());
    }
    for (std::uint64_t block = first_block_; block < end_block_; ++block) {
      memory_.block_sums()[block] = BlockSumOfSquares(Block(block));
    }
    Reduced reduced;
    TUTTI_RETURN_IF_ERROR(memory_.Barrier());
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

  // Of the machine's sum, which is in the first rank's buffer: only the slice's owner reads or
  // writes a slice of it.
  std::span<float> Block(std::uint64_t block) const {
    const std::uint64_t begin = block * kBlockElements;
    const std::uint64_t end = std::min(begin + kBlockElements, memory_.layout().elements);
    return memory_.gradients(0, 0).subspan(begin, end - begin);
  }

  void SumOverRanks() {
    const NodeLayout& l = memory_.layout();
    std::vector<const float*> terms(l.local_size);
    for (std::uint64_t block = first_block_; block < end_block_; ++block) {
      const std::span<float> out = Block(block);
      for (std::uint32_t rank = 0; rank < l.local_size; ++rank) {
        terms[rank] = memory_.gradients(rank, 0).data() + block * kBlockElements;
      }
      TreeSum(terms, out.data(), out.size());
    }
  }

  // Recursive doubling over the own slice, bucket by bucket: in round r with the machine whose
  // index differs in bit r. a + b = b + a in every bit, so both ends hold the same sum.
  Status SumOverMachines() {
    const std::uint64_t begin = std::min(first_block_ * kBlockElements, memory_.layout().elements);
    const std::uint64_t end = std::min(end_block_ * kBlockElements, memory_.layout().elements);
    const std::span<float> slice = memory_.gradients(0, 0).subspan(begin, end - begin);
    const std::size_t buckets = (slice.size() + kBucketElements - 1) / kBucketElements;
    const auto bucket = [&](std::size_t i) {
      const std::size_t from = i * kBucketElements;
      return slice.subspan(from, std::min(kBucketElements, slice.size() - from));
    };
    for (std::vector<float>& buffer : received_) buffer.resize(kBucketElements);
    for (std::uint32_t bit = 1; bit < machines_.count; bit <<= 1) {
      const std::uint32_t peer = machines_.index ^ bit;
      const auto start = [&](std::size_t i) {
        const std::span<float> mine = bucket(i);
        return machines_.link->Start(
            peer, std::as_bytes(mine),
            std::as_writable_bytes(std::span(received_[i % 2]).first(mine.size())));
      };
      if (buckets > 0) TUTTI_RETURN_IF_ERROR(start(0));
      for (std::size_t i = 0; i < buckets; ++i) {
        if (i + 1 < buckets) TUTTI_RETURN_IF_ERROR(start(i + 1));
        TUTTI_RETURN_IF_ERROR(machines_.link->Finish());
        const std::span<float> mine = bucket(i);
        const float* const terms[] = {mine.data(), received_[i % 2].data()};
        TreeSum(terms, mine.data(), mine.size());
      }
    }
    return {};
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
      TUTTI_RETURN_IF_ERROR(machines_.link->Finish());
      TUTTI_RETURN_IF_ERROR(machines_.link->Finish());
      // The lower side's word is, or becomes, the first machine's.
      if (peer < machines_.index) {
        memory_.control().store(theirs, std::memory_order_relaxed);
      }
    }
    return {};
  }

  NodeMemory& memory_;
  Machines machines_;
  std::array<std::vector<float>, 2> received_;
  std::uint32_t shards_ = 1;
  std::uint64_t first_block_ = 0;
  std::uint64_t end_block_ = 0;
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
