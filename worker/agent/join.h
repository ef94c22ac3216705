// How a worker gets into a cluster on another machine: once with a join string, from then on with
// the key it made then. Free functions for the start of the program.
#pragma once

#include <filesystem>
#include <string>

#include "common/base/result.h"
#include "worker/agent/settings.h"

namespace tutti::agent {

// Enrols `settings.join` and leaves in settings.dir what later starts need: the coordinator's key,
// and JoinedFile with these settings. Nothing is asked when this directory was enrolled with this
// very string. kAuth, kConflict, kInvalid: refused, and asking again would not help;
// kUnavailable: the coordinator did not answer.
Status Join(const Settings& settings);

// The options a directory was joined with, in the format of --config.
std::filesystem::path JoinedFile(const std::filesystem::path& dir);
// The coordinator's public key of a directory that was joined.
std::filesystem::path JoinedKey(const std::filesystem::path& dir);

}  // namespace tutti::agent
