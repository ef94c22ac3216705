#include "scheduler/coordinator/job_request.h"

#include <chrono>
#include <utility>
#include <variant>

#include "common/digest/sha256.h"
#include "jobs/spec/names.h"
#include "jobs/spec/states.h"

namespace tutti::coordinator {
namespace {

spec::FailureReason ReasonOf(spec::RetryOn reason) {
  switch (reason) {
    case spec::RetryOn::kWorkerLost:
      return spec::FailureReason::kWorkerLost;
    case spec::RetryOn::kCrash:
      return spec::FailureReason::kCrash;
    case spec::RetryOn::kHang:
      return spec::FailureReason::kHang;
    case spec::RetryOn::kOom:
      return spec::FailureReason::kOom;
    case spec::RetryOn::kTimeout:
      return spec::FailureReason::kTimeout;
    case spec::RetryOn::kDiskFull:
      return spec::FailureReason::kDiskFull;
    case spec::RetryOn::kNumeric:
      return spec::FailureReason::kNumeric;
    case spec::RetryOn::kInternal:
      return spec::FailureReason::kInternal;
  }
  return spec::FailureReason::kInternal;
}

// Two jobs of the same base model have the same.
std::string ModelKey(const spec::JobSpec& job) {
  constexpr std::size_t kDigits = 16;
  std::string bytes = job.inputs.model.empty() ? job.model : std::string();
  for (const spec::InputFile& file : job.inputs.model)
    bytes += file.path + "\n" + file.digest + "\n";
  return Sha256Of(bytes).ToHex().substr(0, kDigits);
}

std::string MethodName(const spec::Method& method) {
  if (std::holds_alternative<spec::LoraSpec>(method)) return "lora";
  if (std::holds_alternative<spec::DpoSpec>(method)) return "dpo";
  return "full";
}

std::uint32_t Count(std::int64_t value) { return static_cast<std::uint32_t>(value); }

}  // namespace

std::string BaseOf(std::string_view model) {
  if (model.starts_with("ft:")) return std::string(model);
  while (model.size() > 1 && model.ends_with('/')) model.remove_suffix(1);
  const std::size_t slash = model.rfind('/');
  if (slash != std::string_view::npos && slash + 1 < model.size()) model.remove_prefix(slash + 1);
  return std::string(model);
}

core::JobRequest RequestOf(const spec::JobSpec& job, std::string user) {
  core::JobRequest request;
  request.name = job.name;
  request.task = spec::ToString(job.task);
  request.model_base = BaseOf(job.model);
  request.queue = job.schedule.queue;
  request.user = std::move(user);
  request.priority = job.schedule.priority;
  request.ranks_min = Count(job.resources.ranks_min);
  request.ranks_max = Count(job.resources.ranks_max);
  request.cpus_per_rank = Count(job.resources.cpus_per_rank);
  request.gpus_per_rank = Count(job.resources.gpus_per_rank);
  request.shards = Count(job.training.shards);
  if (job.resources.memory_per_rank) {
    request.memory_bytes_per_rank =
        static_cast<std::uint64_t>(job.resources.memory_per_rank->count);
  }
  if (job.schedule.max_duration) {
    request.max_duration_ms = static_cast<std::uint64_t>(
        std::chrono::duration_cast<std::chrono::milliseconds>(*job.schedule.max_duration).count());
  }
  request.retry_max_attempts = Count(job.retry.max_attempts);
  for (const spec::RetryOn reason : job.retry.on) request.retry_on.push_back(ReasonOf(reason));
  request.preemptible = job.schedule.preemptible;
  request.reproducible = job.schedule.reproducible;
  request.labels = job.schedule.labels;
  request.topology = job.schedule.topology.value_or("");
  request.model_key = ModelKey(job);
  request.method = MethodName(job.method);
  return request;
}

}  // namespace tutti::coordinator
