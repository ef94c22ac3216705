// Measures: what stored facts and the ledger mean for the metrics of METRICS.md.
//
// Of the loop's thread.
#pragma once

#include <map>

#include "monitoring/metrics/metrics.h"
#include "scheduler/coordinator/loop.h"

namespace tutti::coordinator {

class Measures {
 public:
  // Outlives it.
  explicit Measures(metrics::Metrics& metrics) : metrics_(metrics) {}

  void OnStored(const Stored& stored);
  // Gauges of queues and nodes as things are. Before they are read.
  void Refresh(const View& view);

 private:
  struct Counter;
  struct Failure {
    Instant at;
    spec::FailureReason reason = spec::FailureReason::kCrash;
  };
  void Finished(const core::Job& job, std::string_view status, std::string_view reason);

  metrics::Metrics& metrics_;
  std::map<JobId, Instant> placed_;  // until the first step
  std::map<JobId, Failure> failed_;  // until the next attempt's first step
  std::map<std::pair<std::string, std::string>, std::int64_t>
      shown_;  // (queue, state) with a gauge
};

}  // namespace tutti::coordinator
