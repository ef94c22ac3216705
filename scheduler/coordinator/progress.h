// Progress: the newest word of each running job: training progress and evaluations. Volatile:
// shown, streamed as events and measured, never journaled.
//
// Of the loop's thread.
#pragma once

#include <map>
#include <nlohmann/json_fwd.hpp>
#include <optional>
#include <string>
#include <string_view>

#include "common/base/ids.h"
#include "common/enginelink/messages.h"
#include "scheduler/coordinator/loop.h"
#include "scheduler/core/ledger.h"
#include "scheduler/http/events.h"

namespace tutti::metrics {
class Metrics;
}

namespace tutti::coordinator {

struct JobProgress {
  Attempt attempt{};
  std::optional<enginelink::Progress> progress;
  std::optional<enginelink::Eval> eval;
};

class ProgressBoard {
 public:
  // Both outlive it.
  ProgressBoard(http::EventHub& events, metrics::Metrics& metrics)
      : events_(events), metrics_(metrics) {}

  // One enginelink line of the job's active attempt. kInvalid when it is none of progress, eval and
  // warning. The event goes out after the round.
  Status Hear(Round& round, const core::Job& job, std::string_view line);
  const JobProgress* Of(JobId job) const;
  void Forget(JobId job) { jobs_.erase(job); }

 private:
  void Measure(const core::Job& job, const JobProgress& before, const enginelink::Progress& now);

  http::EventHub& events_;
  metrics::Metrics& metrics_;
  std::map<JobId, JobProgress> jobs_;
};

}  // namespace tutti::coordinator
