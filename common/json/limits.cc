#include "common/json/limits.h"

#include <utility>

namespace tutti {
namespace {

// From after a string's opening quote to its closing one, or the end.
std::size_t EndOfString(std::string_view json, std::size_t at) {
  for (;;) {
    at = json.find_first_of("\\\"", at);
    if (at == std::string_view::npos) return json.size();
    if (json[at] == '"') return at;
    at += 2;  // an escaped character, whatever it is
  }
}

}  // namespace

std::optional<JsonExcess> FindJsonExcess(std::string_view json, const JsonLimits& limits) {
  struct Open {
    bool object = false;
    std::size_t members = 1;  // commas and one
  };
  std::vector<Open> open;
  std::size_t values = 1;
  for (std::size_t i = 0; i < json.size(); ++i) {
    switch (json[i]) {
      case '"':
        i = EndOfString(json, i + 1);
        break;
      case '[':
      case '{':
        ++values;
        open.push_back({.object = json[i] == '{'});
        if (static_cast<int>(open.size()) > limits.depth_max) {
          return JsonExcess{
              ErrorCode::kInvalid,
              "JSON nested deeper than " + std::to_string(limits.depth_max) + " levels", i};
        }
        break;
      case ']':
      case '}':
        if (!open.empty()) open.pop_back();
        break;
      case ',':
        ++values;
        if (open.empty() || !open.back().object) break;
        if (++open.back().members > limits.members_max) {
          return JsonExcess{
              ErrorCode::kTooLarge,
              "JSON with an object of more than " + std::to_string(limits.members_max) + " members",
              i};
        }
        break;
      default:
        break;
    }
    if (values > limits.values_max) {
      return JsonExcess{ErrorCode::kTooLarge,
                        "JSON with more than " + std::to_string(limits.values_max) + " values", i};
    }
  }
  return std::nullopt;
}

Status CheckJsonLimits(std::string_view json, const JsonLimits& limits, const std::string& where) {
  auto excess = FindJsonExcess(json, limits);
  if (!excess) return {};
  return Fail(excess->code, std::move(excess->message), where);
}

std::vector<std::string_view> MembersNamed(std::string_view json, std::string_view key) {
  std::vector<std::string_view> values;
  int depth = 0;
  bool named = false;    // the string before was a key of this name
  std::size_t from = 0;  // of the value under way, 0: none is
  const auto end = [&](std::size_t at) {
    if (from != 0) values.push_back(json.substr(from, at - from));
    from = 0;
  };
  for (std::size_t i = 0; i < json.size(); ++i) {
    const char c = json[i];
    if (c == '"') {
      const std::size_t close = EndOfString(json, i + 1);
      const std::string_view text = json.substr(i + 1, close - i - 1);
      named = depth == 1 && from == 0 && (text == key || text.find('\\') != text.npos);
      i = close;
    } else if (c == ':') {
      if (named && depth == 1) from = i + 1;
      named = false;
    } else if (c == '[' || c == '{') {
      ++depth;
    } else if (c == ']' || c == '}') {
      if (--depth == 0) end(i);
    } else if (c == ',' && depth == 1) {
      end(i);
    }
  }
  return values;
}

}  // namespace tutti
