// JSON of others into a value, or where it is none and why. A pure function, any thread.
#pragma once

#include <nlohmann/json.hpp>
#include <string>
#include <string_view>

#include "common/base/result.h"
#include "common/json/limits.h"

namespace tutti {

// `where` names the text: errors are CheckJsonLimits', and kInvalid with the line of what is no
// JSON, such as Python's NaN and Infinity or a number that no double holds.
Result<nlohmann::json> ParseJson(std::string_view text, const std::string& where,
                                 const JsonLimits& limits = {});

}  // namespace tutti
