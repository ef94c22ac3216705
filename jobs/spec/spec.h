// What a job is: the spec as SPEC.md's vocabulary has it, parsed and with every default filled in.
//
// Names are those of the YAML keys. Values only, no behaviour: parse.h reads one, validate.h checks
// one, json.h writes and reads the resolved form.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <variant>
#include <vector>

#include "common/base/time.h"
#include "common/base/units.h"

namespace tutti::spec {

enum class Task { kTextClassification, kTextGeneration, kTranslation, kSummarization };

enum class DataFormat {
  kAuto,
  kTextLabel,
  kText,
  kPromptCompletion,
  kChat,
  kAlpaca,
  kShareGpt,
  kPairs,
  kPreference,
};

struct DataSpec {
  std::string train{};                    // as written: a path, file:///…, or after upload a blob
  std::optional<std::string> eval{};      // likewise
  std::optional<double> eval_fraction{};  // `eval: 0.05`; never together with `eval`
  DataFormat format = DataFormat::kAuto;
  std::map<std::string, std::string> columns{};  // role -> column name
  std::optional<std::int64_t> max_length{};      // tokens; nullopt = min(model's positions, 512)
  std::string source_prefix{};
  bool train_on_inputs = false;
  bool packing = false;
  std::optional<std::string> chat_template{};  // a built-in's name; nullopt: the model's own

  bool operator==(const DataSpec&) const = default;
};

struct LoraSpec {
  std::int64_t r = 8;
  double lora_alpha = 8;
  double lora_dropout = 0;
  bool use_rslora = false;
  bool all_linear = false;                    // `target_modules: all-linear`
  std::vector<std::string> target_modules{};  // empty: the model family's default
  std::vector<std::string> modules_to_save{};

  bool operator==(const LoraSpec&) const = default;
};

struct DpoSpec {
  double beta = 0.1;
  std::string loss_type = "sigmoid";
  double label_smoothing = 0;
  std::optional<LoraSpec> lora{};

  bool operator==(const DpoSpec&) const = default;
};

struct FullMethod {
  bool operator==(const FullMethod&) const = default;
};
using Method = std::variant<FullMethod, LoraSpec, DpoSpec>;

enum class SchedulerType {
  kLinear,
  kCosine,
  kCosineWithRestarts,
  kPolynomial,
  kConstant,
  kConstantWithWarmup,
  kInverseSqrt,
  kReduceLrOnPlateau,
  kCosineWithMinLr,
  kCosineWarmupWithMinLr,
  kWarmupStableDecay,
};

struct TrainingSpec {
  double num_train_epochs = 3;
  std::optional<std::int64_t> max_steps{};  // wins over num_train_epochs
  std::int64_t global_batch_size = 8;       // rows; = shards × micro_batch_size × a whole number
  std::int64_t micro_batch_size = 8;        // rows
  std::int64_t shards = 1;                  // a power of two >= ranks.max
  double learning_rate = 5e-5;
  SchedulerType lr_scheduler_type = SchedulerType::kLinear;
  std::map<std::string, std::variant<double, std::string>> lr_scheduler_kwargs{};
  double warmup_ratio = 0;
  std::int64_t warmup_steps = 0;  // > 0 wins over warmup_ratio
  double weight_decay = 0;
  double adam_beta1 = 0.9;
  double adam_beta2 = 0.999;
  double adam_epsilon = 1e-8;
  double max_grad_norm = 1.0;  // 0 = no clipping
  double label_smoothing_factor = 0;
  bool bf16 = false;
  bool gradient_checkpointing = false;
  std::int64_t seed = 42;
  std::optional<std::int64_t>
      eval_steps{};  // nullopt: at the end of each epoch if there is eval data
  std::optional<std::int64_t> save_steps{};  // nullopt: at the end of each epoch
  std::optional<std::int64_t> save_total_limit{};
  std::int64_t logging_steps = 10;
  std::optional<std::string> metric_for_best_model{};
  std::optional<bool> greater_is_better{};  // nullopt: by the metric's nature
  bool load_best_model_at_end = false;
  std::int64_t early_stopping_patience = 0;  // evaluations; 0 = off

  bool operator==(const TrainingSpec&) const = default;
};

// What an evaluation does besides its metrics.
struct EvaluationSpec {
  std::optional<std::int64_t> samples{};  // answers of a language model kept to be read; nullopt: 3
  std::int64_t max_new_tokens = 64;

  bool operator==(const EvaluationSpec&) const = default;
};

struct ResourcesSpec {
  std::int64_t ranks_min = 1;  // powers of two
  std::int64_t ranks_max = 1;
  std::int64_t cpus_per_rank = 1;
  std::int64_t gpus_per_rank = 0;
  std::optional<Bytes> memory_per_rank{};  // nullopt: predicted

  bool operator==(const ResourcesSpec&) const = default;
};

struct ScheduleSpec {
  std::string queue = "default";
  std::int64_t priority = 0;  // higher = more urgent
  bool preemptible = true;
  std::optional<Duration> max_duration{};
  std::vector<std::string> depends_on{};
  bool reproducible = true;
  std::map<std::string, std::string> labels{};
  std::optional<std::string> topology{};

  bool operator==(const ScheduleSpec&) const = default;
};

enum class RetryOn { kWorkerLost, kCrash, kHang, kOom, kTimeout, kDiskFull, kNumeric, kInternal };

struct RetrySpec {
  std::int64_t max_attempts = 3;  // consecutive attempts without a new checkpoint
  std::vector<RetryOn> on = {RetryOn::kWorkerLost, RetryOn::kCrash, RetryOn::kHang};

  bool operator==(const RetrySpec&) const = default;
};

struct Webhook {
  std::string url{};
  std::vector<std::string> on{};

  bool operator==(const Webhook&) const = default;
};

// One file of the job's inputs, by content. Filled by the submitting client after it hashed (and
// uploaded) what the spec names; a spec that was only parsed has none.
struct InputFile {
  std::string path{};    // relative: "model.safetensors", "sections.train.jsonl"
  std::string digest{};  // "sha256:" + 64 hex digits
  std::int64_t size_bytes = 0;

  bool operator==(const InputFile&) const = default;
};

struct Inputs {
  std::vector<InputFile> model{};  // a Hugging Face directory, sorted by path
  std::optional<InputFile> train{};
  std::optional<InputFile> eval{};

  bool operator==(const Inputs&) const = default;
};

struct JobSpec {
  std::string name{};
  Task task = Task::kTextClassification;
  std::string model{};  // as written
  DataSpec data{};
  Method method = FullMethod{};
  TrainingSpec training{};
  EvaluationSpec evaluation{};
  ResourcesSpec resources{};
  ScheduleSpec schedule{};
  RetrySpec retry{};
  bool deploy_on_success = false;
  std::optional<std::string> publish_app{};  // "owner/name"
  std::optional<std::string> resume_from{};
  bool tensorboard = false;
  std::vector<Webhook> webhooks{};
  std::map<std::string, std::string> metadata{};
  Inputs inputs{};

  bool operator==(const JobSpec&) const = default;
};

}  // namespace tutti::spec
