// What people see of a job's phase: one state of the vocabulary, why, and a sentence. No threads.
#pragma once

#include <map>
#include <string>
#include <vector>

#include "jobs/spec/states.h"
#include "scheduler/core/state.h"

namespace tutti::core {

struct Pending {
  spec::PendingReason reason = spec::PendingReason::kResources;
  std::string message;
  Amount missing = {};         // of its smallest gang, where it may run; 0 = those are free
  std::size_t jobs_ahead = 0;  // in the queue
};

// Why each of the first `limit` queued jobs waits that MayStart, in the order of the queue; later
// ones are absent.
std::map<JobId, Pending> ExplainQueue(const State& state, std::size_t limit);

// What would let a queued job start now, each as a sentence; none is known: empty.
std::vector<std::string> WhatHelps(const State& state, const Job& job);

struct Shown {
  spec::JobState state = spec::JobState::kQueued;
  std::string reason;   // "" = none; pending, failure or stop reason
  std::string message;  // "" = none
};

// `pending`: of this job from ExplainQueue, may be nullptr.
Shown Show(const State& state, const Job& job, const Pending* pending);
// The state alone.
spec::JobState StateOf(const Ledger& ledger, const Job& job);

}  // namespace tutti::core
