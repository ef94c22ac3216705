#include "jobs/spec/tree.h"

#include <algorithm>
#include <charconv>
#include <cmath>
#include <limits>

#include "common/base/check.h"

namespace tutti::spec {
namespace {

bool IsDigit(char c) { return c >= '0' && c <= '9'; }

std::string_view SkipDigits(std::string_view text) {
  while (!text.empty() && IsDigit(text.front())) text.remove_prefix(1);
  return text;
}

template <typename... Words>
bool IsOneOf(std::string_view text, Words... words) {
  return ((text == words) || ...);
}

std::optional<std::int64_t> WholeNumber(std::string_view text, int base) {
  std::int64_t value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value, base);
  if (error != std::errc() || end != text.data() + text.size()) return std::nullopt;
  return value;
}

// 0o17 and 0x1F, without a sign.
std::optional<std::int64_t> PrefixedNumber(std::string_view text) {
  if (text.size() < 3 || text[0] != '0' || (text[1] != 'o' && text[1] != 'x')) return std::nullopt;
  if (text[2] == '-' || text[2] == '+') return std::nullopt;
  return WholeNumber(text.substr(2), text[1] == 'o' ? 8 : 16);
}

// Core schema: [-+]? ( \. [0-9]+ | [0-9]+ ( \. [0-9]* )? ) ( [eE] [-+]? [0-9]+ )?
bool LooksDecimal(std::string_view text) {
  if (text.starts_with('-') || text.starts_with('+')) text.remove_prefix(1);
  if (text.size() > 1 && text[0] == '0' && IsDigit(text[1])) return false;
  const std::string_view after = SkipDigits(text);
  const bool whole = after.size() < text.size();
  std::string_view rest = after;
  if (rest.starts_with('.')) {
    rest.remove_prefix(1);
    const std::string_view after_fraction = SkipDigits(rest);
    if (!whole && after_fraction.size() == rest.size()) return false;
    rest = after_fraction;
  } else if (!whole) {
    return false;
  }
  if (rest.empty()) return true;
  if (rest.front() != 'e' && rest.front() != 'E') return false;
  rest.remove_prefix(1);
  if (rest.starts_with('-') || rest.starts_with('+')) rest.remove_prefix(1);
  return !rest.empty() && SkipDigits(rest).empty();
}

double Decimal(std::string_view text) {
  if (text.starts_with('+')) text.remove_prefix(1);
  double value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  // Out of range: too large for a double, or too small to tell from zero. Neither may pass.
  if (error != std::errc()) return std::numeric_limits<double>::infinity();
  TUTTI_CHECK(end == text.data() + text.size(), "number ", text, " has a tail");
  return value;
}

}  // namespace

const Entry* Find(const Map& map, std::string_view key) {
  const auto found = std::ranges::find(map, key, &Entry::key);
  return found == map.end() ? nullptr : &*found;
}

Node ResolvePlain(std::string_view text) {
  Node node{.value = Null{}, .written = std::string(text), .place = {}};
  std::string_view bare = text;
  if (bare.starts_with('-') || bare.starts_with('+')) bare.remove_prefix(1);
  if (IsOneOf(text, "", "~", "null", "Null", "NULL")) return node;
  if (IsOneOf(text, "true", "True", "TRUE")) {
    node.value = true;
  } else if (IsOneOf(text, "false", "False", "FALSE")) {
    node.value = false;
  } else if (IsOneOf(bare, ".inf", ".Inf", ".INF")) {
    const double infinity = std::numeric_limits<double>::infinity();
    node.value = text.front() == '-' ? -infinity : infinity;
  } else if (IsOneOf(text, ".nan", ".NaN", ".NAN")) {
    node.value = std::numeric_limits<double>::quiet_NaN();
  } else if (const auto prefixed = PrefixedNumber(text)) {
    node.value = *prefixed;
  } else if (LooksDecimal(text)) {
    const std::string_view unsigned_plus = text.front() == '+' ? bare : text;
    if (const auto whole = WholeNumber(unsigned_plus, 10)) {
      node.value = *whole;
    } else {
      node.value = Decimal(text);
    }
  } else {
    node.value = std::string(text);
  }
  return node;
}

std::string_view KindOf(const Node& node) {
  struct Namer {
    std::string_view operator()(const Null&) const { return "nothing"; }
    std::string_view operator()(bool) const { return "true or false"; }
    std::string_view operator()(std::int64_t) const { return "a whole number"; }
    std::string_view operator()(double) const { return "a number"; }
    std::string_view operator()(const std::string&) const { return "text"; }
    std::string_view operator()(const List&) const { return "a list"; }
    std::string_view operator()(const Map&) const { return "a mapping"; }
  };
  return std::visit(Namer{}, node.value);
}

void SetAt(Node& root, const std::vector<std::string>& path, Node value) {
  TUTTI_CHECK(!path.empty(), "an override without a path");
  Node* node = &root;
  for (const std::string& key : path) {
    if (node->AsMap() == nullptr) {
      node->value = Map{};
      node->place = value.place;
    }
    Map& map = std::get<Map>(node->value);
    const auto found = std::ranges::find(map, key, &Entry::key);
    if (found == map.end()) {
      map.push_back(Entry{.key = key, .place = value.place, .value = Node{}});
      node = &map.back().value;
    } else {
      found->place = value.place;
      node = &found->value;
    }
  }
  *node = std::move(value);
}

}  // namespace tutti::spec
