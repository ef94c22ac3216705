// Checks the engine against one folder of reference outputs of PyTorch and Transformers
// (tests/parity/README.md has the layout). One thread.
#pragma once

#include <filesystem>
#include <ostream>

namespace tutti::parity {

// Prints `ok NAME max_abs=…`, `FAIL NAME …` or `skip NAME …` a case and `N passed, M failed`; skips
// count as neither. Returns the exit status: 0 when something passed and nothing failed, else 1.
int RunParity(const std::filesystem::path& folder, std::ostream& out);

}  // namespace tutti::parity
