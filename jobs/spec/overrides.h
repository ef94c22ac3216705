// `--set a.b=c`: changes of a spec's tree before it is read. Free function, any thread.
#pragma once

#include <span>
#include <string>

#include "jobs/spec/problems.h"
#include "jobs/spec/tree.h"

namespace tutti::spec {

// Applies each in order; a later one wins. The value is YAML ("[1, 2]", "{min: 1, max: 4}",
// "1.0e-4"); where a field takes text, a plain word that YAML reads as a number is that text. Below
// a mapping with free keys (metadata, data.columns, …) the rest of the path is one key. What is set
// stands at "--set a.b".
void ApplyOverrides(std::span<const std::string> sets, Node& root, Problems& problems);

}  // namespace tutti::spec
