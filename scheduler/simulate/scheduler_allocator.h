// The scheduler itself as a trace's policy: the same Step, Apply and Observe that the coordinator
// runs, over machines that never fail. A recorded job is a rigid gang of the largest power of two
// of ranks it asked for, and its slots are GPUs.
#pragma once

#include <memory>

#include "scheduler/core/policy.h"
#include "scheduler/simulate/allocator.h"

namespace tutti::simulate {

std::unique_ptr<Allocator> MakeSchedulerAllocator(const core::Policy& policy,
                                                  const Cluster& cluster);

}  // namespace tutti::simulate
