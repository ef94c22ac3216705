// Fences: where the machines of a gang meet while MPI starts and ends. Each sends what its ranks
// contribute; when all have, each gets everything, in the gang's order. Volatile: workers repeat
// what is not answered.
//
// Of the loop's thread.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <string>
#include <tuple>

#include "common/wire/messages.pb.h"
#include "scheduler/core/ledger.h"

namespace tutti::coordinator {

class Fences {
 public:
  using Send = std::function<void(NodeId, wire::ToWorker)>;

  // What `node` contributes. Stale or foreign ones are dropped, as is a sequence far ahead.
  void Hear(const core::Ledger& ledger, NodeId node, const wire::Fence& fence, const Send& send);
  // Forgets what belongs to no gang any more.
  void Sweep(const core::Ledger& ledger);
  std::size_t size() const { return meetings_.size(); }

  static constexpr std::uint32_t kSequencesMax = 64;     // of an attempt; MPI needs three or four
  static constexpr std::size_t kDataBytesMax = 1 << 20;  // of one machine

 private:
  struct Key {
    JobId job;
    Attempt attempt{};
    std::uint32_t sequence = 0;
    auto operator<=>(const Key&) const = default;
  };
  std::map<Key, std::map<NodeId, std::string>> meetings_;
};

}  // namespace tutti::coordinator
