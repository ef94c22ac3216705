#include "scheduler/http/json.h"

#include <algorithm>
#include <nlohmann/json.hpp>
#include <string>

#include "scheduler/http/uri.h"

namespace tutti::http {
namespace {

// "line:column" of a byte, both from 1.
std::string PlaceOf(std::string_view text, std::size_t offset) {
  const std::string_view before = text.substr(0, std::min(offset, text.size()));
  const auto lines = std::count(before.begin(), before.end(), '\n');
  const std::size_t last = before.rfind('\n');
  const std::size_t column =
      last == std::string_view::npos ? before.size() : before.size() - last - 1;
  return std::to_string(lines + 1) + ":" + std::to_string(column + 1);
}

// The offset where brackets nest deeper than allowed, or npos. Strings are skipped; in text that is
// no JSON the answer is meaningless, and the parser refuses it anyway.
std::size_t TooDeep(std::string_view text) {
  int depth = 0;
  bool in_string = false;
  for (std::size_t i = 0; i < text.size(); ++i) {
    const char c = text[i];
    if (in_string) {
      if (c == '\\') {
        ++i;
      } else if (c == '"') {
        in_string = false;
      }
    } else if (c == '"') {
      in_string = true;
    } else if (c == '[' || c == '{') {
      if (++depth > kJsonDepthMax) return i;
    } else if (c == ']' || c == '}') {
      --depth;
    }
  }
  return std::string_view::npos;
}

}  // namespace

Result<nlohmann::json> ParseJson(std::string_view text) {
  if (!IsUtf8(text)) return Fail(ErrorCode::kInvalid, "the body is no UTF-8");
  if (const std::size_t offset = TooDeep(text); offset != std::string_view::npos) {
    return Fail(ErrorCode::kInvalid, "JSON nests deeper than 64 levels", PlaceOf(text, offset));
  }
  try {
    return nlohmann::json::parse(text);
  } catch (const nlohmann::json::parse_error& error) {
    const std::size_t offset = error.byte == 0 ? 0 : error.byte - 1;
    return Fail(ErrorCode::kInvalid, "the body is no JSON", PlaceOf(text, offset));
  } catch (const nlohmann::json::exception&) {
    return Fail(ErrorCode::kInvalid, "the body has a number out of range");
  }
}

}  // namespace tutti::http
