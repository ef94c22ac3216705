// What a simulation found, as JSON and as a table for people. Pure functions.
#pragma once

#include <nlohmann/json.hpp>
#include <string>
#include <string_view>
#include <vector>

#include "scheduler/simulate/replay.h"

namespace tutti::simulate {

// {"policy", "jobs", "avg_jct_hours", …, "per_job": [{"workload", "name", "jct_seconds"}]}.
nlohmann::ordered_json JsonOf(std::string_view policy, const Replay& replay);

struct NamedFigures {
  std::string policy;
  Figures figures;
};
// One line a policy, under a line of names.
std::string TableOf(const std::vector<NamedFigures>& policies);

}  // namespace tutti::simulate
