// Tokenised data on this machine, bounded: <dir>/HEX.tokens, written and read by engines, each of
// them whole in memory, so that any file may go at any time. Free functions; any thread.
#pragma once

#include <filesystem>

#include "common/base/units.h"

namespace tutti::agent {

// Removes what was used longest ago until at most `max` is left, and temporary files of engines
// that died, older than an hour.
void BoundTokenFiles(const std::filesystem::path& directory, Bytes max);

}  // namespace tutti::agent
