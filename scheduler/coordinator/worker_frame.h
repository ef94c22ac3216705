// A frame that a worker sent, read with caps on what it takes in memory. A pure function.
#pragma once

#include <optional>
#include <string_view>

#include "common/wire/messages.pb.h"

namespace tutti::coordinator {

// What wire::ParseFrame takes, with at most 1 MiB of bodies with lists: in memory a message is a
// small multiple of its frame, or some 50 MiB.
std::optional<wire::ToCoordinator> ParseWorkerFrame(std::string_view frame);

}  // namespace tutti::coordinator
