// What a cluster was asked to do: its jobs with when they came and how long their steps took, its
// workers and queues. Made from a coordinator's journal (GET /api/v1/workload). Values.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "common/base/result.h"
#include "scheduler/core/queues.h"
#include "scheduler/core/request.h"

namespace tutti::simulate {

struct WorkloadJob {
  core::JobRequest request;
  std::int64_t submitted_ms = 0;  // from the first submission on
  std::uint64_t steps = 1;
  double step_ms = 1;  // with so many ranks:
  std::uint32_t measured_ranks = 1;
};

struct WorkloadNode {
  std::string name;
  std::uint32_t slots = 1;
  std::uint32_t gpus = 0;
  std::uint64_t memory_bytes = 0;
  std::string numerics;
  std::map<std::string, std::string> labels = {};
};

struct ClusterWorkload {
  std::string policy;
  std::map<std::string, core::QueueConfig> queues = {};
  std::vector<WorkloadNode> nodes = {};
  std::vector<WorkloadJob> jobs = {};  // by submission
};

// kInvalid with the place of what is wrong.
Result<ClusterWorkload> ParseWorkload(std::string_view json);

}  // namespace tutti::simulate
