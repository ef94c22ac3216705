// JSON from outside: bounded depth, valid UTF-8, errors instead of exceptions. Free functions.
#pragma once

#include <nlohmann/json_fwd.hpp>
#include <string_view>

#include "common/base/result.h"

namespace tutti::http {

inline constexpr int kJsonDepthMax = 64;
inline constexpr std::size_t kJsonValuesMax = 250'000;

// kInvalid for what is no JSON (where = "line:column"), is no UTF-8, or nests deeper than
// kJsonDepthMax; kTooLarge for more than kJsonValuesMax values.
Result<nlohmann::json> ParseJson(std::string_view text);

}  // namespace tutti::http
