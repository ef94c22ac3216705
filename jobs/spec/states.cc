#include "jobs/spec/states.h"

#include <array>
#include <utility>

#include "jobs/spec/name_table.h"

namespace tutti::spec {
namespace {

constexpr NameTable<JobState, 12> kJobStates = {{{JobState::kValidating, "validating"},
                                                 {JobState::kQueued, "queued"},
                                                 {JobState::kStarting, "starting"},
                                                 {JobState::kRunning, "running"},
                                                 {JobState::kSucceeded, "succeeded"},
                                                 {JobState::kFailed, "failed"},
                                                 {JobState::kCancelled, "cancelled"},
                                                 {JobState::kPaused, "paused"},
                                                 {JobState::kPreempting, "preempting"},
                                                 {JobState::kRecovering, "recovering"},
                                                 {JobState::kResizing, "resizing"},
                                                 {JobState::kCancelling, "cancelling"}}};
static_assert(IsInOrder(kJobStates));

constexpr NameTable<PendingReason, 8> kPendingReasons = {
    {{PendingReason::kPriority, "priority"},
     {PendingReason::kResources, "resources"},
     {PendingReason::kQuota, "quota"},
     {PendingReason::kDependency, "dependency"},
     {PendingReason::kHeld, "held"},
     {PendingReason::kPoolDown, "pool_down"},
     {PendingReason::kFragmentation, "fragmentation"},
     {PendingReason::kNumerics, "numerics"}}};
static_assert(IsInOrder(kPendingReasons));

constexpr NameTable<FailureReason, 9> kFailureReasons = {
    {{FailureReason::kCrash, "crash"},
     {FailureReason::kOom, "oom"},
     {FailureReason::kData, "data"},
     {FailureReason::kNumeric, "numeric"},
     {FailureReason::kHang, "hang"},
     {FailureReason::kWorkerLost, "worker_lost"},
     {FailureReason::kTimeout, "timeout"},
     {FailureReason::kDiskFull, "disk_full"},
     {FailureReason::kInternal, "internal"}}};
static_assert(IsInOrder(kFailureReasons));

constexpr auto kJobStateNames = NamesOf(kJobStates);

}  // namespace

std::string_view ToString(JobState state) { return NameIn(kJobStates, state); }
std::string_view ToString(PendingReason reason) { return NameIn(kPendingReasons, reason); }
std::string_view ToString(FailureReason reason) { return NameIn(kFailureReasons, reason); }

std::optional<JobState> ParseJobState(std::string_view text) { return ParseIn(kJobStates, text); }
std::optional<PendingReason> ParsePendingReason(std::string_view text) {
  return ParseIn(kPendingReasons, text);
}
std::optional<FailureReason> ParseFailureReason(std::string_view text) {
  return ParseIn(kFailureReasons, text);
}

std::span<const std::string_view> JobStateNames() { return kJobStateNames; }

}  // namespace tutti::spec
