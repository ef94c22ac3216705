// How long the scheduler waits for what. Durations on the monotonic clock. Constants.
#pragma once

#include <chrono>

#include "common/base/time.h"

namespace tutti::core {

// A node not seen for so long is lost and its gangs are placed anew. Longer than a worker's lease:
// by then it has killed them itself.
inline constexpr Duration kReassignAfter = std::chrono::milliseconds(8000);
// A launch is sent to nodes heard of within so long: one sent later might arrive when the node is
// lost and its gang lives elsewhere, and find the node with a new lease.
inline constexpr Duration kLaunchHeardWithin = std::chrono::milliseconds(5000);
// A gang that ran but that its node's heartbeats leave out for so long is gone.
inline constexpr Duration kMissingAfter = std::chrono::milliseconds(8000);
// A launch that no heartbeat confirms is given up after so long.
inline constexpr Duration kLaunchGiveUp = std::chrono::seconds(60);
// First repetition of a launch or stop; doubles up to kRepeatMax.
inline constexpr Duration kRepeatFirst = std::chrono::milliseconds(1000);
inline constexpr Duration kRepeatMax = std::chrono::seconds(8);
// An inspection without an answer is asked for again (its own deadline is 10 minutes).
inline constexpr Duration kInspectGiveUp = std::chrono::minutes(11);
inline constexpr Duration kInspectRetryFirst = std::chrono::milliseconds(500);

// A gang that started is not asked to give way before it has run so long: each switch costs.
inline constexpr Duration kMinRun = std::chrono::seconds(60);
// What a job has waited when a turn is kept for it: since its submission, of the time in which
// gangs ran, and since it last started by such a turn.
inline constexpr Duration kTurnKeptAfter = std::chrono::hours(2);
// So long runs a gang that started by such a turn before it is asked to give way: others waited for
// its slots to become free.
inline constexpr Duration kMinRunAfterTurn = std::chrono::minutes(15);
// How often the slots that gangs hold are charged to their users.
inline constexpr Duration kChargeEvery = std::chrono::seconds(60);

}  // namespace tutti::core
