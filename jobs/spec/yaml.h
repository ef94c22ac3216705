// YAML text to a located tree, through libyaml's events. Accepts one document of plain mappings,
// lists and scalars; anchors, aliases, tags, merge keys, directives, duplicate keys and anything
// beyond tree.h's bounds are errors. Free function, any thread.
#pragma once

#include <optional>
#include <string_view>
#include <vector>

#include "jobs/spec/tree.h"

namespace tutti::spec {

struct LocatedError {
  Error error;
  int order = 0;  // Place::order of what it is about
};

struct TextOptions {
  std::string_view file_name;  // what comes before ":line:column"; must outlive the call only
};

// nullopt when the text is no YAML at all (one error says where); else the tree, complete but for
// what `errors` (appended to) complain about.
std::optional<Node> ReadYaml(std::string_view text, const TextOptions& options,
                             std::vector<LocatedError>& errors);

}  // namespace tutti::spec
