// A recorded trace: jobs as they were submitted and the applications they run. Read whole; values.
#pragma once

#include <cstdint>
#include <filesystem>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "common/base/result.h"
#include "scheduler/simulate/application.h"

namespace tutti::simulate {

struct TraceJob {
  std::string name;  // unique in its workload
  const Application* application = nullptr;
  std::int64_t submitted_seconds = 0;
  std::uint32_t ranks = 1;  // asked for
  std::uint32_t batch_size = 1;
};

struct Workload {
  std::string name;  // "workload-1"
  std::vector<TraceJob> jobs;
};

struct Trace {
  std::map<std::string, std::unique_ptr<Application>> applications;
  std::vector<Workload> workloads;
};

// `path`: a folder with traces/ and workloads/ (every file of it), or one workload file with
// traces/ beside or above its folder. kNotFound, kInvalid.
Result<Trace> ReadTrace(const std::filesystem::path& path);

}  // namespace tutti::simulate
