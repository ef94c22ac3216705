#include <string>

#include "worker/parity/folders.h"
#include "worker/train/schedule.h"

namespace tutti::parity {
namespace {

constexpr Tolerance kScheduleRates{.absolute = 1e-12};

Result<train::Schedule> MakeSchedule(const Json& row) {
  train::ScheduleOptions options;
  TUTTI_ASSIGN_OR_RETURN(options.type,
                         train::ParseScheduleType(row.at("lr_scheduler_type").get<std::string>()));
  options.learning_rate = row.at("learning_rate").get<double>();
  options.warmup_steps = row.at("warmup_steps").get<std::int64_t>();
  options.total_steps = row.at("total_steps").get<std::int64_t>();
  TUTTI_RETURN_IF_ERROR(train::ReadScheduleKwargs(row.at("lr_scheduler_kwargs").dump(), options));
  return train::Schedule::Make(options);
}

void RunCurve(const Json& row, const std::string& name, Report& report) {
  const Result<train::Schedule> schedule = MakeSchedule(row);
  if (row.contains("error")) {
    report.Case(!schedule.has_value(), name, "refused, as the reference");
    return;
  }
  if (!schedule.has_value()) return report.Refused(name, schedule.error());
  const auto want = row.at("lr").get<std::vector<double>>();
  std::vector<double> got;
  for (std::size_t step = 0; step < want.size(); ++step) {
    got.push_back(schedule->At(static_cast<std::int64_t>(step)));
  }
  report.Compare(name, got, want, kScheduleRates);
}

void RunSteps(const Json& row, const std::string& name, Report& report) {
  const auto number = [&row](const char* key) {
    return row.at(key).is_null() ? 0 : row.at(key).get<std::int64_t>();
  };
  const train::StepCounts counts =
      train::CountSteps({.rows = number("rows"),
                         .batch = number("per_device_train_batch_size"),
                         .accumulation = number("gradient_accumulation_steps"),
                         .epochs = row.at("num_train_epochs").get<double>(),
                         .max_steps = number("max_steps"),
                         .drop_last = row.at("dataloader_drop_last").get<bool>()});
  const bool ok = counts.micro_batches_per_epoch == number("micro_batches_per_epoch") &&
                  counts.steps_per_epoch == number("steps_per_epoch") &&
                  counts.total_steps == number("total_steps") &&
                  counts.epochs == number("epochs_run");
  report.Case(ok, name,
              "total_steps=" + std::to_string(counts.total_steps) +
                  " expected=" + std::to_string(number("total_steps")));
}

}  // namespace

Status RunSchedules(const Json& cases, Report& report) {
  int index = 0;
  for (const Json& row : cases.at("schedules")) {
    RunCurve(row, row.at("lr_scheduler_type").get<std::string>() + ":" + std::to_string(index++),
             report);
  }
  index = 0;
  for (const Json& row : cases.at("warmup_of_ratio")) {
    const std::int64_t got =
        train::WarmupSteps(row.at(0).get<double>(), row.at(1).get<std::int64_t>());
    report.Case(got == row.at(2).get<std::int64_t>(), "warmup:" + std::to_string(index++),
                "steps=" + std::to_string(got) + " expected=" + row.at(2).dump());
  }
  index = 0;
  for (const Json& row : cases.at("steps")) {
    RunSteps(row, "steps:" + std::to_string(index++), report);
  }
  return {};
}

}  // namespace tutti::parity
