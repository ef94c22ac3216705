#include "scheduler/simulate/trace.h"

#include <algorithm>
#include <cmath>

#include "scheduler/simulate/csv.h"

namespace tutti::simulate {
namespace {

namespace fs = std::filesystem;

constexpr double kRanksMax = 4096;
constexpr double kSecondsMax = 1e9;

Result<const Application*> NeedApplication(Trace& trace, const fs::path& traces,
                                           const std::string& name) {
  const auto found = trace.applications.find(name);
  if (found != trace.applications.end()) return found->second.get();
  TUTTI_ASSIGN_OR_RETURN(Application read, Application::Read(traces / name));
  auto& kept = trace.applications[name];
  kept = std::make_unique<Application>(std::move(read));
  return kept.get();
}

Status CheckJob(const TraceJob& job, double ranks, double batch, const std::string& where) {
  if (job.submitted_seconds < 0 || ranks < 1 || ranks > kRanksMax || ranks != std::floor(ranks)) {
    return Fail(ErrorCode::kInvalid, "time or num_replicas is out of range", where);
  }
  const Application& app = *job.application;
  if (batch < app.batch_min() || batch > app.batch_max() || batch != std::floor(batch)) {
    return Fail(ErrorCode::kInvalid,
                "batch_size is not between " + std::to_string(app.batch_min()) + " and " +
                    std::to_string(app.batch_max()) + ", which " + app.name() +
                    " was measured with",
                where);
  }
  return {};
}

Result<Workload> ReadWorkload(Trace& trace, const fs::path& traces, const fs::path& file) {
  TUTTI_ASSIGN_OR_RETURN(const Csv csv, Csv::Read(file));
  TUTTI_ASSIGN_OR_RETURN(const auto names, csv.Texts("name"));
  TUTTI_ASSIGN_OR_RETURN(const auto applications, csv.Texts("application"));
  TUTTI_ASSIGN_OR_RETURN(const auto times, csv.Numbers("time"));
  TUTTI_ASSIGN_OR_RETURN(const auto ranks, csv.Numbers("num_replicas"));
  TUTTI_ASSIGN_OR_RETURN(const auto batches, csv.Numbers("batch_size"));
  Workload workload{.name = file.stem().string(), .jobs = {}};
  for (std::size_t i = 0; i < csv.rows(); ++i) {
    const std::string where = file.string() + ":" + std::to_string(i + 2);
    TraceJob job{.name = names[i]};
    TUTTI_ASSIGN_OR_RETURN(job.application, NeedApplication(trace, traces, applications[i]));
    if (times[i] > kSecondsMax) return Fail(ErrorCode::kInvalid, "time is out of range", where);
    job.submitted_seconds = static_cast<std::int64_t>(times[i]);
    TUTTI_RETURN_IF_ERROR(CheckJob(job, ranks[i], batches[i], where));
    job.ranks = static_cast<std::uint32_t>(ranks[i]);
    job.batch_size = static_cast<std::uint32_t>(batches[i]);
    workload.jobs.push_back(std::move(job));
  }
  if (workload.jobs.empty()) return Fail(ErrorCode::kInvalid, "has no jobs", file.string());
  return workload;
}

// "workload-10.csv" after "workload-2.csv".
bool Earlier(const fs::path& a, const fs::path& b) {
  const std::string x = a.filename().string();
  const std::string y = b.filename().string();
  return x.size() != y.size() ? x.size() < y.size() : x < y;
}

}  // namespace

Result<Trace> ReadTrace(const fs::path& path) {
  std::error_code ignored;
  std::vector<fs::path> files;
  fs::path traces;
  if (fs::is_directory(path, ignored)) {
    traces = path / "traces";
    for (const auto& entry : fs::directory_iterator(path / "workloads", ignored)) {
      if (entry.path().extension() == ".csv") files.push_back(entry.path());
    }
    if (files.empty()) {
      return Fail(ErrorCode::kNotFound, "has no workloads/*.csv", path.string(),
                  "give a trace folder as unpacked, or one workload file");
    }
  } else if (fs::is_regular_file(path, ignored)) {
    files.push_back(path);
    for (fs::path up = fs::absolute(path).parent_path(); up != up.root_path();
         up = up.parent_path()) {
      if (!fs::is_directory(up / "traces", ignored)) continue;
      traces = up / "traces";
      break;
    }
  } else {
    return Fail(ErrorCode::kNotFound, "there is no such trace", path.string());
  }
  if (!fs::is_directory(traces, ignored)) {
    return Fail(ErrorCode::kNotFound, "has no traces/ folder beside its workloads", path.string());
  }
  std::sort(files.begin(), files.end(), Earlier);
  Trace trace;
  for (const fs::path& file : files) {
    TUTTI_ASSIGN_OR_RETURN(Workload workload, ReadWorkload(trace, traces, file));
    trace.workloads.push_back(std::move(workload));
  }
  return trace;
}

}  // namespace tutti::simulate
