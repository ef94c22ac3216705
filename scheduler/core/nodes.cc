#include "scheduler/core/nodes.h"

#include "common/base/check.h"

namespace tutti::core {
namespace {

void Insert(NodesBySlots& nodes, const Node& node, std::uint32_t slots) {
  nodes[node.numerics_fingerprint].insert({slots, node.id});
}

void Erase(NodesBySlots& nodes, const Node& node, std::uint32_t slots) {
  const auto equal = nodes.find(node.numerics_fingerprint);
  TUTTI_CHECK(equal != nodes.end() && equal->second.erase({slots, node.id}) == 1, "node ", node.id);
  if (equal->second.empty()) nodes.erase(equal);
}

void EraseWarm(NodeIndex& index, const Node& node, const std::string& model) {
  const auto warm = index.warm.find(model);
  warm->second.erase(node.id);
  if (warm->second.empty()) index.warm.erase(warm);
}

// Calls `change(list, slots)` for each list the node belongs to.
template <typename Change>
void EachList(NodeIndex& index, const Node& node, Change change) {
  if (node.state != NodeState::kLeft) change(index.known, node.slots);
  if (!IsOpen(node)) return;
  change(index.open, node.slots);
  if (const std::uint32_t free = FreeSlotsOf(node); free > 0) change(index.free, free);
}

}  // namespace

std::string_view ToString(NodeState state) {
  switch (state) {
    case NodeState::kUp:
      return "up";
    case NodeState::kLost:
      return "lost";
    case NodeState::kLeft:
      return "left";
  }
  return "lost";
}

std::uint32_t FreeSlotsOf(const Node& node) {
  return node.slots_used < node.slots ? node.slots - node.slots_used : 0;
}

void IndexNode(NodeIndex& index, const Node& node) {
  EachList(index, node,
           [&](NodesBySlots& list, std::uint32_t slots) { Insert(list, node, slots); });
  for (const std::string& model : node.models) index.warm[model].insert(node.id);
}

void UnindexNode(NodeIndex& index, const Node& node) {
  EachList(index, node, [&](NodesBySlots& list, std::uint32_t slots) { Erase(list, node, slots); });
  for (const std::string& model : node.models) EraseWarm(index, node, model);
}

void ReindexFree(NodeIndex& index, const Node& node, std::uint32_t free_before) {
  const std::uint32_t free = FreeSlotsOf(node);
  if (!IsOpen(node) || free == free_before) return;
  if (free_before > 0) Erase(index.free, node, free_before);
  if (free > 0) Insert(index.free, node, free);
}

void AddModel(NodeIndex& index, Node& node, const std::string& model) {
  if (model.empty() || (!node.models.empty() && node.models.front() == model)) return;
  std::erase(node.models, model);
  node.models.insert(node.models.begin(), model);
  index.warm[model].insert(node.id);
  if (node.models.size() <= kModelsOfNodeMax) return;
  EraseWarm(index, node, node.models.back());
  node.models.pop_back();
}

}  // namespace tutti::core
