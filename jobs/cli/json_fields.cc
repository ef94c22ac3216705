#include "jobs/cli/json_fields.h"

namespace tutti::cli {

using nlohmann::json;

const json& At(const json& value, const char* pointer) {
  static const json kNone;
  const json::json_pointer path(pointer);
  return value.contains(path) ? value.at(path) : kNone;
}

std::string TextAt(const json& value, const char* pointer) {
  const json& found = At(value, pointer);
  if (found.is_string()) return found.get<std::string>();
  if (found.is_number() || found.is_boolean()) return found.dump();
  return {};
}

std::optional<double> NumberAt(const json& value, const char* pointer) {
  const json& found = At(value, pointer);
  if (!found.is_number()) return std::nullopt;
  return found.get<double>();
}

std::optional<std::int64_t> IntAt(const json& value, const char* pointer) {
  const json& found = At(value, pointer);
  if (!found.is_number_integer()) return std::nullopt;
  return found.get<std::int64_t>();
}

const json& ListAt(const json& value, const char* pointer) {
  static const json kEmpty = json::array();
  const json& found = At(value, pointer);
  return found.is_array() ? found : kEmpty;
}

std::string Dump(const json& value) {
  return value.dump(-1, ' ', false, json::error_handler_t::replace);
}

}  // namespace tutti::cli
