#include "jobs/spec/sound_json.h"

#include <simdjson.h>

#include <algorithm>
#include <vector>

namespace tutti::spec {
namespace {

using Element = simdjson::dom::element;
using Type = simdjson::dom::element_type;

constexpr std::size_t kReservedMax = 64;  // members: more grow as they come

bool HasKeyTwice(const Map& map) {
  const auto falls_or_stays = [](const Entry& a, const Entry& b) { return a.key >= b.key; };
  if (std::ranges::adjacent_find(map, falls_or_stays) == map.end())
    return false;  // as dumps have them
  std::vector<std::string_view> keys;
  keys.reserve(map.size());
  for (const Entry& entry : map) keys.push_back(entry.key);
  std::ranges::sort(keys);
  return std::ranges::adjacent_find(keys) != keys.end();
}

// Copies what simdjson read into nodes; false where the slower way has something to say.
class SoundBuilder {
 public:
  bool Build(const Element& from, Node& to, int depth) {
    if (++nodes_ > kNodesMax) return false;
    switch (from.type()) {
      case Type::NULL_VALUE:
        return true;
      case Type::BOOL:
        to.value = from.get_bool().value_unsafe();
        return true;
      case Type::INT64:
        to.value = from.get_int64().value_unsafe();
        return true;
      case Type::UINT64:  // beyond those of INT64
        to.value = static_cast<double>(from.get_uint64().value_unsafe());
        return true;
      case Type::DOUBLE:
        to.value = from.get_double().value_unsafe();
        return true;
      case Type::STRING:
        to.value.emplace<std::string>(from.get_string().value_unsafe());
        return true;
      case Type::ARRAY:
        return depth < kDepthMax && BuildList(from.get_array().value_unsafe(), to, depth);
      case Type::OBJECT:
        return depth < kDepthMax && BuildMap(from.get_object().value_unsafe(), to, depth);
    }
    return false;
  }

 private:
  bool BuildList(const simdjson::dom::array& from, Node& to, int depth) {
    List& list = to.value.emplace<List>();
    list.reserve(std::min(from.size(), kReservedMax));
    return std::ranges::all_of(
        from, [&](const Element& item) { return Build(item, list.emplace_back(), depth + 1); });
  }

  bool BuildMap(const simdjson::dom::object& from, Node& to, int depth) {
    Map& map = to.value.emplace<Map>();
    map.reserve(std::min(from.size(), kReservedMax));
    for (const auto& [key, value] : from) {
      Entry& entry = map.emplace_back();
      entry.key = key;
      if (!Build(value, entry.value, depth + 1)) return false;
    }
    return !HasKeyTwice(map);
  }

  int nodes_ = 0;
};

}  // namespace

std::optional<Node> ReadSoundJson(std::string_view text) {
  if (text.size() > kTextBytesMax) return std::nullopt;
  // Keeps its memory between texts.
  thread_local simdjson::dom::parser parser;
  Element read;
  if (parser.parse(text).get(read) != simdjson::SUCCESS) return std::nullopt;
  Node root;
  if (!SoundBuilder().Build(read, root, 0)) return std::nullopt;
  return root;
}

}  // namespace tutti::spec
