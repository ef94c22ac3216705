// `tutti-engine parity FOLDER`: the engine against one reference folder. One line a case
// (`ok|FAIL|skip name detail`) and `N passed, M failed`. One thread.
#pragma once

#include <filesystem>
#include <ostream>

#include "common/base/result.h"

namespace tutti::engine {

// Whether every case passed. Errors: a folder that is no reference, or cannot be read.
Result<bool> RunParityCommand(const std::filesystem::path& folder, std::ostream& out);

}  // namespace tutti::engine
