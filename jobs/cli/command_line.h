// The command line of `tutti`: what words mean, without doing anything. Main thread only.
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "jobs/cli/commands.h"
#include "jobs/cli/console.h"

namespace tutti::cli {

struct CommandLine {
  client::EndpointOptions endpoint{};
  ConsoleOptions console{};
  std::function<int(Context&)> run;  // what to do, wherever the words were right or wrong
};

// `args` without the program's name. Words that make no sense give a `run` that says so (exit 2).
CommandLine ParseCommandLine(const std::vector<std::string>& args);

}  // namespace tutti::cli
