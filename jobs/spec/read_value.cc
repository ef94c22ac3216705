#include "jobs/spec/read_value.h"

#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <cmath>
#include <set>
#include <utility>

#include "jobs/spec/suggest.h"
#include "jobs/spec/utf8.h"

namespace tutti::spec {
namespace {

bool IsScalar(const Node& node) { return node.AsMap() == nullptr && node.AsList() == nullptr; }

// "text 'yes'", "a whole number 42", "a mapping".
std::string Shown(const Node& node) {
  const std::string_view kind = KindOf(node);
  if (!IsScalar(node) || node.written.empty()) return std::string(kind);
  return fmt::format("{} {}", kind, Quoted(node.written));
}

void AddOutOfRange(const Item& item, const Range& range, bool is_finite, Problems& problems) {
  std::string expected = range.ToString();
  if (!is_finite && expected != "a finite number") expected = "a finite number " + expected;
  problems.Invalid(
      fmt::format("{} must be {}, not {}", item.path, expected, Quoted(item.node.written)),
      item.node.place);
}

std::string WriteInstead(std::string_view text) {
  return text.empty() ? std::string() : fmt::format("write {}", text);
}

std::string BoolMeant(const Node& node) {
  const auto* text = std::get_if<std::string>(&node.value);
  if (text == nullptr || text->size() > 5) return {};
  std::string lower = *text;
  for (char& c : lower) {
    if (c >= 'A' && c <= 'Z') c = static_cast<char>(c - 'A' + 'a');
  }
  if (lower == "yes" || lower == "on" || lower == "y" || lower == "true") return "true";
  if (lower == "no" || lower == "off" || lower == "n" || lower == "false") return "false";
  return {};
}

bool IsUnwelcome(char c) {
  const auto byte = static_cast<unsigned char>(c);
  return byte == 0x7F || (byte < 0x20 && c != '\t' && c != '\n' && c != '\r');
}

bool CheckText(std::string_view text, const Item& item, Problems& problems) {
  if (text.size() > kTextMax) {
    problems.Invalid(
        fmt::format("{} is {} bytes long; at most {} are read", item.path, text.size(), kTextMax),
        item.node.place);
    return false;
  }
  if (!IsUtf8(text)) {
    problems.Invalid(fmt::format("{} is not UTF-8", item.path), item.node.place);
    return false;
  }
  if (std::ranges::any_of(text, IsUnwelcome)) {
    problems.Invalid(fmt::format("{} has a control character: {}", item.path, Quoted(text)),
                     item.node.place);
    return false;
  }
  return true;
}

}  // namespace

void AddWrongKind(const Item& item, std::string_view expected, Problems& problems,
                  std::string hint) {
  if (std::holds_alternative<Null>(item.node.value)) {
    problems.Invalid(fmt::format("{} has no value", item.path), item.node.place,
                     fmt::format("write {}, or remove the field", expected));
    return;
  }
  problems.Invalid(fmt::format("{} must be {}, not {}", item.path, expected, Shown(item.node)),
                   item.node.place, std::move(hint));
}

std::string NumberMeant(const Node& node) {
  const auto* text = std::get_if<std::string>(&node.value);
  if (text == nullptr || text->size() > 40) return {};
  std::string bare;
  for (const char c : *text) {
    if (c != '_' && c != ',' && c != ' ' && c != '\'') bare += c;
  }
  const std::size_t sign = bare.starts_with('-') || bare.starts_with('+') ? 1 : 0;
  while (bare.size() > sign + 1 && bare[sign] == '0' && bare[sign + 1] >= '0' &&
         bare[sign + 1] <= '9') {
    bare.erase(sign, 1);
  }
  const Node resolved = ResolvePlain(bare);
  if (std::holds_alternative<std::int64_t>(resolved.value)) return bare;
  const auto* number = std::get_if<double>(&resolved.value);
  return number != nullptr && std::isfinite(*number) ? bare : std::string();
}

bool ReadBool(const Item& item, Problems& problems, bool& out) {
  if (const auto* value = std::get_if<bool>(&item.node.value)) {
    out = *value;
    return true;
  }
  AddWrongKind(item, "true or false", problems, WriteInstead(BoolMeant(item.node)));
  return false;
}

bool ReadWhole(const Item& item, const Range& range, Problems& problems, std::int64_t& out) {
  if (const auto* value = std::get_if<std::int64_t>(&item.node.value)) {
    if (range.Contains(static_cast<double>(*value))) {
      out = *value;
      return true;
    }
    AddOutOfRange(item, range, true, problems);
    return false;
  }
  std::string meant = NumberMeant(item.node);
  if (const auto* value = std::get_if<double>(&item.node.value)) {
    if (!std::isfinite(*value) || std::abs(*value) >= 0x1p63) {
      AddOutOfRange(item, range, std::isfinite(*value), problems);
      return false;
    }
    if (std::trunc(*value) == *value) meant = fmt::format("{:.0f}", *value);
  }
  AddWrongKind(item, "a whole number", problems, WriteInstead(meant));
  return false;
}

bool ReadNumber(const Item& item, const Range& range, Problems& problems, double& out) {
  double value = 0;
  if (const auto* whole = std::get_if<std::int64_t>(&item.node.value)) {
    value = static_cast<double>(*whole);
  } else if (const auto* number = std::get_if<double>(&item.node.value)) {
    value = *number;
  } else {
    const std::string meant = NumberMeant(item.node);
    AddWrongKind(item, "a number", problems,
                 meant.empty() ? meant : fmt::format("write {} without quotes", meant));
    return false;
  }
  if (!range.Contains(value)) {
    AddOutOfRange(item, range, std::isfinite(value), problems);
    return false;
  }
  out = value;
  return true;
}

bool ReadText(const Item& item, Problems& problems, std::string& out) {
  const auto* text = std::get_if<std::string>(&item.node.value);
  if (text == nullptr && item.node.bare_text && IsScalar(item.node)) text = &item.node.written;
  if (text == nullptr) {
    const bool has_text = IsScalar(item.node) && !item.node.written.empty();
    AddWrongKind(item, "text", problems,
                 has_text ? fmt::format("put it in quotes: \"{}\"", item.node.written.substr(0, 60))
                          : std::string());
    return false;
  }
  if (!CheckText(*text, item, problems)) return false;
  out = *text;
  return true;
}

bool ReadDuration(const Item& item, Problems& problems, Duration& out) {
  constexpr std::string_view kExpected = "a time like 90s, 45m or 6h30m";
  const auto* text = std::get_if<std::string>(&item.node.value);
  if (text == nullptr) {
    const bool is_count = std::holds_alternative<std::int64_t>(item.node.value);
    AddWrongKind(
        item, kExpected, problems,
        is_count ? fmt::format("add a unit: {}s, m, h or d", item.node.written) : std::string());
    return false;
  }
  const auto parsed = ParseDuration(*text);
  const Duration rounded =
      std::chrono::round<std::chrono::milliseconds>(parsed.value_or(Duration{0}));
  if (rounded <= Duration{0}) {
    problems.Invalid(fmt::format("{} must be {} of at most 10 years, not {}", item.path, kExpected,
                                 Quoted(*text)),
                     item.node.place, "units are d h m s ms");
    return false;
  }
  out = rounded;
  return true;
}

bool ReadBytes(const Item& item, const Range& range, Problems& problems, Bytes& out) {
  std::optional<Bytes> parsed;
  if (const auto* count = std::get_if<std::int64_t>(&item.node.value)) {
    parsed = Bytes{*count};
  } else if (const auto* text = std::get_if<std::string>(&item.node.value)) {
    parsed = ParseBytes(*text);
  } else {
    AddWrongKind(item, "a size like 4GiB", problems);
    return false;
  }
  if (!parsed || !range.Contains(static_cast<double>(parsed->count))) {
    problems.Invalid(fmt::format("{} must be a size from {} to {}, not {}", item.path,
                                 FormatBytes(Bytes{static_cast<std::int64_t>(range.min)}),
                                 FormatBytes(Bytes{static_cast<std::int64_t>(range.max)}),
                                 Quoted(item.node.written)),
                     item.node.place, "write it like 4GiB or 512MiB");
    return false;
  }
  out = *parsed;
  return true;
}

bool ReadChoice(const Item& item, std::span<const std::string_view> names, Problems& problems,
                std::string_view& out) {
  std::string text;
  if (!ReadText(item, problems, text)) return false;
  const auto found = std::ranges::find(names, text);
  if (found == names.end()) {
    problems.Invalid(fmt::format("{} cannot be {}", item.path, Quoted(text)), item.node.place,
                     Suggestion(text, names));
    return false;
  }
  out = *found;
  return true;
}

bool ReadTextList(const Item& item, Problems& problems, std::vector<std::string>& out) {
  const List* list = item.node.AsList();
  if (list == nullptr) {
    const auto* text = std::get_if<std::string>(&item.node.value);
    AddWrongKind(
        item, "a list of texts", problems,
        text != nullptr && text->size() <= 60 ? fmt::format("write [{}]", *text) : std::string());
    return false;
  }
  std::vector<std::string> texts;
  std::set<std::string, std::less<>> seen;
  bool good = true;
  for (const Node& node : *list) {
    const Item one{node, item.path};
    std::string text;
    if (!ReadText(one, problems, text)) {
      good = false;
    } else if (text.empty()) {
      problems.Invalid(fmt::format("{} has an empty text", item.path), node.place);
      good = false;
    } else if (!seen.insert(text).second) {
      problems.Invalid(fmt::format("{} has {} twice", item.path, Quoted(text)), node.place);
      good = false;
    } else {
      texts.push_back(std::move(text));
    }
  }
  if (good) out = std::move(texts);
  return good;
}

bool ReadTextMap(const Item& item, Problems& problems, std::map<std::string, std::string>& out) {
  const Map* map = item.node.AsMap();
  if (map == nullptr) {
    AddWrongKind(item, "a mapping of names to texts", problems);
    return false;
  }
  std::map<std::string, std::string> texts;
  bool good = true;
  for (const Entry& entry : *map) {
    const Node key{.value = entry.key, .written = entry.key, .place = entry.place};
    const std::string key_path = fmt::format("a key of {}", item.path);
    const std::string path = fmt::format("{}.{}", item.path, entry.key.substr(0, 100));
    std::string text;
    if (!CheckText(entry.key, {key, key_path}, problems) ||
        !ReadText({entry.value, path}, problems, text)) {
      good = false;
    } else {
      texts.emplace(entry.key, std::move(text));
    }
  }
  if (good) out = std::move(texts);
  return good;
}

}  // namespace tutti::spec
