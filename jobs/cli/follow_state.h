// What is known of a followed job: built up from its object and its events, turned into a bar,
// lines and a summary. Pure.
#pragma once

#include <nlohmann/json.hpp>
#include <optional>
#include <string>

#include "common/base/time.h"
#include "jobs/cli/progress.h"

namespace tutti::cli {

class FollowState {
 public:
  // The job object, fetched now and then.
  void TakeJob(const nlohmann::json& job, WallTime now);
  // The line to print about it; nullopt for what only moves the bar.
  std::optional<std::string> TakeEvent(const nlohmann::json& event);

  const ProgressState& progress() const { return progress_; }
  ProgressState& progress() { return progress_; }
  const nlohmann::json& job() const { return job_; }
  // By the newest event or object.
  bool finished() const { return finished_; }
  // "queued: resources: needs 4 slots, 2 are free"; "" while it runs.
  std::string WaitingText() const;

  // "package-sections succeeded in 42 s", fields of its result, commands to go on with.
  std::string Summary(bool color) const;

 private:
  void TakeProgress(const nlohmann::json& from);
  void TakeMetrics(const nlohmann::json& metrics);

  nlohmann::json job_;
  ProgressState progress_;
  bool finished_ = false;
};

bool IsFinalState(std::string_view state);
// Whether no event of its job comes after one of that type.
bool IsFinalEvent(std::string_view type);

}  // namespace tutti::cli
