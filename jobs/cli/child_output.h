// What a program writes to stdout before it ends, or a deadline does. Free function.
#pragma once

#include <filesystem>
#include <string>
#include <vector>

#include "common/base/result.h"
#include "common/base/time.h"

namespace tutti::cli {

struct ChildOutput {
  std::string out;
  int exit_code = -1;  // 128 + signal when one ended it
};
struct ChildOptions {
  std::vector<std::string> arguments{};
  std::vector<std::string> environment{};  // NAME=value, before this process's own
  Duration deadline = std::chrono::seconds(20);
};
// kTimeout, or kUnavailable when Ctrl-C came within an InterruptScope: it was killed then. Its
// stderr goes nowhere.
Result<ChildOutput> RunChild(const std::filesystem::path& program, const ChildOptions& options);

}  // namespace tutti::cli
