// What facts mean for who follows a job from outside: the state that it came into. Pure functions.
#pragma once

#include <optional>
#include <span>
#include <string>

#include "jobs/spec/states.h"
#include "scheduler/core/facts.h"

namespace tutti::coordinator {

struct JobNews {
  JobId job;
  WallTime at = {};
  spec::JobState state = {};
  std::string reason = {};
  std::string message = {};
  Attempt attempt{};
  std::string metrics_json = {};  // of JobSucceeded
};

// Of facts.front(). nullopt: it changes no state, or what follows it at once (of the same job) says
// the state in which the job stays.
std::optional<JobNews> NewsOf(std::span<const core::Fact> facts);

}  // namespace tutti::coordinator
