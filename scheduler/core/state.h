// State: what Step decides from. References only: the ledger, the liveness and the policy outlive
// the call. No threads.
#pragma once

#include "scheduler/core/ledger.h"
#include "scheduler/core/liveness.h"
#include "scheduler/core/policy.h"

namespace tutti::core {

struct State {
  const Ledger& ledger;
  const Liveness& liveness;
  const Policy& policy;
};

}  // namespace tutti::core
