// Opening what lies below a folder, so that no link that somebody puts there, before or meanwhile,
// leads out of it. Free functions; any thread.
#pragma once

#include <filesystem>

#include "common/base/result.h"
#include "common/file/file.h"

namespace tutti {

// Opens `relative`, which has no links, below `root` (itself believed): by openat2(2), else, where
// the kernel or a filter of system calls has none, part by part. `flags` are open(2)'s; O_CLOEXEC
// is added. kNotFound; kInvalid: a part is a link by now, is "..", or leads out.
Result<UniqueFd> OpenBeneath(const std::filesystem::path& root,
                             const std::filesystem::path& relative, int flags);

// What OpenBeneath does without openat2(2).
Result<UniqueFd> OpenBeneathByParts(const std::filesystem::path& root,
                                    const std::filesystem::path& relative, int flags);

}  // namespace tutti
