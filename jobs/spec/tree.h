// A spec's text as a tree whose every node knows where it stands. Built by yaml.h or json_text.h,
// changed by `--set`, read by read.h. Values, at most kDepthMax deep; no threads.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "common/base/result.h"

namespace tutti::spec {

inline constexpr std::size_t kTextBytesMax = std::size_t{1} << 20;
inline constexpr int kDepthMax = 32;
inline constexpr int kNodesMax = 20'000;
inline constexpr std::size_t kErrorsMax = 20;

// Where something stands: "spec.yaml:14:5", "#/training/shards" or "--set training.shards", and its
// rank in reading order.
struct Place {
  std::string where;
  int order = 0;
};

struct Entry;
struct Node;
using List = std::vector<Node>;
using Map = std::vector<Entry>;  // in the order written, keys unique
struct Null {};

struct Node {
  // A whole number beyond 64 bits is a double; NaN and infinities are doubles.
  std::variant<Null, bool, std::int64_t, double, std::string, List, Map> value;
  std::string written;  // a scalar's text, quotes resolved
  Place place;
  bool bare_text = false;  // from the command line, where a plain word may be meant as text

  const Map* AsMap() const { return std::get_if<Map>(&value); }
  const List* AsList() const { return std::get_if<List>(&value); }
};

struct Entry {
  std::string key;
  Place place;  // the key's
  Node value;
};

// nullptr when absent.
const Entry* Find(const Map& map, std::string_view key);

// What an unquoted YAML scalar is by the 1.2 core schema: a bool, a number, null, else the text.
// Decimals with a leading zero (012) are text. No List, no Map.
Node ResolvePlain(std::string_view text);

// "text", "a number", "a whole number", "true or false", "a list", "a mapping", "nothing".
std::string_view KindOf(const Node& node);

// Puts `value` at a path of keys, replacing what is there; mappings missing on the way (or scalars
// in it) become mappings. REQUIRES: `path` is not empty, at most kDepthMax long.
void SetAt(Node& root, const std::vector<std::string>& path, Node value);

}  // namespace tutti::spec
