// What the machines of a replay say of their gangs, where nothing goes wrong. Free functions, any
// thread.
#pragma once

#include <cstdint>

#include "scheduler/core/inputs.h"
#include "scheduler/core/ledger.h"
#include "scheduler/core/liveness.h"

namespace tutti::simulate {

// Of the job's gang, by the machine of its rank 0. The job has one.
core::ReportCheckpoint CheckpointOf(const core::Job& job, std::uint64_t step);
core::ReportEnded EndOf(const core::Job& job, core::GangOutcome outcome, std::uint64_t step);

// A heartbeat that lists every gang the node has by the ledger.
core::WorkerSeen SeenAsIs(const core::Ledger& ledger, const core::Node& node,
                          std::uint64_t session);

}  // namespace tutti::simulate
