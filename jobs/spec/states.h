// The states a job goes through and why it waits or failed: one enum each, one parser each.
#pragma once

#include <optional>
#include <span>
#include <string_view>

namespace tutti::spec {

enum class JobState {
  kValidating,
  kQueued,
  kStarting,
  kRunning,
  kSucceeded,
  kFailed,
  kCancelled,
  kPaused,
  kPreempting,
  kRecovering,
  kResizing,
  kCancelling,
};

// Why a queued job does not run.
enum class PendingReason {
  kPriority,
  kResources,
  kQuota,
  kDependency,
  kHeld,
  kPoolDown,
  kFragmentation,
  kNumerics,
};

// Why an attempt, or in the end the job, failed.
enum class FailureReason {
  kCrash,
  kOom,
  kData,
  kNumeric,
  kHang,
  kWorkerLost,
  kTimeout,
  kDiskFull,
  kInternal,
};

constexpr bool IsTerminal(JobState state) {
  return state == JobState::kSucceeded || state == JobState::kFailed ||
         state == JobState::kCancelled;
}

std::string_view ToString(JobState state);        // "running"
std::string_view ToString(PendingReason reason);  // "pool_down"
std::string_view ToString(FailureReason reason);  // "worker_lost"
std::optional<JobState> ParseJobState(std::string_view text);
std::optional<PendingReason> ParsePendingReason(std::string_view text);
std::optional<FailureReason> ParseFailureReason(std::string_view text);
std::span<const std::string_view> JobStateNames();

}  // namespace tutti::spec
