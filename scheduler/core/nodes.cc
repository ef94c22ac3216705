#include "scheduler/core/nodes.h"

#include <algorithm>

#include "common/base/check.h"

namespace tutti::core {
namespace {

void Insert(NodesByRoom& nodes, const Node& node, const Room& room) {
  nodes[node.numerics_fingerprint][TierOf(node, room.gpus)].insert({room.slots, node.id});
}

void Erase(NodesByRoom& nodes, const Node& node, const Room& room) {
  const auto equal = nodes.find(node.numerics_fingerprint);
  TUTTI_CHECK(equal != nodes.end(), "node ", node.id);
  const auto tier = equal->second.find(TierOf(node, room.gpus));
  TUTTI_CHECK(tier != equal->second.end() && tier->second.erase({room.slots, node.id}) == 1,
              "node ", node.id);
  if (tier->second.empty()) equal->second.erase(tier);
  if (equal->second.empty()) nodes.erase(equal);
}

void EraseWarm(NodeIndex& index, const Node& node, const std::string& model) {
  const auto warm = index.warm.find(model);
  warm->second.erase(node.id);
  if (warm->second.empty()) index.warm.erase(warm);
}

// Calls `change(list, room)` for each list the node belongs to.
template <typename Change>
void EachList(NodeIndex& index, const Node& node, Change change) {
  if (node.state != NodeState::kLeft) change(index.known, AllOf(node));
  if (!IsOpen(node)) return;
  change(index.open, AllOf(node));
  if (const Room free = FreeOf(node); free.slots > 0) change(index.free, free);
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

Room AllOf(const Node& node) { return {.slots = node.slots, .gpus = node.gpus}; }

Room FreeOf(const Node& node) {
  return {.slots = node.slots - std::min(node.slots, node.slots_used),
          .gpus = node.gpus - std::min(node.gpus, node.gpus_used)};
}

void IndexNode(NodeIndex& index, const Node& node) {
  EachList(index, node, [&](NodesByRoom& list, const Room& room) { Insert(list, node, room); });
  for (const std::string& model : node.models) index.warm[model].insert(node.id);
  if (node.state != NodeState::kLeft) index.all += {node.slots, node.gpus};
}

void UnindexNode(NodeIndex& index, const Node& node) {
  EachList(index, node, [&](NodesByRoom& list, const Room& room) { Erase(list, node, room); });
  for (const std::string& model : node.models) EraseWarm(index, node, model);
  if (node.state != NodeState::kLeft) index.all -= {node.slots, node.gpus};
}

void ReindexFree(NodeIndex& index, const Node& node, const Room& free_before) {
  const Room free = FreeOf(node);
  if (!IsOpen(node) || free == free_before) return;
  if (free_before.slots > 0) Erase(index.free, node, free_before);
  if (free.slots > 0) Insert(index.free, node, free);
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
