#include "scheduler/http/json.h"

#include <algorithm>
#include <nlohmann/json.hpp>
#include <string>
#include <utility>

#include "common/json/limits.h"
#include "scheduler/http/uri.h"

namespace tutti::http {
namespace {

constexpr JsonLimits kJsonLimits{.depth_max = kJsonDepthMax, .values_max = kJsonValuesMax};

// "line:column" of a byte, both from 1.
std::string PlaceOf(std::string_view text, std::size_t offset) {
  const std::string_view before = text.substr(0, std::min(offset, text.size()));
  const auto lines = std::count(before.begin(), before.end(), '\n');
  const std::size_t last = before.rfind('\n');
  const std::size_t column =
      last == std::string_view::npos ? before.size() : before.size() - last - 1;
  return std::to_string(lines + 1) + ":" + std::to_string(column + 1);
}

}  // namespace

Result<nlohmann::json> ParseJson(std::string_view text) {
  if (!IsUtf8(text)) return Fail(ErrorCode::kInvalid, "the body is no UTF-8");
  if (auto excess = FindJsonExcess(text, kJsonLimits)) {
    return Fail(excess->code, std::move(excess->message), PlaceOf(text, excess->offset));
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
