#include "jobs/spec/fields.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <unordered_map>
#include <utility>

#include "jobs/spec/names.h"

namespace tutti::spec {
namespace {

constexpr Range kAny = {};
constexpr Range kFraction = {.min = 0, .max = 1, .above_min = true, .below_max = true};
constexpr Range kRatio = {.min = 0, .max = 1, .below_max = true};
// Counts end where the products of three of them still fit 63 bits.
constexpr Range kCount = {.min = 1, .max = 1 << 20};
constexpr Range kRanks = {.min = 1, .max = 4096};
constexpr Range kSteps = {.min = 1, .max = 1e12};

#define TUTTI_REF(type, member) (+[](Draft& d) -> type& { return d.member; })
#define TUTTI_CHOICE(names, member, parse)                          \
  (Choice{names, [](const Draft& d) { return ToString(d.member); }, \
          [](Draft& d, std::string_view text) { d.member = *parse(text); }})

using Count = std::int64_t;
using MaybeText = std::optional<std::string>;
using MaybeCount = std::optional<std::int64_t>;

void AddTop(std::vector<Field>& rows) {
  rows.push_back({"name", TUTTI_REF(std::string, job.name), Use::kRequired, kAny,
                  "1-63 letters, digits, '.', '_', '-'; starts with a letter or digit"});
  rows.push_back({"task", TUTTI_CHOICE(TaskNames(), job.task, ParseTask), Use::kRequired, kAny,
                  "what the model learns to do"});
  rows.push_back(
      {"model", TUTTI_REF(std::string, job.model), Use::kRequired, kAny,
       "./ ../ / = a model's or an adapter's folder, relative to the spec; else an existing "
       "directory, a model of this cluster, ft:… of an earlier job, or a hub id "
       "org/name[@revision]"});
}

void AddData(std::vector<Field>& rows) {
  rows.push_back({"data", Custom{Shape::kSection}, Use::kRequired, kAny, "what it learns from"});
  rows.push_back(
      {"data.train", TUTTI_REF(std::string, job.data.train), Use::kRequired, kAny,
       "JSONL, CSV or TSV (.gz too), relative to the spec; file:///… is read in place on "
       "the workers"});
  rows.push_back({"data.eval", Custom{Shape::kEval}, Use::kOptional, kFraction,
                  "a file like train, or the fraction of train's rows to keep aside"});
  rows.push_back({"data.format", TUTTI_CHOICE(DataFormatNames(), job.data.format, ParseDataFormat),
                  Use::kOptional, kAny, "how a row is read; auto looks at the first rows"});
  rows.push_back({"data.columns", TUTTI_REF(TextMap, job.data.columns), Use::kOptional, kAny,
                  "role -> column name, where they differ: {text: body, label: section}"});
  rows.push_back({"data.max_length", TUTTI_REF(MaybeCount, job.data.max_length), Use::kDerived,
                  kCount,
                  "tokens kept of a row; default: the smaller of the model's positions and "
                  "512"});
  rows.push_back({"data.source_prefix", TUTTI_REF(std::string, job.data.source_prefix),
                  Use::kOptional, kAny, "goes before every source text"});
  rows.push_back({"data.train_on_inputs", TUTTI_REF(bool, job.data.train_on_inputs), Use::kOptional,
                  kAny, "true: the prompt is trained too"});
  rows.push_back({"data.packing", TUTTI_REF(bool, job.data.packing), Use::kOptional, kAny,
                  "causal language models: documents share a row, attention stays inside each"});
  rows.push_back({"data.chat_template", TUTTI_REF(MaybeText, job.data.chat_template), Use::kDerived,
                  kAny, "chatml, gemma, llama-3, mistral or zephyr; default: the model's own"});
}

template <LoraSpec& (*kLora)(Draft&)>
void AddLora(std::vector<Field>& rows, const std::string& path) {
  rows.push_back({path, Custom{Shape::kSection}, Use::kOptional, kAny,
                  "low-rank adapters, names and defaults of PEFT's LoraConfig"});
  rows.push_back({path + ".r",
                  +[](Draft& d) -> Count& { return kLora(d).r; },
                  Use::kOptional,
                  {.min = 1, .max = 65536},
                  "rank of the adapters"});
  rows.push_back({path + ".lora_alpha", +[](Draft& d) -> double& { return kLora(d).lora_alpha; },
                  Use::kOptional, kPositive, "scaling is lora_alpha / r"});
  rows.push_back({path + ".lora_dropout",
                  +[](Draft& d) -> double& { return kLora(d).lora_dropout; }, Use::kOptional,
                  kRatio, "dropout before the adapters"});
  rows.push_back({path + ".use_rslora", +[](Draft& d) -> bool& { return kLora(d).use_rslora; },
                  Use::kOptional, kAny, "scaling is lora_alpha / sqrt(r)"});
  rows.push_back({path + ".target_modules", Custom{Shape::kTargetModules, kLora}, Use::kDerived,
                  kAny, "all-linear, or a list of module names; default: the model family's"});
  rows.push_back({path + ".modules_to_save",
                  +[](Draft& d) -> TextList& { return kLora(d).modules_to_save; }, Use::kOptional,
                  kAny, "modules trained fully beside the adapters"});
}

LoraSpec& LoraOfMethod(Draft& d) { return std::get<LoraSpec>(d.job.method); }
LoraSpec& LoraOfDpo(Draft& d) { return *std::get<DpoSpec>(d.job.method).lora; }

void AddMethod(std::vector<Field>& rows) {
  rows.push_back(
      {"method", Custom{Shape::kMethod}, Use::kOptional, kAny, "full, or lora: {…}, or dpo: {…}"});
  AddLora<LoraOfMethod>(rows, "method.lora");
  rows.push_back({"method.dpo", Custom{Shape::kSection}, Use::kOptional, kAny,
                  "direct preference optimisation, names and defaults of TRL's DPOConfig"});
  rows.push_back({"method.dpo.beta",
                  +[](Draft& d) -> double& { return std::get<DpoSpec>(d.job.method).beta; },
                  Use::kOptional, kPositive, "how close to the reference the policy stays"});
  rows.push_back({"method.dpo.loss_type",
                  Choice{DpoLossNames(),
                         [](const Draft& d) -> std::string_view {
                           return std::get<DpoSpec>(d.job.method).loss_type;
                         },
                         [](Draft& d, std::string_view text) {
                           std::get<DpoSpec>(d.job.method).loss_type = text;
                         }},
                  Use::kOptional, kAny, "the loss, TRL's names"});
  rows.push_back(
      {"method.dpo.label_smoothing",
       +[](Draft& d) -> double& { return std::get<DpoSpec>(d.job.method).label_smoothing; },
       Use::kOptional,
       {.min = 0, .max = 0.5, .below_max = true},
       "share of preferences taken for flipped"});
  AddLora<LoraOfDpo>(rows, "method.dpo.lora");
}

void AddTrainingLength(std::vector<Field>& rows) {
  rows.push_back({"training", Custom{Shape::kSection}, Use::kOptional, kAny,
                  "names and defaults of Transformers' TrainingArguments"});
  rows.push_back({"training.num_train_epochs",
                  TUTTI_REF(double, job.training.num_train_epochs),
                  Use::kOptional,
                  {.min = 0, .max = 1e6, .above_min = true},
                  "times over the training rows"});
  rows.push_back({"training.max_steps", TUTTI_REF(MaybeCount, job.training.max_steps),
                  Use::kOptional, kSteps, "updates; wins over num_train_epochs"});
  rows.push_back(
      {"training.global_batch_size",
       TUTTI_REF(Count, job.training.global_batch_size),
       Use::kDerived,
       {.min = 1, .max = 1 << 30},
       "rows an update, whatever the number of ranks: shards × micro_batch_size × a whole "
       "number; default shards × micro_batch_size"});
  rows.push_back({"training.micro_batch_size", TUTTI_REF(Count, job.training.micro_batch_size),
                  Use::kOptional, kCount, "rows computed at once"});
  rows.push_back({"training.shards", TUTTI_REF(Count, job.training.shards), Use::kDerived, kRanks,
                  "fixed shares of the global batch, a power of two; default: the smallest that is "
                  "at least ranks.max"});
  rows.push_back({"training.per_device_train_batch_size",
                  TUTTI_REF(MaybeCount, per_device_train_batch_size), Use::kWritten, kCount,
                  "with gradient_accumulation_steps another way to say global_batch_size"});
  rows.push_back({"training.gradient_accumulation_steps",
                  TUTTI_REF(MaybeCount, gradient_accumulation_steps), Use::kWritten, kCount,
                  "see per_device_train_batch_size"});
}

void AddTrainingRate(std::vector<Field>& rows) {
  rows.push_back({"training.learning_rate", TUTTI_REF(double, job.training.learning_rate),
                  Use::kOptional, kPositive, "the highest rate of the schedule"});
  rows.push_back(
      {"training.lr_scheduler_type",
       TUTTI_CHOICE(SchedulerTypeNames(), job.training.lr_scheduler_type, ParseSchedulerType),
       Use::kOptional, kAny, "how the rate changes with the steps"});
  rows.push_back({"training.lr_scheduler_kwargs", Custom{Shape::kSchedulerKwargs}, Use::kOptional,
                  kAny, "what the schedule takes: {num_cycles: 0.5}"});
  rows.push_back({"training.warmup_ratio", TUTTI_REF(double, job.training.warmup_ratio),
                  Use::kOptional, kRatio, "share of the steps in which the rate rises"});
  rows.push_back({"training.warmup_steps",
                  TUTTI_REF(Count, job.training.warmup_steps),
                  Use::kOptional,
                  {.min = 0, .max = 1e12},
                  "wins over warmup_ratio when above 0"});
  rows.push_back({"training.weight_decay", TUTTI_REF(double, job.training.weight_decay),
                  Use::kOptional, kNotNegative, "AdamW's, not for biases and norms"});
  rows.push_back({"training.adam_beta1", TUTTI_REF(double, job.training.adam_beta1), Use::kOptional,
                  kRatio, "decay of the first moment"});
  rows.push_back({"training.adam_beta2", TUTTI_REF(double, job.training.adam_beta2), Use::kOptional,
                  kRatio, "decay of the second moment"});
  rows.push_back({"training.adam_epsilon", TUTTI_REF(double, job.training.adam_epsilon),
                  Use::kOptional, kPositive, "added to the denominator"});
  rows.push_back({"training.max_grad_norm", TUTTI_REF(double, job.training.max_grad_norm),
                  Use::kOptional, kNotNegative, "gradients are scaled down to it; 0 = never"});
  rows.push_back({"training.label_smoothing_factor",
                  TUTTI_REF(double, job.training.label_smoothing_factor), Use::kOptional, kRatio,
                  "share of the target spread over all labels"});
}

void AddTrainingRest(std::vector<Field>& rows) {
  rows.push_back({"training.bf16", TUTTI_REF(bool, job.training.bf16), Use::kOptional, kAny,
                  "round the factors of every product to bfloat16; weights and sums stay float32, "
                  "an adapter's base lies in bfloat16"});
  rows.push_back({"training.gradient_checkpointing",
                  TUTTI_REF(bool, job.training.gradient_checkpointing), Use::kOptional, kAny,
                  "compute layers anew in the backward pass: less memory, a third more time, the "
                  "same weights"});
  rows.push_back({"training.seed",
                  TUTTI_REF(Count, job.training.seed),
                  Use::kOptional,
                  {.min = 0, .max = 9007199254740991.0},
                  "of order, dropout and new weights"});
  rows.push_back({"training.eval_steps", TUTTI_REF(MaybeCount, job.training.eval_steps),
                  Use::kDerived, kSteps, "updates between evaluations; default: each epoch's end"});
  rows.push_back({"training.save_steps", TUTTI_REF(MaybeCount, job.training.save_steps),
                  Use::kDerived, kSteps, "updates between checkpoints; default: each epoch's end"});
  rows.push_back({"training.save_total_limit", TUTTI_REF(MaybeCount, job.training.save_total_limit),
                  Use::kOptional, kCount, "checkpoints kept; two are kept at least"});
  rows.push_back({"training.logging_steps", TUTTI_REF(Count, job.training.logging_steps),
                  Use::kOptional, kSteps, "updates between progress lines"});
  rows.push_back({"training.metric_for_best_model",
                  TUTTI_REF(MaybeText, job.training.metric_for_best_model), Use::kDerived, kAny,
                  "a metric of the task; default loss where a best model is asked for"});
  rows.push_back({"training.greater_is_better",
                  TUTTI_REF(std::optional<bool>, job.training.greater_is_better), Use::kDerived,
                  kAny, "default: by the metric"});
  rows.push_back({"training.load_best_model_at_end",
                  TUTTI_REF(bool, job.training.load_best_model_at_end), Use::kOptional, kAny,
                  "export the best evaluation's weights, not the last"});
  rows.push_back({"training.early_stopping_patience",
                  TUTTI_REF(Count, job.training.early_stopping_patience),
                  Use::kOptional,
                  {.min = 0, .max = 1 << 20},
                  "evaluations without a better metric before the job ends; 0 = off"});
}

void AddEvaluation(std::vector<Field>& rows) {
  rows.push_back({"evaluation", Custom{Shape::kSection}, Use::kOptional, kAny,
                  "what an evaluation does besides its metrics"});
  rows.push_back(
      {"evaluation.samples",
       TUTTI_REF(MaybeCount, job.evaluation.samples),
       Use::kDerived,
       {.min = 0, .max = 20},
       "answers to the first prompts of data.eval, kept with each evaluation to be read; "
       "default: 3 of text-generation, else none"});
  rows.push_back({"evaluation.max_new_tokens",
                  TUTTI_REF(Count, job.evaluation.max_new_tokens),
                  Use::kOptional,
                  {.min = 1, .max = 1024},
                  "tokens of such an answer at most"});
}

void AddResources(std::vector<Field>& rows) {
  rows.push_back({"resources", Custom{Shape::kSection}, Use::kOptional, kAny, "what a gang takes"});
  rows.push_back({"resources.ranks", Custom{Shape::kRanks}, Use::kOptional, kRanks,
                  "processes, a power of two: one number, or {min, max}"});
  rows.push_back({"resources.ranks.min", TUTTI_REF(Count, job.resources.ranks_min), Use::kOptional,
                  kRanks, "the smallest gang that may start"});
  rows.push_back({"resources.ranks.max", TUTTI_REF(Count, job.resources.ranks_max), Use::kDerived,
                  kRanks, "the largest gang; default: min"});
  rows.push_back({"resources.cpus_per_rank",
                  TUTTI_REF(Count, job.resources.cpus_per_rank),
                  Use::kOptional,
                  {.min = 1, .max = 1024},
                  "slots and threads of a rank"});
  rows.push_back({"resources.gpus_per_rank",
                  TUTTI_REF(Count, job.resources.gpus_per_rank),
                  Use::kOptional,
                  {.min = 0, .max = 64},
                  "GPUs of a rank, on workers that have them; the engine computes on none yet and "
                  "refuses the job when it is admitted"});
  // Up to 1 PiB, where a double still holds every whole number of bytes.
  rows.push_back({"resources.memory_per_rank",
                  TUTTI_REF(std::optional<Bytes>, job.resources.memory_per_rank),
                  Use::kDerived,
                  {.min = 1 << 20, .max = 0x1p50},
                  "4GiB, 512MiB; default: predicted"});
}

void AddSchedule(std::vector<Field>& rows) {
  rows.push_back(
      {"schedule", Custom{Shape::kSection}, Use::kOptional, kAny, "when and where it runs"});
  rows.push_back({"schedule.queue", TUTTI_REF(std::string, job.schedule.queue), Use::kOptional,
                  kAny, "the queue it waits in"});
  rows.push_back({"schedule.priority",
                  TUTTI_REF(Count, job.schedule.priority),
                  Use::kOptional,
                  {.min = -1e6, .max = 1e6},
                  "higher = more urgent"});
  rows.push_back({"schedule.preemptible", TUTTI_REF(bool, job.schedule.preemptible), Use::kOptional,
                  kAny, "a more urgent job may take its slots; it goes on from a checkpoint"});
  rows.push_back({"schedule.max_duration",
                  TUTTI_REF(std::optional<Duration>, job.schedule.max_duration), Use::kOptional,
                  kAny, "running time after which it fails: 90m, 6h; default: none"});
  rows.push_back({"schedule.depends_on", TUTTI_REF(TextList, job.schedule.depends_on),
                  Use::kOptional, kAny, "jobs that must succeed before"});
  rows.push_back({"schedule.reproducible", TUTTI_REF(bool, job.schedule.reproducible),
                  Use::kOptional, kAny, "later attempts run on equal CPUs only"});
  rows.push_back({"schedule.labels", TUTTI_REF(TextMap, job.schedule.labels), Use::kOptional, kAny,
                  "labels a worker must have: {disk: ssd}"});
  rows.push_back({"schedule.topology", TUTTI_REF(MaybeText, job.schedule.topology), Use::kOptional,
                  kAny, "keep the gang under one value of this worker label: rack"});
}

void AddRest(std::vector<Field>& rows) {
  rows.push_back({"retry", Custom{Shape::kSection}, Use::kOptional, kAny,
                  "what happens after a failed attempt"});
  rows.push_back({"retry.max_attempts",
                  TUTTI_REF(Count, job.retry.max_attempts),
                  Use::kOptional,
                  {.min = 1, .max = 1000},
                  "consecutive attempts that committed no new checkpoint"});
  rows.push_back({"retry.on", Custom{Shape::kRetryOn}, Use::kOptional, kAny,
                  "failures worth another attempt"});
  rows.push_back({"deploy", Custom{Shape::kSection}, Use::kOptional, kAny, "serving the model"});
  rows.push_back({"deploy.on_success", TUTTI_REF(bool, job.deploy_on_success), Use::kOptional, kAny,
                  "deploy the model once it is trained"});
  rows.push_back({"publish", Custom{Shape::kSection}, Use::kOptional, kAny, "the app gallery"});
  rows.push_back(
      {"publish.app", TUTTI_REF(MaybeText, job.publish_app), Use::kOptional, kAny, "owner/name"});
  rows.push_back({"resume_from", TUTTI_REF(MaybeText, job.resume_from), Use::kOptional, kAny,
                  "start from an earlier job's model or adapter: ft:…"});
  rows.push_back({"tensorboard", TUTTI_REF(bool, job.tensorboard), Use::kOptional, kAny,
                  "write event files as it trains: docs/monitoring.md"});
  rows.push_back(
      {"webhooks", Custom{Shape::kWebhooks}, Use::kOptional, kAny,
       "addresses told of state changes: [{url: …, on: [failed, succeeded]}]; docs/webhooks.md"});
  rows.push_back({"metadata", TUTTI_REF(TextMap, job.metadata), Use::kOptional, kAny,
                  "yours: keys of 1-64 characters, values of up to 512"});
  rows.push_back(
      {"inputs", Custom{Shape::kInputs}, Use::kResolved, kAny, "the job's files by content"});
  rows.push_back({"sweep", Custom{Shape::kSweep}, Use::kWritten, kAny,
                  "many trials of this spec: method, parameters, metric, mode, max_trials"});
}

#undef TUTTI_REF
#undef TUTTI_CHOICE

std::size_t RowNumber(const Field& field) {
  return static_cast<std::size_t>(&field - Fields().data());
}

}  // namespace

bool Draft::AreSound(std::initializer_list<std::string_view> paths) const {
  for (std::string_view path : paths) {
    while (!path.empty()) {  // the field, then the sections around it
      if (broken.find(path) != broken.end()) return false;
      const std::size_t dot = path.rfind('.');
      path = dot == std::string_view::npos ? std::string_view{} : path.substr(0, dot);
    }
  }
  return true;
}

void Draft::Give(std::string_view path, const Place& place) {
  if (const Field* field = FindField(path)) {
    Give(*field, place);
  } else {
    given_others_.insert_or_assign(std::string(path), place);
  }
}

void Draft::Give(const Field& field, const Place& place) {
  given_fields_.resize(Fields().size());
  given_fields_[RowNumber(field)] = place;
}

const Place* Draft::Given(std::string_view path) const {
  if (const Field* field = FindField(path)) {
    if (given_fields_.empty()) return nullptr;
    const std::optional<Place>& place = given_fields_[RowNumber(*field)];
    return place ? &*place : nullptr;
  }
  const auto found = given_others_.find(path);
  return found == given_others_.end() ? nullptr : &found->second;
}

Place Draft::Where(std::string_view path) const {
  while (true) {
    if (const Place* given = Given(path)) return *given;
    if (path.empty()) return {};
    const std::size_t dot = path.rfind('.');
    path = dot == std::string_view::npos ? std::string_view{} : path.substr(0, dot);
  }
}

bool Range::Contains(double value) const {
  return std::isfinite(value) && (above_min ? value > min : value >= min) &&
         (below_max ? value < max : value <= max);
}

std::string Range::ToString() const {
  std::string text;
  if (std::isfinite(min)) text = fmt::format("{} {}", above_min ? "above" : "at least", min);
  if (std::isfinite(max)) {
    if (!text.empty()) text += " and ";
    text += fmt::format("{} {}", below_max ? "below" : "at most", max);
  }
  return text.empty() ? "a finite number" : text;
}

std::string_view Field::name() const {
  const std::size_t dot = path.rfind('.');
  return dot == std::string::npos ? path : std::string_view(path).substr(dot + 1);
}

bool Field::is_section() const {
  const auto* custom = std::get_if<Custom>(&access);
  return custom != nullptr && custom->shape == Shape::kSection;
}

std::string_view Field::section() const {
  const std::size_t dot = path.rfind('.');
  return dot == std::string::npos ? std::string_view{} : std::string_view(path).substr(0, dot);
}

const std::vector<Field>& Fields() {
  static const std::vector<Field> fields = [] {
    std::vector<Field> rows;
    AddTop(rows);
    AddData(rows);
    AddMethod(rows);
    AddTrainingLength(rows);
    AddTrainingRate(rows);
    AddTrainingRest(rows);
    AddEvaluation(rows);
    AddResources(rows);
    AddSchedule(rows);
    AddRest(rows);
    return rows;
  }();
  return fields;
}

const Field* FindField(std::string_view path) {
  static const std::unordered_map<std::string_view, const Field*> by_path = [] {
    std::unordered_map<std::string_view, const Field*> fields;
    for (const Field& field : Fields()) fields.emplace(field.path, &field);
    return fields;
  }();
  const auto found = by_path.find(path);
  return found == by_path.end() ? nullptr : found->second;
}

std::vector<std::string_view> NamesIn(std::string_view section) {
  std::vector<std::string_view> names;
  for (const Field& field : Fields()) {
    if (field.section() == section) names.push_back(field.name());
  }
  return names;
}

bool IsPresent(const Field& field, const Draft& draft) {
  const std::string_view path = field.path;
  if (path.starts_with("method.lora")) return std::holds_alternative<LoraSpec>(draft.job.method);
  if (path.starts_with("method.dpo")) {
    const auto* dpo = std::get_if<DpoSpec>(&draft.job.method);
    if (dpo == nullptr) return false;
    return !path.starts_with("method.dpo.lora") || dpo->lora.has_value();
  }
  return true;
}

}  // namespace tutti::spec
