// What people see of a job, copied from the loop's thread so that it can be rendered on another.
#pragma once

#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "scheduler/coordinator/gang_watch.h"
#include "scheduler/coordinator/loop.h"
#include "scheduler/coordinator/progress.h"
#include "scheduler/core/explain.h"
#include "scheduler/core/predict.h"

namespace tutti::coordinator {

// When something is expected, and the interval it most likely lies in.
struct Expected {
  WallTime at;
  WallTime earliest;
  WallTime latest;
};

struct JobView {
  core::Job job;  // without spec_json
  core::Shown shown;
  std::map<NodeId, std::string> node_names;  // of its attempts
  std::optional<core::Pending> pending;      // of a queued job that MayStart
  std::optional<Expected> start;             // of a queued job, where it is known
  std::optional<Expected> end;               // of a queued or running job, likewise
  std::vector<std::string> helps;            // what would let a queued job start; of Find alone
  std::optional<JobProgress> progress;
  std::vector<StalledRank> stalled;
  std::optional<Straggler> straggler;
  WallTime now;
};

struct JobFilter {
  std::vector<spec::JobState> states;  // empty = any
  std::string name;                    // "" = any
  std::string text;                    // in name, id or user, whatever its case; "" = any
  bool all = false;                    // finished long ago too
  std::uint64_t before = 0;            // submitted before this sequence; 0 = any
  std::size_t limit = 100;
};
struct JobPage {
  std::vector<JobView> jobs;  // newest first
  std::optional<std::uint64_t> next;
};

// Reads jobs from ledger and archive. Of the loop's thread; remembers why queued jobs wait until
// the ledger changes, for a second at most.
class JobReader {
 public:
  JobReader(const ProgressBoard& progress, const GangWatch& gangs)
      : progress_(progress), gangs_(gangs) {}

  JobView ViewOf(const View& view, const core::Job& job);
  // By id, unique prefix, or name (the newest). kNotFound.
  Result<JobView> Find(const View& view, std::string_view text);
  Result<JobPage> List(const View& view, const JobFilter& filter);

  // The job itself, for those who need its spec.
  static Result<core::Job> FindJob(const View& view, std::string_view text);

  // When a job that is not submitted would start and end; nullopt: not known.
  struct Outlook {
    std::optional<Expected> start;
    std::optional<Expected> end;
  };
  static Outlook OutlookOf(const core::State& state, const core::Job& submitted);

 private:
  const core::Pending* PendingOf(const View& view, const core::Job& job);
  std::optional<core::Span> StartOfQueued(const View& view, JobId job);

  const ProgressBoard& progress_;
  const GangWatch& gangs_;
  std::map<JobId, core::Pending> pending_;
  std::uint64_t pending_at_ = 0;  // facts applied when they were explained
  Instant pending_until_;         // what heartbeats say counts too: free disk
  bool pending_draining_ = false;
  std::map<JobId, core::Span> starts_;
  Instant starts_from_;
  std::uint64_t starts_at_facts_ = 0;
  Instant starts_until_;  // then they are predicted anew
};

}  // namespace tutti::coordinator
