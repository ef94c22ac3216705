// `tutti` as a function: words in, an exit code out. Main thread only.
#pragma once

#include <filesystem>
#include <string>
#include <vector>

#include "jobs/cli/console.h"
#include "jobs/client/endpoint.h"

namespace tutti::cli {

// `args` without the program's name; `bin_dir` is where the sibling programs lie.
int RunApp(const std::vector<std::string>& args, Streams streams, const client::Environment& env,
           const std::filesystem::path& bin_dir);

}  // namespace tutti::cli
