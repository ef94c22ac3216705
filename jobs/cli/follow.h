// Follows one job to its end: a progress bar on a terminal, lines without one, events as NDJSON.
// Main thread only.
#pragma once

#include <optional>
#include <string>

#include "common/base/time.h"
#include "jobs/cli/commands.h"

namespace tutti::cli {

struct FollowOptions {
  std::string job;                     // an id
  bool stream_json = false;            // every event on stdout, as it came
  bool quiet = false;                  // no progress, no lines
  bool summary = true;                 // what became of it, and what to do next
  bool refused_is_validation = false;  // exit code 3 for data that admission refused
  std::optional<Duration> timeout{};   // kTimeout after that
};

// With --json the last line on stdout is the job object. Ctrl-C detaches: the job goes on.
int Follow(Context& context, const FollowOptions& options);

}  // namespace tutti::cli
