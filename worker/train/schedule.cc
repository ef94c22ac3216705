#include "worker/train/schedule.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <nlohmann/json.hpp>
#include <numbers>

namespace tutti::train {
namespace {

using Json = nlohmann::json;
using std::numbers::pi;

struct TypeRow {
  std::string_view name;
  ScheduleType type;
  std::array<std::string_view, 6> kwargs;
};
constexpr std::array kTypes = {
    TypeRow{"linear", ScheduleType::kLinear, {}},
    TypeRow{"cosine", ScheduleType::kCosine, {"num_cycles"}},
    TypeRow{"cosine_with_restarts", ScheduleType::kCosineWithRestarts, {"num_cycles"}},
    TypeRow{"polynomial", ScheduleType::kPolynomial, {"lr_end", "power"}},
    TypeRow{"constant", ScheduleType::kConstant, {}},
    TypeRow{"constant_with_warmup", ScheduleType::kConstantWithWarmup, {}},
    TypeRow{"inverse_sqrt", ScheduleType::kInverseSqrt, {"timescale"}},
    TypeRow{"cosine_with_min_lr",
            ScheduleType::kCosineWithMinLr,
            {"num_cycles", "min_lr", "min_lr_rate"}},
    TypeRow{"cosine_warmup_with_min_lr",
            ScheduleType::kCosineWarmupWithMinLr,
            {"num_cycles", "min_lr", "min_lr_rate", "warmup_lr_rate"}},
    TypeRow{"warmup_stable_decay",
            ScheduleType::kWarmupStableDecay,
            {"num_decay_steps", "num_stable_steps", "warmup_type", "decay_type", "min_lr_ratio",
             "num_cycles"}},
};

const TypeRow& RowOf(ScheduleType type) { return *std::ranges::find(kTypes, type, &TypeRow::type); }

std::string KwargsOf(const TypeRow& row) {
  std::string names;
  for (const std::string_view name : row.kwargs) {
    if (!name.empty()) names += (names.empty() ? "" : ", ") + std::string(name);
  }
  return names.empty() ? "it takes none" : "it takes " + names;
}

std::optional<RampShape> ParseShape(const Json& value) {
  if (value == "linear") return RampShape::kLinear;
  if (value == "cosine") return RampShape::kCosine;
  if (value == "1-sqrt") return RampShape::kOneMinusSqrt;
  return std::nullopt;
}

std::optional<double>* NumberField(std::string_view name, ScheduleOptions& o) {
  if (name == "num_cycles") return &o.num_cycles;
  if (name == "lr_end") return &o.lr_end;
  if (name == "power") return &o.power;
  if (name == "timescale") return &o.timescale;
  if (name == "min_lr") return &o.min_lr;
  if (name == "min_lr_rate") return &o.min_lr_rate;
  if (name == "warmup_lr_rate") return &o.warmup_lr_rate;
  if (name == "min_lr_ratio") return &o.min_lr_ratio;
  return nullptr;
}

Status ReadKwarg(const std::string& name, const Json& value, ScheduleOptions& o) {
  const std::string where = "lr_scheduler_kwargs." + name;
  if (value.is_null()) return {};
  if (std::optional<double>* number = NumberField(name, o)) {
    if (!value.is_number()) return Fail(ErrorCode::kInvalid, "is not a number", where);
    *number = value.get<double>();
    if (!std::isfinite(**number)) return Fail(ErrorCode::kInvalid, "is not finite", where);
    return {};
  }
  if (name == "num_decay_steps" || name == "num_stable_steps") {
    if (!value.is_number_integer()) return Fail(ErrorCode::kInvalid, "is not an integer", where);
    (name == "num_decay_steps" ? o.num_decay_steps : o.num_stable_steps) =
        value.get<std::int64_t>();
    return {};
  }
  const std::optional<RampShape> shape = ParseShape(value);
  if (!shape) {
    return Fail(ErrorCode::kInvalid, value.dump() + " is not linear, cosine or 1-sqrt", where);
  }
  (name == "warmup_type" ? o.warmup_shape : o.decay_shape) = *shape;
  return {};
}

double Ramp(RampShape shape, double progress) {
  switch (shape) {
    case RampShape::kLinear:
      return progress;
    case RampShape::kCosine:
      return 0.5 * (1 - std::cos(pi * progress));
    case RampShape::kOneMinusSqrt:
      return 1 - std::sqrt(1 - progress);
  }
  return progress;
}

double Fall(RampShape shape, double progress, double cycles) {
  switch (shape) {
    case RampShape::kLinear:
      return 1 - progress;
    case RampShape::kCosine:
      return 0.5 * (1 + std::cos(pi * cycles * 2 * progress));
    case RampShape::kOneMinusSqrt:
      return 1 - std::sqrt(progress);
  }
  return 1 - progress;
}

}  // namespace

Result<ScheduleType> ParseScheduleType(std::string_view name) {
  std::string names;
  for (const TypeRow& row : kTypes) {
    if (row.name == name) return row.type;
    names += (names.empty() ? "" : ", ") + std::string(row.name);
  }
  return Fail(ErrorCode::kUnsupported,
              "lr_scheduler_type '" + std::string(name) + "' is not supported", {},
              "supported: " + names);
}

std::vector<std::string_view> ScheduleTypeNames() {
  std::vector<std::string_view> names;
  for (const TypeRow& row : kTypes) names.push_back(row.name);
  return names;
}

Status ReadScheduleKwargs(std::string_view kwargs, ScheduleOptions& options) {
  if (kwargs.empty()) return {};
  const Json json = Json::parse(kwargs, nullptr, /*allow_exceptions=*/false);
  if (json.is_null()) return {};
  if (!json.is_object()) {
    return Fail(ErrorCode::kInvalid, "is not an object", "lr_scheduler_kwargs");
  }
  const TypeRow& row = RowOf(options.type);
  for (const auto& [name, value] : json.items()) {
    if (std::ranges::find(row.kwargs, name) == row.kwargs.end()) {
      return Fail(ErrorCode::kInvalid, std::string(row.name) + " takes no '" + name + "'",
                  "lr_scheduler_kwargs", KwargsOf(row));
    }
    TUTTI_RETURN_IF_ERROR(ReadKwarg(name, value, options));
  }
  return {};
}

Result<Schedule> Schedule::Make(const ScheduleOptions& o) {
  const std::string where = "lr_scheduler_kwargs";
  if (o.warmup_steps < 0 || o.total_steps < 0) {
    return Fail(ErrorCode::kInvalid, "steps are negative", where);
  }
  const bool cosine_minimum =
      o.type == ScheduleType::kCosineWithMinLr || o.type == ScheduleType::kCosineWarmupWithMinLr;
  if (cosine_minimum && o.min_lr.has_value() == o.min_lr_rate.has_value()) {
    return Fail(ErrorCode::kInvalid, "exactly one of min_lr and min_lr_rate must be set", where);
  }
  if (o.type == ScheduleType::kPolynomial && !(o.learning_rate > o.lr_end.value_or(1e-7))) {
    return Fail(ErrorCode::kInvalid, "lr_end must be smaller than the learning rate", where);
  }
  if (o.type == ScheduleType::kWarmupStableDecay && !o.num_decay_steps) {
    return Fail(ErrorCode::kInvalid, "warmup_stable_decay needs num_decay_steps", where);
  }
  if (o.timescale && !(*o.timescale > 0)) {
    return Fail(ErrorCode::kInvalid, "timescale must be above 0", where);
  }
  return Schedule(o);
}

double Schedule::At(std::int64_t step) const {
  return o_.learning_rate * Factor(static_cast<double>(step));
}

double Schedule::Factor(double step) const {
  const auto warmup = static_cast<double>(o_.warmup_steps);
  const auto total = static_cast<double>(o_.total_steps);
  const bool warming = step < warmup;
  const double risen = step / std::max(1.0, warmup);
  const double progress = (step - warmup) / std::max(1.0, total - warmup);
  const double floor = o_.min_lr ? *o_.min_lr / o_.learning_rate : o_.min_lr_rate.value_or(0);
  const double cycles = o_.num_cycles.value_or(0.5);
  switch (o_.type) {
    case ScheduleType::kLinear:
      return warming ? risen : std::max(0.0, (total - step) / std::max(1.0, total - warmup));
    case ScheduleType::kCosine:
      return warming ? risen : std::max(0.0, 0.5 * (1 + std::cos(pi * cycles * 2 * progress)));
    case ScheduleType::kCosineWithRestarts: {
      if (warming) return risen;
      if (progress >= 1) return 0;
      const double part = std::fmod(o_.num_cycles.value_or(1) * progress, 1.0);
      return std::max(0.0, 0.5 * (1 + std::cos(pi * part)));
    }
    case ScheduleType::kPolynomial: {
      if (warming) return risen;
      const double end = o_.lr_end.value_or(1e-7);
      // With warm-up over every step the decay has no length; its end is what is left.
      if (step > total || total <= warmup) return end / o_.learning_rate;
      const double left = 1 - (step - warmup) / (total - warmup);
      return ((o_.learning_rate - end) * std::pow(left, o_.power.value_or(1)) + end) /
             o_.learning_rate;
    }
    case ScheduleType::kConstant:
      return 1;
    case ScheduleType::kConstantWithWarmup:
      return warming ? risen : 1;
    case ScheduleType::kInverseSqrt: {
      if (warming) return risen;
      const double scale = o_.timescale.value_or(o_.warmup_steps > 0 ? warmup : 10'000);
      return 1 / std::sqrt((step + scale - warmup) / scale);
    }
    case ScheduleType::kCosineWithMinLr: {
      if (warming) return risen;
      const double factor = 0.5 * (1 + std::cos(pi * cycles * 2 * progress));
      return std::max(0.0, factor * (1 - floor) + floor);
    }
    case ScheduleType::kCosineWarmupWithMinLr: {
      if (warming && o_.warmup_lr_rate) {
        return *o_.warmup_lr_rate + (1 - *o_.warmup_lr_rate) * step / std::max(1.0, warmup - 1);
      }
      if (warming) return (step + 1) / std::max(1.0, warmup);
      const double ahead = (step - warmup + 1) / std::max(1.0, total - warmup);
      const double factor = 0.5 * (1 + std::cos(pi * cycles * 2 * ahead));
      return std::max(0.0, factor * (1 - floor) + floor);
    }
    case ScheduleType::kWarmupStableDecay: {
      const double least = o_.min_lr_ratio.value_or(0);
      if (warming) return std::max(0.0, Ramp(o_.warmup_shape, risen) * (1 - least) + least);
      const auto decay = static_cast<double>(o_.num_decay_steps.value_or(0));
      const double stable =
          o_.num_stable_steps ? static_cast<double>(*o_.num_stable_steps) : total - warmup - decay;
      if (step < warmup + stable) return 1;
      if (step >= warmup + stable + decay) return least;
      const double fallen = (step - warmup - stable) / std::max(1.0, decay);
      return std::max(0.0, Fall(o_.decay_shape, fallen, cycles) * (1 - least) + least);
    }
  }
  return 1;
}

std::int64_t WarmupSteps(double ratio, std::int64_t total_steps) {
  return static_cast<std::int64_t>(std::ceil(static_cast<double>(total_steps) * ratio));
}

StepCounts CountSteps(const StepInput& in) {
  StepCounts counts;
  counts.micro_batches_per_epoch =
      in.drop_last ? in.rows / in.batch : (in.rows + in.batch - 1) / in.batch;
  counts.steps_per_epoch = std::max<std::int64_t>(
      1, (counts.micro_batches_per_epoch + in.accumulation - 1) / in.accumulation);
  if (in.max_steps > 0) {
    counts.total_steps = in.max_steps;
    counts.epochs = (in.max_steps + counts.steps_per_epoch - 1) / counts.steps_per_epoch;
  } else {
    counts.total_steps = static_cast<std::int64_t>(
        std::ceil(in.epochs * static_cast<double>(counts.steps_per_epoch)));
    counts.epochs = static_cast<std::int64_t>(std::ceil(in.epochs));
  }
  return counts;
}

}  // namespace tutti::train
