#include "jobs/spec/schedule_rules.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cmath>

#include "jobs/spec/names.h"
#include "jobs/spec/suggest.h"

namespace tutti::spec {
namespace {

constexpr std::string_view kKwargsPath = "training.lr_scheduler_kwargs";

using Words = std::span<const std::string_view>;

enum class Kind { kNumber, kWhole, kWord };

struct Rule {
  std::string_view name;
  Kind kind = Kind::kNumber;
  Range range{};
  Words words{};  // kWord
};

constexpr std::array<std::string_view, 3> kRamps = {"linear", "cosine", "1-sqrt"};
constexpr std::array<std::string_view, 2> kPlateauModes = {"min", "max"};
constexpr std::array<std::string_view, 2> kThresholdModes = {"rel", "abs"};

constexpr Range kShare = {.min = 0, .max = 1};
constexpr Range kStepCount = {.min = 0, .max = 1e12};

constexpr std::array kRules = {
    Rule{"num_cycles", Kind::kNumber, kNotNegative},
    Rule{"lr_end", Kind::kNumber, kNotNegative},
    Rule{"power", Kind::kNumber, kPositive},
    Rule{"timescale", Kind::kNumber, kPositive},
    Rule{"min_lr", Kind::kNumber, kNotNegative},
    Rule{"min_lr_rate", Kind::kNumber, kShare},
    Rule{"warmup_lr_rate", Kind::kNumber, kShare},
    Rule{"min_lr_ratio", Kind::kNumber, kShare},
    Rule{"num_decay_steps", Kind::kWhole, kStepCount},
    Rule{"num_stable_steps", Kind::kWhole, kStepCount},
    Rule{"warmup_type", Kind::kWord, {}, kRamps},
    Rule{"decay_type", Kind::kWord, {}, kRamps},
    Rule{"mode", Kind::kWord, {}, kPlateauModes},
    Rule{"factor", Kind::kNumber, kShare},
    Rule{"patience", Kind::kWhole, kStepCount},
    Rule{"threshold", Kind::kNumber, kNotNegative},
    Rule{"threshold_mode", Kind::kWord, {}, kThresholdModes},
    Rule{"cooldown", Kind::kWhole, kStepCount},
    Rule{"eps", Kind::kNumber, kNotNegative},
};

using Value = std::variant<double, std::string>;

void CheckValue(const Rule& rule, const Value& value, const std::string& path, const Place& place,
                Problems& problems) {
  const auto* text = std::get_if<std::string>(&value);
  if (rule.kind == Kind::kWord) {
    if (text != nullptr && std::ranges::find(rule.words, *text) != rule.words.end()) return;
    problems.Invalid(fmt::format("{} must be one of {}", path, fmt::join(rule.words, ", ")), place,
                     text == nullptr ? std::string() : Suggestion(*text, rule.words));
    return;
  }
  if (text != nullptr) {
    problems.Invalid(fmt::format("{} must be a number, not text {}", path, Quoted(*text)), place);
    return;
  }
  const double number = std::get<double>(value);
  if (rule.kind == Kind::kWhole && std::trunc(number) != number) {
    problems.Invalid(fmt::format("{} must be a whole number, not {}", path, number), place);
  } else if (!rule.range.Contains(number)) {
    problems.Invalid(fmt::format("{} must be {}, not {}", path, rule.range.ToString(), number),
                     place);
  }
}

void CheckTogether(const Draft& draft, Problems& problems) {
  const TrainingSpec& training = draft.job.training;
  const auto& kwargs = training.lr_scheduler_kwargs;
  const SchedulerType type = training.lr_scheduler_type;
  const std::string_view name = ToString(type);
  const Place place =
      draft.Where(kwargs.empty() ? std::string_view("training.lr_scheduler_type") : kKwargsPath);
  const bool needs_minimum =
      type == SchedulerType::kCosineWithMinLr || type == SchedulerType::kCosineWarmupWithMinLr;
  if (needs_minimum && kwargs.contains("min_lr") == kwargs.contains("min_lr_rate")) {
    problems.Invalid(fmt::format("{} needs one of min_lr and min_lr_rate", name), place,
                     "write lr_scheduler_kwargs: {min_lr_rate: 0.1}");
  }
  if (type == SchedulerType::kWarmupStableDecay && !kwargs.contains("num_decay_steps")) {
    problems.Invalid(fmt::format("{} needs num_decay_steps", name), place,
                     "write lr_scheduler_kwargs: {num_decay_steps: 100}");
  }
  if (type == SchedulerType::kPolynomial && draft.AreSound({"training.learning_rate"})) {
    const auto found = kwargs.find("lr_end");
    const auto* given = found == kwargs.end() ? nullptr : std::get_if<double>(&found->second);
    const double end = given == nullptr ? 1e-7 : *given;
    if (!(training.learning_rate > end)) {
      problems.Invalid(
          fmt::format(
              "polynomial falls to lr_end {}, which must be below training.learning_rate {}", end,
              training.learning_rate),
          place);
    }
  }
}

}  // namespace

void CheckScheduleKwargs(const Draft& draft, Problems& problems) {
  const TrainingSpec& training = draft.job.training;
  const SchedulerType type = training.lr_scheduler_type;
  const auto names = SchedulerKwargs(type);
  for (const auto& [key, value] : training.lr_scheduler_kwargs) {
    const std::string path = fmt::format("{}.{}", kKwargsPath, key.substr(0, 100));
    if (std::ranges::find(names, key) == names.end()) {
      if (problems.enough()) return;
      problems.Invalid(fmt::format("schedule {} does not take {}", ToString(type), Quoted(key)),
                       draft.Where(path),
                       names.empty() ? std::string("it takes none") : Suggestion(key, names));
      continue;
    }
    const auto* rule = std::ranges::find(kRules, key, &Rule::name);
    if (rule != kRules.end()) CheckValue(*rule, value, path, draft.Where(path), problems);
  }
  CheckTogether(draft, problems);
}

}  // namespace tutti::spec
