#include "jobs/spec/sound_json.h"

#include <algorithm>
#include <nlohmann/json.hpp>
#include <utility>
#include <vector>

namespace tutti::spec {
namespace {

constexpr std::size_t kKeysUsual = 8;

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

// nlohmann's SAX interface; false ends the reading.
class SoundBuilder {
 public:
  Node Take() { return std::move(root_); }

  // NOLINTBEGIN(readability-identifier-naming): nlohmann's names.
  bool null() { return Add(Null{}); }
  bool boolean(bool value) { return Add(value); }
  bool number_integer(std::int64_t value) { return Add(value); }
  bool number_unsigned(std::uint64_t value) {
    if (std::in_range<std::int64_t>(value)) return Add(static_cast<std::int64_t>(value));
    return Add(static_cast<double>(value));
  }
  bool number_float(double value, const std::string& /*written*/) { return Add(value); }
  bool string(const std::string& value) { return Add(value); }
  bool binary(nlohmann::json::binary_t& /*value*/) { return false; }
  bool start_object(std::size_t /*size*/) { return Open(Map{}); }
  bool start_array(std::size_t /*size*/) { return Open(List{}); }
  bool key(const std::string& name) {
    Map& map = std::get<Map>(open_.back()->value);
    if (map.empty()) map.reserve(kKeysUsual);
    map.emplace_back().key = name;
    return true;
  }
  bool end_object() {
    const Map& map = std::get<Map>(open_.back()->value);
    open_.pop_back();
    return !HasKeyTwice(map);
  }
  bool end_array() {
    open_.pop_back();
    return true;
  }
  bool parse_error(std::size_t /*position*/, const std::string& /*token*/,
                   const nlohmann::json::exception& /*error*/) {
    return false;
  }
  // NOLINTEND(readability-identifier-naming)

 private:
  // Where the next value goes.
  Node& Next() {
    if (open_.empty()) return root_;
    if (auto* list = std::get_if<List>(&open_.back()->value)) return list->emplace_back();
    return std::get<Map>(open_.back()->value).back().value;
  }

  template <typename Value>
  bool Add(Value value) {
    if (++nodes_ > kNodesMax) return false;
    Next().value = std::move(value);
    return true;
  }

  template <typename Value>
  bool Open(Value value) {
    if (++nodes_ > kNodesMax || std::cmp_greater_equal(open_.size(), kDepthMax)) return false;
    Node& node = Next();
    node.value = std::move(value);
    open_.push_back(&node);
    return true;
  }

  Node root_;
  std::vector<Node*>
      open_;  // each in the one before, which takes no other until this one is closed
  int nodes_ = 0;
};

}  // namespace

std::optional<Node> ReadSoundJson(std::string_view text) {
  if (text.size() > kTextBytesMax) return std::nullopt;
  SoundBuilder builder;
  if (!nlohmann::json::sax_parse(text.begin(), text.end(), &builder)) return std::nullopt;
  return builder.Take();
}

}  // namespace tutti::spec
