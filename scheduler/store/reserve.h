// Room set aside on the state database's disk: a coordinator that was killed while the disk was
// full gives it up to start again, for opening a database takes a few writes. Free functions.
#pragma once

#include <filesystem>

#include "common/base/units.h"

namespace tutti::store {

inline constexpr Bytes kReserve{4 << 20};

// Sets it aside in `directory` unless it is there, or the disk has less than three times as much
// free. Never fails: the disk is then as it was.
void KeepReserve(const std::filesystem::path& directory);
// Gives it up. False when there was none.
bool ReleaseReserve(const std::filesystem::path& directory);

}  // namespace tutti::store
