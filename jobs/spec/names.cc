#include "jobs/spec/names.h"

#include <array>

#include "jobs/spec/name_table.h"

namespace tutti::spec {
namespace {

constexpr NameTable<Task, 4> kTasks = {{{Task::kTextClassification, "text-classification"},
                                        {Task::kTextGeneration, "text-generation"},
                                        {Task::kTranslation, "translation"},
                                        {Task::kSummarization, "summarization"}}};
static_assert(IsInOrder(kTasks));
constexpr auto kTaskNames = NamesOf(kTasks);

constexpr NameTable<DataFormat, 9> kFormats = {
    {{DataFormat::kAuto, "auto"},
     {DataFormat::kTextLabel, "text-label"},
     {DataFormat::kText, "text"},
     {DataFormat::kPromptCompletion, "prompt-completion"},
     {DataFormat::kChat, "chat"},
     {DataFormat::kAlpaca, "alpaca"},
     {DataFormat::kShareGpt, "sharegpt"},
     {DataFormat::kPairs, "pairs"},
     {DataFormat::kPreference, "preference"}}};
static_assert(IsInOrder(kFormats));
constexpr auto kFormatNames = NamesOf(kFormats);

constexpr NameTable<SchedulerType, 11> kSchedulers = {
    {{SchedulerType::kLinear, "linear"},
     {SchedulerType::kCosine, "cosine"},
     {SchedulerType::kCosineWithRestarts, "cosine_with_restarts"},
     {SchedulerType::kPolynomial, "polynomial"},
     {SchedulerType::kConstant, "constant"},
     {SchedulerType::kConstantWithWarmup, "constant_with_warmup"},
     {SchedulerType::kInverseSqrt, "inverse_sqrt"},
     {SchedulerType::kReduceLrOnPlateau, "reduce_lr_on_plateau"},
     {SchedulerType::kCosineWithMinLr, "cosine_with_min_lr"},
     {SchedulerType::kCosineWarmupWithMinLr, "cosine_warmup_with_min_lr"},
     {SchedulerType::kWarmupStableDecay, "warmup_stable_decay"}}};
static_assert(IsInOrder(kSchedulers));
constexpr auto kSchedulerNames = NamesOf(kSchedulers);

constexpr NameTable<RetryOn, 8> kRetryOn = {{{RetryOn::kWorkerLost, "worker_lost"},
                                             {RetryOn::kCrash, "crash"},
                                             {RetryOn::kHang, "hang"},
                                             {RetryOn::kOom, "oom"},
                                             {RetryOn::kTimeout, "timeout"},
                                             {RetryOn::kDiskFull, "disk_full"},
                                             {RetryOn::kNumeric, "numeric"},
                                             {RetryOn::kInternal, "internal"}}};
static_assert(IsInOrder(kRetryOn));
constexpr auto kRetryOnNames = NamesOf(kRetryOn);

constexpr std::array<std::string_view, 3> kClassification = {"accuracy", "macro_f1", "loss"};
constexpr std::array<std::string_view, 3> kGeneration = {"perplexity", "token_accuracy", "loss"};
constexpr std::array<std::string_view, 5> kPreference = {
    "rewards/accuracies", "rewards/margins", "rewards/chosen", "rewards/rejected", "loss"};
constexpr std::array<std::string_view, 3> kTranslation = {"bleu", "chrf", "loss"};
constexpr std::array<std::string_view, 4> kSummarization = {"rouge1", "rouge2", "rougeL", "loss"};

constexpr std::array<std::string_view, 2> kClassificationRoles = {"text", "label"};
constexpr std::array<std::string_view, 12> kGenerationRoles = {
    "text",  "prompt", "completion",    "messages", "tools",  "instruction",
    "input", "output", "conversations", "system",   "chosen", "rejected"};
constexpr std::array<std::string_view, 2> kTranslationRoles = {"source", "target"};
constexpr std::array<std::string_view, 2> kSummarizationRoles = {"document", "summary"};

constexpr std::array<std::string_view, 2> kClassificationFormats = {"auto", "text-label"};
constexpr std::array<std::string_view, 7> kGenerationFormats = {
    "auto", "text", "prompt-completion", "chat", "alpaca", "sharegpt", "preference"};
constexpr std::array<std::string_view, 2> kPairFormats = {"auto", "pairs"};

constexpr std::array<std::string_view, 1> kCosineKwargs = {"num_cycles"};
constexpr std::array<std::string_view, 2> kPolynomialKwargs = {"lr_end", "power"};
constexpr std::array<std::string_view, 1> kInverseSqrtKwargs = {"timescale"};
constexpr std::array<std::string_view, 8> kPlateauKwargs = {
    "mode", "factor", "patience", "threshold", "threshold_mode", "cooldown", "min_lr", "eps"};
constexpr std::array<std::string_view, 3> kMinLrKwargs = {"min_lr", "min_lr_rate", "num_cycles"};
constexpr std::array<std::string_view, 4> kWarmupMinLrKwargs = {"min_lr", "min_lr_rate",
                                                                "num_cycles", "warmup_lr_rate"};
constexpr std::array<std::string_view, 6> kStableDecayKwargs = {
    "num_decay_steps", "num_stable_steps", "warmup_type",
    "decay_type",      "min_lr_ratio",     "num_cycles"};

constexpr std::array<std::string_view, 5> kChatTemplates = {"chatml", "gemma", "llama-3", "mistral",
                                                            "zephyr"};
constexpr std::array<std::string_view, 5> kDpoLosses = {"sigmoid", "hinge", "ipo", "robust",
                                                        "sigmoid_smoothed"};

}  // namespace

std::string_view ToString(Task task) { return NameIn(kTasks, task); }
std::string_view ToString(DataFormat format) { return NameIn(kFormats, format); }
std::string_view ToString(SchedulerType type) { return NameIn(kSchedulers, type); }
std::string_view ToString(RetryOn reason) { return NameIn(kRetryOn, reason); }
std::optional<Task> ParseTask(std::string_view text) { return ParseIn(kTasks, text); }
std::optional<DataFormat> ParseDataFormat(std::string_view text) { return ParseIn(kFormats, text); }
std::optional<SchedulerType> ParseSchedulerType(std::string_view text) {
  return ParseIn(kSchedulers, text);
}
std::optional<RetryOn> ParseRetryOn(std::string_view text) { return ParseIn(kRetryOn, text); }
std::span<const std::string_view> TaskNames() { return kTaskNames; }
std::span<const std::string_view> DataFormatNames() { return kFormatNames; }
std::span<const std::string_view> SchedulerTypeNames() { return kSchedulerNames; }
std::span<const std::string_view> RetryOnNames() { return kRetryOnNames; }

std::span<const std::string_view> MetricsOf(Task task, const Method& method) {
  if (std::holds_alternative<DpoSpec>(method)) return kPreference;
  switch (task) {
    case Task::kTextClassification:
      return kClassification;
    case Task::kTextGeneration:
      return kGeneration;
    case Task::kTranslation:
      return kTranslation;
    case Task::kSummarization:
      return kSummarization;
  }
  return {};
}

bool GreaterIsBetter(std::string_view metric) {
  return metric != "loss" && metric != "perplexity" && metric != "rewards/rejected";
}

std::span<const std::string_view> ColumnRoles(Task task) {
  switch (task) {
    case Task::kTextClassification:
      return kClassificationRoles;
    case Task::kTextGeneration:
      return kGenerationRoles;
    case Task::kTranslation:
      return kTranslationRoles;
    case Task::kSummarization:
      return kSummarizationRoles;
  }
  return {};
}

std::span<const std::string_view> FormatNamesOf(Task task) {
  switch (task) {
    case Task::kTextClassification:
      return kClassificationFormats;
    case Task::kTextGeneration:
      return kGenerationFormats;
    case Task::kTranslation:
    case Task::kSummarization:
      return kPairFormats;
  }
  return {};
}

std::span<const std::string_view> SchedulerKwargs(SchedulerType type) {
  switch (type) {
    case SchedulerType::kLinear:
    case SchedulerType::kConstant:
    case SchedulerType::kConstantWithWarmup:
      return {};
    case SchedulerType::kCosine:
    case SchedulerType::kCosineWithRestarts:
      return kCosineKwargs;
    case SchedulerType::kPolynomial:
      return kPolynomialKwargs;
    case SchedulerType::kInverseSqrt:
      return kInverseSqrtKwargs;
    case SchedulerType::kReduceLrOnPlateau:
      return kPlateauKwargs;
    case SchedulerType::kCosineWithMinLr:
      return kMinLrKwargs;
    case SchedulerType::kCosineWarmupWithMinLr:
      return kWarmupMinLrKwargs;
    case SchedulerType::kWarmupStableDecay:
      return kStableDecayKwargs;
  }
  return {};
}

std::span<const std::string_view> DpoLossNames() { return kDpoLosses; }
std::span<const std::string_view> ChatTemplateNames() { return kChatTemplates; }

}  // namespace tutti::spec
