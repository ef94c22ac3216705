// The names of the spec's enums and the metrics of its tasks: one table and one parser each.
// Free functions over constants: safe from any thread.
#pragma once

#include <optional>
#include <span>
#include <string_view>

#include "jobs/spec/spec.h"

namespace tutti::spec {

std::string_view ToString(Task task);           // "text-classification"
std::string_view ToString(DataFormat format);   // "prompt-completion"
std::string_view ToString(SchedulerType type);  // "constant_with_warmup"
std::string_view ToString(RetryOn reason);      // "worker_lost"
std::optional<Task> ParseTask(std::string_view text);
std::optional<DataFormat> ParseDataFormat(std::string_view text);
std::optional<SchedulerType> ParseSchedulerType(std::string_view text);
std::optional<RetryOn> ParseRetryOn(std::string_view text);
std::span<const std::string_view> TaskNames();
std::span<const std::string_view> DataFormatNames();
std::span<const std::string_view> SchedulerTypeNames();
std::span<const std::string_view> RetryOnNames();

// The keys of a task's evaluation, `loss` last: {"accuracy", "macro_f1", "loss"}; those of method
// dpo are TRL's.
std::span<const std::string_view> MetricsOf(Task task, const Method& method);
// False for loss, perplexity and rewards/rejected.
bool GreaterIsBetter(std::string_view metric);

// What `data.columns` may map to a column of the file: "text", "label", "prompt", …
std::span<const std::string_view> ColumnRoles(Task task);
// What `data.format` may be, `auto` first.
std::span<const std::string_view> FormatNamesOf(Task task);
// What `training.lr_scheduler_kwargs` may hold for this schedule.
std::span<const std::string_view> SchedulerKwargs(SchedulerType type);
// DPO's loss types, TRL's names.
std::span<const std::string_view> DpoLossNames();
std::span<const std::string_view> ChatTemplateNames();  // of those that are built in

}  // namespace tutti::spec
