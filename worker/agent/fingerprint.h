// The numerics fingerprint: a hash over what decides the bits of a result on this machine. Equal
// fingerprints: an attempt may go on there with the same bits. Free functions for the start.
#pragma once

#include <filesystem>
#include <string>
#include <vector>

#include "common/base/result.h"
#include "worker/agent/machine.h"

namespace tutti::agent {

// The files of the engine's numerical libraries, as the dynamic loader resolves them.
Result<std::vector<std::filesystem::path>> NumericLibraries(const std::filesystem::path& engine);

// "sha256:…" over ISA flags, cache sizes, the libraries' real names and sizes, the engine's bytes
// and the rule for threads (a rank computes with cpus_per_rank of them, whatever the machine has).
Result<std::string> NumericsFingerprint(const Machine& machine,
                                        const std::filesystem::path& engine);

}  // namespace tutti::agent
