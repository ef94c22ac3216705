// Commands that are given several jobs at once. Main thread only; every wait has a deadline or ends
// on Ctrl-C. `options.job` of what each is given does not count.
#pragma once

#include <string>
#include <vector>

#include "jobs/cli/commands.h"

namespace tutti::cli {

// One after the other. Goes on after one that is not there; the first failure's exit code.
int ShowEach(Context& context, const std::vector<std::string>& jobs, ShowOptions options);

// Until all have ended. The exit code is that of the first that did not succeed.
int WaitForAll(Context& context, const std::vector<std::string>& jobs, WaitOptions options);

// Lines of several say whose they are, and are followed side by side.
int LogsOf(Context& context, const std::vector<std::string>& jobs, const LogsOptions& options);

// No jobs: every job's, as they come.
int EventsOf(Context& context, const std::vector<std::string>& jobs, const EventsOptions& options);

}  // namespace tutti::cli
