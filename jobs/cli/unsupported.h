// The commands of SPEC.md's list that this version does not build: one table. Constants.
#pragma once

#include <span>
#include <string_view>

namespace tutti::cli {

struct Unsupported {
  std::string_view path;  // "token", "model merge"
  std::string_view what;  // for the help
  std::string_view hint;  // what to do meanwhile; may be empty
};
std::span<const Unsupported> UnsupportedCommands();

}  // namespace tutti::cli
