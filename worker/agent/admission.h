// How a worker is let in: its public key where the coordinator looks for them, the coordinator's
// own key here. Free functions for the start of the program (the keys themselves: common/curve).
#pragma once

#include <filesystem>
#include <string>

#include "common/base/result.h"
#include "common/base/time.h"

namespace tutti::agent {

// Puts `public_key` as NAME.pub where the coordinator looks for workers it may let in.
Status AllowKey(const std::filesystem::path& allow_dir, const std::string& name,
                const std::string& public_key);

// The key in `path`, waiting for the file at most `limit`: a coordinator that starts for the first
// time makes it. kTimeout.
Result<std::string> AwaitPublicKey(const std::filesystem::path& path, Duration limit);

}  // namespace tutti::agent
