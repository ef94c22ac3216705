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
  std::uint32_t cores = 0;
  std::uint64_t memory_bytes = 0;
  std::uint64_t memory_bytes_used = 0;  // booked by gangs
  std::uint64_t disk_bytes = 0;         // of the disk for checkpoints; 0 = not known
  std::string cpu_model;
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

struct NodeRank {
  std::uint32_t slots = 0;
  NodeId node;
  auto operator<=>(const NodeRank&) const = default;
};
// By numerics fingerprint; none is empty.
using NodesBySlots = std::map<std::string, std::set<NodeRank>>;

struct NodeIndex {
  NodesBySlots free;                             // open nodes with free slots, by those
  NodesBySlots open;                             // open nodes, by all their slots
  NodesBySlots known;                            // those that have not left, by all their slots
  std::map<std::string, std::set<NodeId>> warm;  // by the models they have
  bool operator==(const NodeIndex&) const = default;
};

std::uint32_t FreeSlotsOf(const Node& node);
// In (or out) with all that follows from a node; it may change only between the two.
void IndexNode(NodeIndex& index, const Node& node);
void UnindexNode(NodeIndex& index, const Node& node);

// What placements change of a node that is in the index and stays there.
// Its slots_used: it had so many free ones before.
void ReindexFree(NodeIndex& index, const Node& node, std::uint32_t free_before);
// Its models: it has this one's files from now on; "" = no model.
void AddModel(NodeIndex& index, Node& node, const std::string& model);

}  // namespace tutti::core
