// Disk: what a job will write, and whether there is room for it. Said before a job starts, because
// a night's work should not end at its first checkpoint. No threads.
#pragma once

#include <cstdint>
#include <string>

#include "common/base/result.h"
#include "scheduler/core/plan.h"
#include "scheduler/core/state.h"

namespace tutti::core {

// Bytes the job will still write where its ranks run: as inspect predicted, less the checkpoints it
// has there. 0 = not known.
std::uint64_t DiskNeeded(const Job& job);

// kInvalid with the numbers when no registered worker's disk, or not the coordinator's, could hold
// it even when empty. Ok when nothing is known.
Status CouldEverHold(const State& state, const Estimate& estimate);

// Why there is no room for it now: "needs 41.0 GiB of disk; …"; "" = there is, on some open node.
std::string NoRoomText(const Job& job, const Plan& plan);

}  // namespace tutti::core
