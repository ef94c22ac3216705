#include "jobs/spec/overrides.h"

#include <fmt/format.h>

#include <utility>

#include "jobs/spec/fields.h"
#include "jobs/spec/suggest.h"
#include "jobs/spec/utf8.h"
#include "jobs/spec/yaml.h"

namespace tutti::spec {
namespace {

// After everything a file of at most kNodesMax values has: two places a value and one a key.
constexpr int kFirstOrder = 4 * kNodesMax;
constexpr std::string_view kUsage = "write --set FIELD=VALUE, like training.learning_rate=1.0e-4";

// True where the keys below are the user's own, dots and all.
bool HasFreeKeys(std::string_view path) {
  if (path == "sweep.parameters" || path == "training.lr_scheduler_kwargs") return true;
  const Field* field = FindField(path);
  return field != nullptr && std::holds_alternative<Ref<TextMap>>(field->access);
}

// Empty when a part of the path is empty.
std::vector<std::string> SplitPath(std::string_view path) {
  std::vector<std::string> parts;
  std::size_t start = 0;
  while (start <= path.size()) {
    std::size_t end = std::min(path.find('.', start), path.size());
    if (start > 0 && HasFreeKeys(path.substr(0, start - 1))) end = path.size();
    if (end == start) return {};
    parts.emplace_back(path.substr(start, end - start));
    start = end + 1;
  }
  return parts;
}

// Gives the value's nodes their place. Recursion is bounded by kDepthMax.
void Locate(Node& node, const Place& place) {
  node.place = place;
  node.bare_text = true;
  if (auto* list = std::get_if<List>(&node.value)) {
    for (Node& item : *list) Locate(item, place);
  } else if (auto* map = std::get_if<Map>(&node.value)) {
    for (Entry& entry : *map) {
      entry.place = place;
      Locate(entry.value, place);
    }
  }
}

// `ranks: 4` and then `--set resources.ranks.min=1` means {min: 1, max: 4}.
void SpreadRanks(Node& root) {
  Node* node = &root;
  for (const std::string_view key : {"resources", "ranks"}) {
    auto* map = std::get_if<Map>(&node->value);
    if (map == nullptr) return;
    const auto found = std::ranges::find(*map, key, &Entry::key);
    if (found == map->end()) return;
    node = &found->value;
  }
  if (!std::holds_alternative<std::int64_t>(node->value)) return;
  const Node number = *node;
  node->value = Map{{.key = "min", .place = number.place, .value = number},
                    {.key = "max", .place = number.place, .value = number}};
}

void Apply(std::string_view set, int order, Node& root, Problems& problems) {
  const std::size_t equals = set.find('=');
  const std::string_view path = set.substr(0, equals);
  if (!IsUtf8(set) || equals == std::string_view::npos || path.empty()) {
    problems.Invalid(fmt::format("{} is no FIELD=VALUE", Quoted(set)), {"--set", order},
                     std::string(kUsage));
    return;
  }
  const Place place{fmt::format("--set {}", path.substr(0, 200)), order};
  const std::vector<std::string> parts = SplitPath(path);
  if (parts.empty() || parts.size() > kDepthMax) {
    problems.Invalid(fmt::format("{} is no path of a field", Quoted(path)), place,
                     std::string(kUsage));
    return;
  }
  std::vector<LocatedError> errors;
  std::optional<Node> value = ReadYaml(set.substr(equals + 1), {.file_name = place.where}, errors);
  for (LocatedError& located : errors) {
    problems.Add(located.error.code, std::move(located.error.message), place,
                 std::move(located.error.hint));
  }
  if (!value || !errors.empty()) return;
  Locate(*value, place);
  if (path.starts_with("resources.ranks.")) SpreadRanks(root);
  if (std::holds_alternative<Null>(root.value)) root.value = Map{};
  SetAt(root, parts, *std::move(value));
}

}  // namespace

void ApplyOverrides(std::span<const std::string> sets, Node& root, Problems& problems) {
  int order = kFirstOrder;
  for (const std::string& set : sets) Apply(set, order++, root, problems);
}

}  // namespace tutti::spec
