// Which jobs have series, and under which label. Thread-safe. Internal to monitoring/metrics.
#pragma once

#include <map>
#include <mutex>
#include <optional>
#include <string>

#include "common/base/ids.h"
#include "common/base/time.h"
#include "monitoring/metrics/families.h"

namespace tutti::metrics {

class JobSeries {
 public:
  explicit JobSeries(Families& families) : families_(families) {}

  // Sets or adds to the job's series of that family, or `_other`'s.
  void Set(Gauges& family, JobId job, double value);
  void Add(Counters& family, JobId job, double value);

  void Ended(JobId job, Instant now);
  void Sweep(Instant now);

 private:
  struct Series {
    std::map<Gauges*, prometheus::Gauge*> gauges;
    std::map<Counters*, prometheus::Counter*> counters;
    std::optional<Instant> ended;
  };
  Series& Of(JobId job, std::string& label);

  Families& families_;
  std::mutex mutex_;
  std::map<JobId, Series> jobs_;
  Series other_;
};

}  // namespace tutti::metrics
