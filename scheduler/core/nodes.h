// Nodes: workers as the ledger knows them, and an index by which a place is found without looking
// at all of them. Values of the ledger's owner; no threads.
#pragma once

#include <compare>
#include <cstdint>
#include <map>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "common/base/ids.h"
#include "common/base/time.h"
#include "scheduler/core/queues.h"

namespace tutti::core {

enum class NodeState { kUp, kLost, kLeft };
std::string_view ToString(NodeState state);  // "up"

struct Node {
  NodeId id;
  std::string name;
  NodeState state = NodeState::kUp;
  bool draining = false;  // an administrator empties it
  std::uint64_t session = 0;
  std::string version;
  std::uint32_t slots = 0;
  std::uint32_t slots_used = 0;
  std::uint32_t gpus = 0;
  std::uint32_t gpus_used = 0;
  std::uint32_t cores = 0;
  std::uint64_t memory_bytes = 0;
  std::uint64_t memory_bytes_used = 0;  // booked by gangs
  std::uint64_t disk_bytes = 0;         // of the disk for checkpoints; 0 = not known
  std::string cpu_model;
  std::string gpu_model;  // of several kinds all of them: "A, B"
  std::string numerics_fingerprint;
  WallTime registered_at;
  std::map<std::string, std::string> labels;
  std::vector<std::string> models;  // model_keys of the newest gangs here, the newest first
  std::set<JobId> gangs;            // jobs with an active gang that has a member here
  bool operator==(const Node&) const = default;
};

// Whether gangs and inspections may go there: up, and not draining.
inline bool IsOpen(const Node& node) { return node.state == NodeState::kUp && !node.draining; }

inline constexpr std::size_t kModelsOfNodeMax = 8;

// ---- where there is room ---------------------------------------------------------------------

// What a node has, or has free, or what is asked of it.
struct Room {
  std::uint32_t slots = 0;
  std::uint32_t gpus = 0;
  bool operator==(const Room&) const = default;
};
Room AllOf(const Node& node);
Room FreeOf(const Node& node);

// Nodes without GPUs are of tier 0, the others of 1 and so many GPUs more as are meant (free ones,
// or all): in ascending order those come first that jobs without GPUs should take.
inline std::uint32_t TierOf(const Node& node, std::uint32_t gpus) {
  return node.gpus == 0 ? 0 : gpus + 1;
}
inline std::uint32_t GpusOfTier(std::uint32_t tier) { return tier == 0 ? 0 : tier - 1; }
// The lowest one in which so many GPUs can be had.
inline std::uint32_t TierWith(std::uint32_t gpus) { return gpus == 0 ? 0 : gpus + 1; }

struct NodeRank {
  std::uint32_t slots = 0;
  NodeId node;
  auto operator<=>(const NodeRank&) const = default;
};
// By tier; none is empty.
using NodesByTier = std::map<std::uint32_t, std::set<NodeRank>>;
// By numerics fingerprint; none is empty.
using NodesByRoom = std::map<std::string, NodesByTier>;

struct NodeIndex {
  NodesByRoom free;                              // open nodes with free slots, by what is free
  NodesByRoom open;                              // open nodes, by all they have
  NodesByRoom known;                             // those that have not left, by all they have
  std::map<std::string, std::set<NodeId>> warm;  // by the models they have
  Amount all;                                    // that the known ones have together
  bool operator==(const NodeIndex&) const = default;
};

// In (or out) with all that follows from a node; it may change only between the two.
void IndexNode(NodeIndex& index, const Node& node);
void UnindexNode(NodeIndex& index, const Node& node);

// What placements change of a node that is in the index and stays there.
// Its slots_used and gpus_used: so much was free before.
void ReindexFree(NodeIndex& index, const Node& node, const Room& free_before);
// Its models: it has this one's files from now on; "" = no model.
void AddModel(NodeIndex& index, Node& node, const std::string& model);

}  // namespace tutti::core
