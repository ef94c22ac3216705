#include "jobs/spec/resolve.h"

#include <fmt/format.h>

#include <algorithm>
#include <bit>

#include "common/base/check.h"
#include "jobs/spec/names.h"

namespace tutti::spec {
namespace {

constexpr std::string_view kGlobal = "training.global_batch_size";
constexpr std::string_view kMicro = "training.micro_batch_size";
constexpr std::string_view kShards = "training.shards";
constexpr std::string_view kPerDevice = "training.per_device_train_batch_size";
constexpr std::string_view kAccumulation = "training.gradient_accumulation_steps";
constexpr std::string_view kRanksMax = "resources.ranks.max";

// The largest divisor of `rows` that is at most `limit`. REQUIRES: both are at least 1.
std::int64_t LargestDivisor(std::int64_t rows, std::int64_t limit) {
  std::int64_t divisor = std::min(rows, limit);
  while (rows % divisor != 0) --divisor;
  return divisor;
}

// TrainingArguments' way to say a global batch: per device × accumulation × ranks. With one of the
// two and a global batch size, the other one follows.
void ResolvePerDevice(Draft& draft, Problems& problems, std::vector<std::string>& notes) {
  TrainingSpec& training = draft.job.training;
  const std::int64_t ranks = draft.job.resources.ranks_max;
  const bool global_given = draft.Has(kGlobal);
  const std::int64_t per_device =
      draft.per_device_train_batch_size.value_or(training.micro_batch_size);
  std::int64_t accumulation = draft.gradient_accumulation_steps.value_or(1);
  if (global_given && !draft.gradient_accumulation_steps) {
    accumulation = std::max<std::int64_t>(1, training.global_batch_size / (per_device * ranks));
  }
  // At most 2^20 · 2^20 · 2^12: no overflow.
  const std::int64_t rows = per_device * accumulation * ranks;
  const std::string product =
      fmt::format("per_device_train_batch_size {} × gradient_accumulation_steps {} × {} ranks",
                  per_device, accumulation, ranks);
  const Place place = draft.Where(draft.Has(kPerDevice) ? kPerDevice : kAccumulation);
  if (global_given && rows != training.global_batch_size) {
    problems.Invalid(fmt::format("{} = {} contradicts training.global_batch_size {}", product, rows,
                                 training.global_batch_size),
                     place, "keep global_batch_size alone: it holds for any number of ranks");
    draft.broken.insert(std::string(kGlobal));
    return;
  }
  const Range& range = FindField(kGlobal)->range;
  if (!range.Contains(static_cast<double>(rows))) {
    problems.Invalid(
        fmt::format("{} = {} rows; a global batch has {}", product, rows, range.ToString()), place);
    draft.broken.insert(std::string(kGlobal));
    return;
  }
  training.global_batch_size = rows;
  if (!draft.Has(kMicro) && rows % training.shards == 0) {
    training.micro_batch_size = LargestDivisor(rows / training.shards, per_device);
  }
  if (!global_given) {
    notes.push_back(
        fmt::format("global_batch_size is {} = {}; it stays so with fewer ranks", rows, product));
  }
}

void ResolveBatch(Draft& draft, Problems& problems, std::vector<std::string>& notes) {
  TrainingSpec& training = draft.job.training;
  if (!draft.AreSound({kRanksMax, kShards, kMicro, kGlobal, kPerDevice, kAccumulation})) return;
  if (draft.per_device_train_batch_size || draft.gradient_accumulation_steps) {
    ResolvePerDevice(draft, problems, notes);
  } else if (!draft.Has(kGlobal)) {
    training.global_batch_size = training.shards * training.micro_batch_size;
  }
}

// By what trials are compared: the best model's metric, else the task's first one.
void ResolveSweep(const JobSpec& job, SweepSpec& sweep) {
  const bool evaluates = job.data.eval || job.data.eval_fraction;
  if (!sweep.metric && evaluates) {
    sweep.metric = job.training.metric_for_best_model.value_or(
        std::string(MetricsOf(job.task, job.method)[0]));
  }
  if (sweep.metric && !sweep.mode) {
    sweep.mode = GreaterIsBetter(*sweep.metric) ? SweepMode::kMax : SweepMode::kMin;
  }
}

void ResolveBest(TrainingSpec& training) {
  const bool wants_best = training.load_best_model_at_end || training.early_stopping_patience > 0;
  if (wants_best && !training.metric_for_best_model) training.metric_for_best_model = "loss";
  if (training.metric_for_best_model && !training.greater_is_better) {
    training.greater_is_better = GreaterIsBetter(*training.metric_for_best_model);
  }
}

void AddNotes(const Draft& draft, std::vector<std::string>& notes) {
  const TrainingSpec& training = draft.job.training;
  if (training.max_steps && draft.Has("training.num_train_epochs")) {
    notes.push_back(fmt::format("max_steps {} wins over num_train_epochs {}", *training.max_steps,
                                training.num_train_epochs));
  }
  if (training.warmup_steps > 0 && training.warmup_ratio > 0) {
    notes.push_back(fmt::format("warmup_steps {} wins over warmup_ratio {}", training.warmup_steps,
                                training.warmup_ratio));
  }
  if (training.save_total_limit && *training.save_total_limit < 2) {
    notes.emplace_back(
        "save_total_limit 1: two checkpoints are kept all the same, should one be unreadable");
  }
}

}  // namespace

std::int64_t PowerOfTwoFrom(std::int64_t count) {
  TUTTI_CHECK(count >= 1 && count <= std::int64_t{1} << 62, "no power of two from ", count);
  return static_cast<std::int64_t>(std::bit_ceil(static_cast<std::uint64_t>(count)));
}

void Resolve(Draft& draft, Problems& problems, std::vector<std::string>& notes) {
  ResourcesSpec& resources = draft.job.resources;
  if (!draft.Has(kRanksMax)) resources.ranks_max = resources.ranks_min;
  if (!draft.Has(kShards)) draft.job.training.shards = PowerOfTwoFrom(resources.ranks_max);
  ResolveBatch(draft, problems, notes);
  ResolveBest(draft.job.training);
  if (draft.sweep) ResolveSweep(draft.job, *draft.sweep);
  AddNotes(draft, notes);
}

}  // namespace tutti::spec
