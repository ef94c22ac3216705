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

namespace tutti::history {
class History;
struct Sample;
}  // namespace tutti::history
namespace tutti::metrics {
class Metrics;
}
namespace tutti::tensorboard {
class EventFiles;
}

namespace tutti::coordinator {

struct JobProgress {
  Attempt attempt{};
  WallTime progress_at;  // when `progress` was heard
  std::optional<enginelink::Progress> progress;
  std::optional<enginelink::Eval> eval;  // without its samples: the history has them
};

class ProgressBoard {
 public:
  // All outlive it. `history` (none: nothing is kept) has the curves, and the newest word of each
  // job for the coordinator's next life; `files` (none: no files) those of jobs that ask for them.
  ProgressBoard(http::EventHub& events, metrics::Metrics& metrics,
                history::History* history = nullptr, tensorboard::EventFiles* files = nullptr)
      : events_(events), metrics_(metrics), history_(history), files_(files) {}

  // What an earlier life of the coordinator knew of the ledger's jobs.
  void Restore(const core::Ledger& ledger);

  // One enginelink line of the job's active attempt. kInvalid when it is none of progress, eval and
  // warning. The event goes out after the round.
  Status Hear(Round& round, const core::Job& job, std::string_view line);
  // What the job's largest rank on one machine uses, as a curve; once in ten seconds counts.
  void HearMemory(const core::Job& job, std::uint64_t bytes, Instant now);
  const JobProgress* Of(JobId job) const;
  void Forget(JobId job);

 private:
  void Keep(const core::Job& job, const JobProgress& known, history::Sample curve);
  // And takes them out of `eval`.
  void KeepSamples(const core::Job& job, enginelink::Eval& eval);
  void KeepEvents(const core::Job& job, const history::Sample& curve);
  void Measure(const core::Job& job, const JobProgress& before, const enginelink::Progress& now);

  http::EventHub& events_;
  metrics::Metrics& metrics_;
  history::History* const history_;
  tensorboard::EventFiles* const files_;
  std::map<JobId, JobProgress> jobs_;
  std::map<JobId, std::string> runs_;  // of event files; "" = the job wants none
  struct Memory {
    std::uint64_t bytes = 0;  // the most since the last point
    Instant next_point;
  };
  std::map<JobId, Memory> memory_;
};

}  // namespace tutti::coordinator
