// The memory that the ranks of one attempt share on one machine: a memfd that the worker made and
// every rank inherited. It holds one copy of weights and optimizer state, a set of gradient buffers
// for each rank, and what ranks use to meet: a barrier, a board of sums, mailboxes.
//
// Each rank owns one NodeMemory and uses it from one thread (Abort: from any). Nothing is left
// behind by any death: the kernel frees a memfd with its last user. Ranks are *local* ranks here.
#pragma once

#include <array>
#include <atomic>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "common/base/result.h"
#include "common/file/file.h"

namespace tutti::exchange {

inline constexpr std::uint32_t kMaxLocalRanks = 256;

// The same for all ranks of the machine, or Attach refuses.
struct NodeLayout {
  std::uint64_t elements = 0;         // of the flat parameter buffer
  std::uint32_t local_size = 1;       // ranks
  std::uint32_t gradient_levels = 1;  // buffers a rank: log2(shards a rank) + 1
  std::uint32_t shards = 1;           // of the global batch; slots on the board
  bool snapshot = true;               // room for a copy of weights and optimizer state
  std::uint64_t generation = 0;       // the attempt
  std::uint64_t frozen = 0;           // weights that are not trained, beside `elements`

  // Bytes of the whole memory: 12 a parameter, 12 more for the snapshot, 4 a gradient buffer, 4 a
  // weight that is not trained.
  std::uint64_t TotalBytes() const;
  bool operator==(const NodeLayout&) const = default;
};

// One shard's sums of one step.
struct ShardSums {
  double loss = 0;    // summed over items, not divided
  double items = 0;   // what the loss is summed over
  double tokens = 0;  // useful ones
  double rows = 0;
};

class NodeMemory {
 public:
  struct Options {
    NodeLayout layout;
    std::uint32_t local_rank = 0;
    // A barrier fails with kTimeout after this long: a last resort, the worker names stalled ranks
    // long before.
    std::chrono::milliseconds deadline{std::chrono::minutes(30)};
  };
  // Maps `memory` (read and write). Local rank 0 gives it its size and its header, the others wait
  // for that. kInvalid when the memory is of another layout or generation, kTimeout when rank 0
  // does not come.
  static Result<NodeMemory> Attach(UniqueFd memory, Options options);
  NodeMemory(NodeMemory&& other) noexcept;
  NodeMemory& operator=(NodeMemory&&) = delete;
  ~NodeMemory();

  const NodeLayout& layout() const { return options_.layout; }
  std::uint32_t local_rank() const { return options_.local_rank; }

  // [elements] f32 each; all zero at first.
  std::span<float> parameters() const;
  std::span<float> first_moments() const;
  std::span<float> second_moments() const;
  std::span<float> gradients(std::uint32_t rank, std::uint32_t level) const;
  // [3 × elements]: parameters, first and second moments. Empty without `layout.snapshot`.
  std::span<float> snapshot() const;
  // One for each block of the norm, and for each shard.
  std::span<double> block_sums() const;
  std::span<ShardSums> shard_sums() const;
  // [frozen]; written by local rank 0 before a barrier, read by all after it.
  std::span<float> frozen() const;
  // Written by rank 0 before a barrier, read by all after it.
  std::atomic<std::uint64_t>& control() const;

  // A number that `rank` alone writes and all may read at any time; 0 at first.
  std::atomic<std::uint64_t>& progress(std::uint32_t rank) const;

  // Returns when all ranks have called it. kUnavailable when a peer has died or aborted ("rank 1
  // died"), kTimeout after the deadline. After an error the memory is of no more use.
  Status Barrier();
  // Called by Barrier on the rank's thread again and again while it waits for others, from the
  // first 50 ms on; an error ends the wait with it.
  void SetOnWait(std::function<Status()> on_wait) { on_wait_ = std::move(on_wait); }
  // Barriers entered so far.
  std::uint64_t barriers() const { return barriers_; }
  // Everyone's `mine`, by rank; a collective like Barrier.
  Result<std::vector<std::string>> AllGather(std::string_view mine);

  // Makes every peer's barrier fail with `reason`. Any thread.
  void Abort(std::string_view reason);

 private:
  struct Header;
  struct Regions;
  explicit NodeMemory(Options options) : options_(std::move(options)) {}
  Status Map(int fd);
  Status CreateHeader(int fd);
  Status AwaitHeader(int fd);
  Status FindPeers();
  Status PeersAlive();
  float* FloatsAt(std::uint64_t offset) const;
  Header& header() const;

  Options options_;
  std::byte* base_ = nullptr;
  std::size_t mapped_bytes_ = 0;
  std::vector<UniqueFd> peers_;  // pidfds, by local rank; none for ourselves
  std::uint64_t barriers_ = 0;
  std::function<Status()> on_wait_;
};

}  // namespace tutti::exchange
