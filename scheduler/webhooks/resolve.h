// A host's addresses, asked for with a deadline, as far as webhooks may go there. Blocking, for
// threads of its own; free functions, any thread.
#pragma once

#include <string>
#include <vector>

#include "common/base/result.h"
#include "common/base/time.h"
#include "scheduler/webhooks/networks.h"

namespace tutti::webhooks {

// Numeric, in the order in which to try them; at least one. kUnsupported: the host has addresses,
// and none lies in an allowed network; kUnavailable: it has none; kTimeout: nobody told in time,
// or `stop_fd` became readable.
Result<std::vector<std::string>> Resolve(const std::string& host, const Networks& allowed,
                                         Instant deadline, int stop_fd);

// Of a host that is an address: kUnsupported when it is in no allowed network. Names pass.
Status CheckLiteral(const std::string& host, const Networks& allowed);

}  // namespace tutti::webhooks
