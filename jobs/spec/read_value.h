// One node of the tree to one C++ value, or a problem that names the field, what was expected, what
// is there and what to write instead. Free functions, any thread.
#pragma once

#include <cstdint>
#include <map>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "common/base/time.h"
#include "common/base/units.h"
#include "jobs/spec/fields.h"
#include "jobs/spec/problems.h"
#include "jobs/spec/tree.h"

namespace tutti::spec {

inline constexpr std::size_t kTextMax = 4096;  // bytes of one text

// A node, and the path of the field it is for.
struct Item {
  const Node& node;
  std::string_view path;
};

// Each: false, with a problem added and `out` as it was, when the node is something else.
bool ReadBool(const Item& item, Problems& problems, bool& out);
bool ReadWhole(const Item& item, const Range& range, Problems& problems, std::int64_t& out);
bool ReadNumber(const Item& item, const Range& range, Problems& problems, double& out);
// UTF-8 of at most kTextMax bytes without control characters other than tab and line ends.
bool ReadText(const Item& item, Problems& problems, std::string& out);
// "6h30m", rounded to milliseconds.
bool ReadDuration(const Item& item, Problems& problems, Duration& out);
// "4GiB", or a whole number of bytes.
bool ReadBytes(const Item& item, const Range& range, Problems& problems, Bytes& out);
// `out` is one of `names`.
bool ReadChoice(const Item& item, std::span<const std::string_view> names, Problems& problems,
                std::string_view& out);
// Not empty, no text twice.
bool ReadTextList(const Item& item, Problems& problems, std::vector<std::string>& out);
bool ReadTextMap(const Item& item, Problems& problems, std::map<std::string, std::string>& out);

// "training.seed must be a whole number, not text '5'".
void AddWrongKind(const Item& item, std::string_view expected, Problems& problems,
                  std::string hint = {});
// What the node's text would be as a number in YAML's core schema, if it nearly is one: "1_000" ->
// "1000", "'5e-5'" -> "5e-5", "012" -> "12"; else empty.
std::string NumberMeant(const Node& node);

}  // namespace tutti::spec
