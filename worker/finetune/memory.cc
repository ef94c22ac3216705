#include "worker/finetune/memory.h"

#include <algorithm>
#include <charconv>
#include <numeric>
#include <span>
#include <string>
#include <vector>

#include "common/file/file.h"
#include "worker/exchange/gradient_exchange.h"
#include "worker/finetune/eval_samples.h"
#include "worker/finetune/weights.h"
#include "worker/train/gradient_step.h"

namespace tutti::finetune {
namespace {

// What a rank starts beyond a process that has prepared its data: MPI, HDF5, the writer's thread
// and what malloc keeps of each step's batches.
constexpr std::int64_t kRankBytes = std::int64_t{4} << 20;
constexpr std::int64_t kMaxRowsLookedAt = 20'000'000;

// The micro-batch with most tokens among those of all steps.
std::vector<std::int64_t> LargestMicroBatch(const Job& job) {
  const spec::TrainingSpec& t = job.spec.training;
  train::EpochOrder order(job.train.size(), t.global_batch_size,
                          static_cast<std::uint64_t>(t.seed));
  const train::Deal deal{.shards = t.shards, .micro_batch = t.micro_batch_size};
  const auto size = static_cast<std::size_t>(t.micro_batch_size);
  std::vector<std::int64_t> largest;
  std::int64_t most = -1, looked_at = 0;
  for (std::int64_t step = 0; step < job.counts.total_steps && looked_at < kMaxRowsLookedAt;
       ++step) {
    const std::span<const std::int64_t> rows = order.RowsOf(step);
    looked_at += static_cast<std::int64_t>(rows.size());
    for (std::int64_t shard = 0; shard < deal.shards; ++shard) {
      const auto own = deal.OfShard(rows, shard);
      for (std::size_t at = 0; at < own.size(); at += size) {
        const auto micro = own.subspan(at, std::min(size, own.size() - at));
        const std::int64_t tokens = train::CountTokens(job.train, micro);
        if (tokens <= most) continue;
        most = tokens;
        largest.assign(micro.begin(), micro.end());
      }
    }
  }
  return largest;
}

// All steps' tokens at the rate of one micro-batch, divided among the ranks.
Duration TrainingTime(const Job& job, std::int64_t ranks, Duration took,
                      std::span<const std::int64_t> micro) {
  std::vector<std::int64_t> rows(static_cast<std::size_t>(job.train.size()));
  std::iota(rows.begin(), rows.end(), 0);
  const std::int64_t all = train::CountTokens(job.train, rows);
  const double tokens =
      static_cast<double>(std::max<std::int64_t>(train::CountTokens(job.train, micro), 1));
  const double per_row =
      static_cast<double>(all) / static_cast<double>(std::max<std::int64_t>(job.train.size(), 1));
  const double trained = per_row * static_cast<double>(job.spec.training.global_batch_size) *
                         static_cast<double>(job.counts.total_steps);
  constexpr double kLongestSeconds = 1e9;
  const double seconds =
      std::chrono::duration<double>(took).count() * trained / tokens / static_cast<double>(ranks);
  return std::chrono::duration_cast<Duration>(
      std::chrono::duration<double>(std::min(seconds, kLongestSeconds)));
}

}  // namespace

std::int64_t BufferBytes(const MemoryParts& parts) {
  const std::int64_t shards_a_rank = std::max<std::int64_t>(parts.shards / parts.ranks, 1);
  const auto levels =
      static_cast<std::int64_t>(exchange::LevelsFor(static_cast<std::uint32_t>(shards_a_rank)));
  const std::int64_t others = parts.parameters * (parts.ranks - 1) / parts.ranks;
  constexpr std::int64_t kFloat = sizeof(float);
  return kFloat * (parts.parameters * (3 + 3 + levels) + others);
}

Result<Bytes> ResidentMemory() {
  TUTTI_ASSIGN_OR_RETURN(const std::string status, ReadFile("/proc/self/status"));
  const std::size_t at = status.find("VmRSS:");
  if (at == std::string::npos) return Fail(ErrorCode::kIo, "no VmRSS", "/proc/self/status");
  const std::size_t from = status.find_first_of("0123456789", at);
  std::int64_t kibibytes = 0;
  std::from_chars(status.data() + from, status.data() + status.size(), kibibytes);
  return Bytes{kibibytes << 10};
}

Result<Prediction> Predict(Job& job, std::int64_t ranks, const WeightsHeld& weights) {
  TUTTI_ASSIGN_OR_RETURN(const Bytes now, ResidentMemory());
  const auto held = static_cast<std::int64_t>(weights.parameters.size_bytes());
  std::vector<float> gradients(weights.parameters.size());
  job.model->Bind(weights.parameters.data());
  job.model->BindBase(FrozenIn(job, weights.base));
  job.model->BindGradients(gradients.data());
  const std::vector<std::int64_t> largest = LargestMicroBatch(job);
  const Instant started = MonotonicNow();
  TUTTI_ASSIGN_OR_RETURN(const std::int64_t floats,
                         train::WorkingFloats(*job.model, job.train, largest));
  const Duration took = MonotonicNow() - started;
  const std::int64_t working =
      (floats + CacheFloats(job, job.sampled)) * static_cast<std::int64_t>(sizeof(float));
  const std::int64_t buffers = BufferBytes({.parameters = job.model->layout().total(),
                                            .shards = job.spec.training.shards,
                                            .ranks = ranks});
  // The base stays in `now`: it is held once, as it will be in the gang's memory.
  return Prediction{.memory = {now.count - held + buffers + working + kRankBytes},
                    .training = TrainingTime(job, ranks, took, largest)};
}

}  // namespace tutti::finetune
