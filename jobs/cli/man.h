// The manual page, made from the command line's own tree of commands and options.
#pragma once

#include <CLI/App.hpp>
#include <string>
#include <string_view>

#include "jobs/cli/commands.h"

namespace tutti::cli {

// tutti(1) in the roff that man(1) reads; `version` stands at its foot. Pure.
std::string ManPage(const CLI::App& app, std::string_view version);
// Prints it.
int Man(Context& context, const CLI::App& app);

}  // namespace tutti::cli
