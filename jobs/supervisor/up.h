// `tutti up` and `tutti down`. Called on the main thread of a process without other threads.
#pragma once

#include <filesystem>
#include <functional>
#include <string>

#include "common/base/result.h"
#include "common/base/time.h"
#include "jobs/supervisor/options.h"

namespace tutti::supervisor {

// Lines for people, without a newline.
using Say = std::function<void(const std::string& line)>;

// Runs the cluster in this process until it is told to stop. `say` must not write to descriptor 2,
// which goes into DIR/logs/supervisor.log from now on.
Status UpHere(const UpOptions& options, const Say& say);

// Runs it in a process of its own session and returns once it is ready: the address. Within
// `deadline`, else everything is stopped again and the error has the ends of the logs.
Result<std::string> UpDetached(const UpOptions& options, const Say& say, Duration deadline);

// SIGTERM to the supervisor of this directory, then waits for its end. The pid that it had; 0 when
// none ran (what a killed one left is tidied up). kTimeout when it is still there after `deadline`.
Result<int> Down(const std::filesystem::path& data_dir, Duration deadline);

}  // namespace tutti::supervisor
