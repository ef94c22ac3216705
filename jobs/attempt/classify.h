// Why a rank ended: from its wait status and what is known about memory. Pure.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "jobs/attempt/attempt.h"

namespace tutti::attempt {

// What the engine exits with when another rank is gone (docs/formats/enginelink.md).
inline constexpr int kExitPeerGone = 13;

// nullopt for a clean exit. A bare SIGKILL is a crash: the kernel's memory killer leaves evidence.
// kExitPeerGone is a consequence.
//   rank              of the gang
//   memory_evidence   what says that memory ran out, if anything does
std::optional<Failure> ClassifyExit(std::uint32_t rank, std::int32_t wait_status,
                                    const std::optional<std::string>& memory_evidence);

// What a rank's Failed message means: a reason this version does not know is kInternal.
Failure ClassifyMessage(const enginelink::Failed& failed);

}  // namespace tutti::attempt
