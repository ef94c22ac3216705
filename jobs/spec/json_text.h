// JSON text, a parsed JSON value, or text that is JSON or YAML, to the located tree of tree.h. A
// syntax error is located as "file:line:column", everything else as "file#" and a JSON pointer.
// Free functions, any thread.
#pragma once

#include <nlohmann/json_fwd.hpp>
#include <optional>
#include <string_view>
#include <vector>

#include "jobs/spec/yaml.h"

namespace tutti::spec {

// As ReadYaml: duplicate keys are errors, bounds are those of tree.h.
std::optional<Node> ReadJson(std::string_view text, const TextOptions& options,
                             std::vector<LocatedError>& errors);
std::optional<Node> ReadJson(const nlohmann::json& json, const TextOptions& options,
                             std::vector<LocatedError>& errors);
// What a person wrote: JSON when it starts with '{', else YAML.
std::optional<Node> ReadText(std::string_view text, const TextOptions& options,
                             std::vector<LocatedError>& errors);

}  // namespace tutti::spec
