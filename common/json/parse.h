// JSON of others into a value, or where it is none and why. Pure functions, any thread.
#pragma once

#include <cstddef>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <string_view>

#include "common/base/result.h"
#include "common/json/limits.h"

namespace tutti {

// How many bytes the parser had read when it met one that makes the text no JSON, that one
// included; nullopt: it is JSON.
std::optional<std::size_t> FindNoJson(std::string_view text);

// `where` names the text: errors are CheckJsonLimits', and kInvalid with the line of what is no
// JSON, such as Python's NaN and Infinity or a number that no double holds.
Result<nlohmann::json> ParseJson(std::string_view text, const std::string& where,
                                 const JsonLimits& limits = {});

}  // namespace tutti
