// One picture of the cluster, as `tutti top` shows it. Pure.
#pragma once

#include <map>
#include <nlohmann/json_fwd.hpp>
#include <string>
#include <vector>

#include "common/base/time.h"

namespace tutti::cli {

struct TopLook {
  int width = 80;
  int height = 0;  // lines in all; 0 = as many as it takes
  int scroll = 0;  // jobs at the top that are left out
  bool color = false;
  bool unicode = true;
};

// States in which a job holds slots, as GET /api/v1/jobs?state= takes them.
inline constexpr const char* kHoldingStates =
    "starting,running,preempting,recovering,resizing,cancelling";

// What the API answered, and what follows from two looks at it.
struct TopView {
  const nlohmann::json& cluster;  // GET /api/v1/cluster
  const nlohmann::json& workers;  // the list
  const nlohmann::json& jobs;     // unfinished ones
  std::string url = {};
  WallTime now = {};
  std::map<std::string, double> busy = {};  // worker -> of its cores' time, 0 to 1
  std::string problem = {};                 // "" = all of it is of now
};

// Slots and counts, machines, then jobs: those that hold slots, then the queue in its order. Lines
// without a newline, none wider than the look's width as long as that is 40 or more, and no more
// than its height.
std::vector<std::string> RenderTop(const TopView& view, const TopLook& look);
// The most that `scroll` may be.
int ScrollMax(const TopView& view, const TopLook& look);

// Between two lists of workers, `seconds` apart.
std::map<std::string, double> BusyBetween(const nlohmann::json& before, const nlohmann::json& now,
                                          double seconds);

}  // namespace tutti::cli
