// A spec as a file, or from stdin, for the commands that submit. Main thread only.
#pragma once

#include <filesystem>
#include <string>

#include "jobs/cli/commands.h"

namespace tutti::cli {

struct SpecFile {
  std::string text;
  std::string shown;           // its name in errors
  std::filesystem::path base;  // what relative paths in it are below
};
// `path`: "-" is stdin. kConflict when there is none, kTooLarge.
Result<SpecFile> ReadSpecFile(Context& context, const std::string& path);

// A fresh idempotency key.
std::string NewKey();

}  // namespace tutti::cli
