// What is wrong with the words of a command line, and what to write instead. Pure.
#pragma once

#include <CLI/App.hpp>
#include <string>
#include <vector>

#include "common/base/result.h"

namespace tutti::cli {

// "tutti model try".
std::string PathOf(const CLI::App* command);

// `said` is what CLI11 found in `args` at `command`, the deepest one that they led to. The error's
// place is the command.
Error UsageError(const CLI::App* command, const std::vector<std::string>& args,
                 const CLI::ParseError& said);

}  // namespace tutti::cli
