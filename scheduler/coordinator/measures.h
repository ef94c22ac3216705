// Measures: what stored facts and the ledger mean for the metrics of METRICS.md.
//
// Of the loop's thread.
#pragma once

#include <filesystem>
#include <map>
#include <set>
#include <utility>

#include "monitoring/metrics/metrics.h"
#include "scheduler/coordinator/calibration.h"
#include "scheduler/coordinator/loop.h"

namespace tutti::coordinator {

class Measures {
 public:
  // `metrics` outlives it. `allowed_dir`: the keys of workers that may connect; a lost one whose
  // key is not there was removed and has no series any more.
  Measures(metrics::Metrics& metrics, std::filesystem::path allowed_dir)
      : metrics_(metrics), calibration_(metrics.control), allowed_dir_(std::move(allowed_dir)) {}

  void OnStored(const Stored& stored);
  // Gauges of queues, nodes and gangs as things are. Before they are read.
  void Refresh(const View& view);

 private:
  struct Counter;
  struct Failure {
    Instant at;
    spec::FailureReason reason = spec::FailureReason::kCrash;
  };
  void Finished(const core::Job& job, std::string_view status, std::string_view reason);
  void RefreshQueues(const core::Ledger& ledger);
  void RefreshNodes(const core::Ledger& ledger);
  void RefreshRanks(const core::Ledger& ledger);
  void ExpectOutcomes(const core::Ledger& ledger);

  metrics::Metrics& metrics_;
  Calibration calibration_;
  const std::filesystem::path allowed_dir_;
  std::map<JobId, Instant> placed_;  // until the first step
  std::map<JobId, Failure> failed_;  // until the next attempt's first step
  std::map<std::pair<std::string, std::string>, std::int64_t>
      shown_;                    // (queue, state) with a gauge
  std::set<JobId> training_;     // with more than 0 ranks shown
  std::set<std::string> tasks_;  // whose outcomes are expected
};

}  // namespace tutti::coordinator
