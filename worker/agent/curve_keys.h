// The worker's CURVE keys and the coordinator's public one: Z85 text in files. Free functions for
// the start of the program.
#pragma once

#include <filesystem>
#include <string>

#include "common/base/result.h"
#include "common/base/time.h"

namespace tutti::agent {

struct CurveKeys {
  std::string secret;  // 40 characters of Z85
  std::string open;    // the public one
};

// Reads curve.key and curve.pub of `directory`, or makes them (curve.key 0600).
Result<CurveKeys> LoadOrMakeKeys(const std::filesystem::path& directory);

// Puts `keys.open` as NAME.pub where the coordinator looks for workers it may let in.
Status AllowKey(const std::filesystem::path& allow_dir, const std::string& name,
                const CurveKeys& keys);

// The key in `path`, waiting for the file at most `limit`: a coordinator that starts for the first
// time makes it. kTimeout.
Result<std::string> AwaitPublicKey(const std::filesystem::path& path, Duration limit);

}  // namespace tutti::agent
