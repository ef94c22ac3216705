// Fields of the coordinator's JSON, read leniently: what is absent, null or of another kind is
// simply not there. Free functions; pointers are RFC 6901 ("/progress/step").
#pragma once

#include <cstdint>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>

namespace tutti::cli {

// A null when absent.
const nlohmann::json& At(const nlohmann::json& value, const char* pointer);
// "" when absent; numbers and booleans as JSON writes them.
std::string TextAt(const nlohmann::json& value, const char* pointer);
std::optional<double> NumberAt(const nlohmann::json& value, const char* pointer);
std::optional<std::int64_t> IntAt(const nlohmann::json& value, const char* pointer);
// An empty list when absent.
const nlohmann::json& ListAt(const nlohmann::json& value, const char* pointer);

// One line, invalid UTF-8 replaced.
std::string Dump(const nlohmann::json& value);

}  // namespace tutti::cli
