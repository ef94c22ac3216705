// The ranks of a job as one of them sees them. Borrows what it points to; one thread.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "common/base/result.h"
#include "worker/exchange/gradient_exchange.h"
#include "worker/exchange/node_memory.h"

namespace tutti::train {

struct Gang {
  std::uint32_t rank = 0, size = 1;
  exchange::NodeMemory& memory;  // of this machine
  exchange::GradientExchange& exchange;
  // Everyone's `mine`, by rank; a collective. kUnavailable when a peer is gone, kTimeout.
  std::function<Result<std::vector<std::string>>(std::string_view mine)> gather;
};

}  // namespace tutti::train
