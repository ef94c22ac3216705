// Learning-rate curves and step counts, as Transformers' get_scheduler and Trainer compute them.
// Values; any thread.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "common/base/result.h"

namespace tutti::train {

enum class ScheduleType {
  kLinear,
  kCosine,
  kCosineWithRestarts,
  kPolynomial,
  kConstant,
  kConstantWithWarmup,
  kInverseSqrt,
  kCosineWithMinLr,
  kCosineWarmupWithMinLr,
  kWarmupStableDecay,
};

// Names of lr_scheduler_type.
Result<ScheduleType> ParseScheduleType(std::string_view name);
std::vector<std::string_view> ScheduleTypeNames();

enum class RampShape { kLinear, kCosine, kOneMinusSqrt };  // of warmup_stable_decay

// Names and defaults of lr_scheduler_kwargs; absent = Transformers' default for the type.
struct ScheduleOptions {
  ScheduleType type = ScheduleType::kLinear;
  double learning_rate = 5e-5;
  std::int64_t warmup_steps = 0;
  std::int64_t total_steps = 0;
  std::optional<double> num_cycles{};
  std::optional<double> lr_end{};     // polynomial
  std::optional<double> power{};      // polynomial
  std::optional<double> timescale{};  // inverse_sqrt
  std::optional<double> min_lr{};
  std::optional<double> min_lr_rate{};
  std::optional<double> warmup_lr_rate{};
  std::optional<std::int64_t> num_decay_steps{};   // warmup_stable_decay
  std::optional<std::int64_t> num_stable_steps{};  // warmup_stable_decay
  std::optional<double> min_lr_ratio{};            // warmup_stable_decay
  RampShape warmup_shape = RampShape::kLinear;
  RampShape decay_shape = RampShape::kCosine;
};

// Sets the fields that the JSON object `kwargs` names ("" or null: none). kInvalid for a name that
// the type does not take or a value of the wrong kind.
Status ReadScheduleKwargs(std::string_view kwargs, ScheduleOptions& options);

class Schedule {
 public:
  // kInvalid when the options contradict each other (min_lr and min_lr_rate, lr_end ≥ the rate, …).
  static Result<Schedule> Make(const ScheduleOptions& options);

  // The rate used in step `step`, counted from 0.
  double At(std::int64_t step) const;

 private:
  explicit Schedule(const ScheduleOptions& options) : o_(options) {}
  double Factor(double step) const;

  ScheduleOptions o_;
};

// ceil(total · ratio), as TrainingArguments.get_warmup_steps.
std::int64_t WarmupSteps(double ratio, std::int64_t total_steps);

struct StepInput {
  std::int64_t rows = 0;
  std::int64_t batch = 1;         // rows of a micro-batch over all ranks
  std::int64_t accumulation = 1;  // micro-batches a step
  double epochs = 3;
  std::int64_t max_steps = 0;  // > 0 wins over epochs
  bool drop_last = false;
};
struct StepCounts {
  std::int64_t micro_batches_per_epoch = 0;
  std::int64_t steps_per_epoch = 0;
  std::int64_t total_steps = 0;
  std::int64_t epochs = 0;  // begun
};
StepCounts CountSteps(const StepInput& input);

}  // namespace tutti::train
