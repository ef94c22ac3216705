#include "worker/finetune/job.h"

#include <algorithm>
#include <nlohmann/json.hpp>
#include <set>
#include <utility>

#include "common/digest/sha256.h"
#include "jobs/spec/names.h"
#include "jobs/spec/parse.h"
#include "worker/finetune/going_on.h"
#include "worker/finetune/start.h"
#include "worker/model/adapter_files.h"
#include "worker/model/load.h"

namespace tutti::finetune {
namespace {

using nlohmann::json;

constexpr std::int64_t kDefaultMaxLength = 512;

bool IsClassifier(const model::ModelConfig& config) {
  return std::ranges::any_of(config.architectures, [](const std::string& name) {
    return name.ends_with("ForSequenceClassification");
  });
}

Status CheckSupported(const spec::JobSpec& spec) {
  const auto unsupported = [](std::string what, std::string where) {
    return Fail(ErrorCode::kUnsupported, std::move(what) + " is not supported yet",
                std::move(where));
  };
  if (spec.task != spec::Task::kTextClassification && spec.task != spec::Task::kTextGeneration) {
    return unsupported("task " + std::string(ToString(spec.task)), "task");
  }
  if (spec.data.packing && spec.task != spec::Task::kTextGeneration) {
    return unsupported("packing of rows with labels", "data.packing");
  }
  if (spec.resources.gpus_per_rank > 0) {
    return unsupported("training on GPUs", "resources.gpus_per_rank");
  }
  return {};
}

Result<Job> PrepareClassification(const JobInputs& inputs, Start start) {
  const spec::JobSpec& spec = inputs.spec;
  const Loader loader{
      .inputs = inputs, .tokenizer = start.tokenizer, .max_length = start.max_length};
  TUTTI_ASSIGN_OR_RETURN(const auto dataset, loader.Load(inputs.train_path, TrainName(spec)));
  TUTTI_RETURN_IF_ERROR(CheckVocabulary(*dataset, start.config));
  const data::LabelTable table = ChooseLabels(start.config, dataset->labels());
  if (table.names.size() < 2) {
    return Fail(ErrorCode::kInvalid, "every row has the same label: there is nothing to learn",
                TrainName(spec), "give rows of at least two labels");
  }
  start.config.head = model::Head::kClassification;
  start.config.labels = table.names;
  start.config.problem = model::Problem::kSingleLabel;
  TUTTI_ASSIGN_OR_RETURN(std::unique_ptr<model::Model> model, model::MakeModel(start.config));
  TUTTI_RETURN_IF_ERROR(SetUpModel(inputs, *model));
  TUTTI_ASSIGN_OR_RETURN(train::Samples samples, train::AllRows(dataset, table, /*strict=*/true));
  Job job{.spec = spec,
          .model_dir = inputs.model_dir,
          .tokenizer = std::move(start.tokenizer),
          .model = std::move(model),
          .max_length = start.max_length,
          .train = std::move(samples)};
  WarnOfCutRows(*dataset, job.max_length, /*pairs=*/false, job.warnings);
  // `loader` still reads the tokenizer, which has moved.
  const Loader eval_loader{
      .inputs = inputs, .tokenizer = job.tokenizer, .max_length = job.max_length};
  TUTTI_RETURN_IF_ERROR(PrepareEval(eval_loader, &table, job));
  return job;
}

// In which numbers weights lie and products are computed. A base that is in bfloat16 on disk is
// held so, too: nothing is lost.
void ChooseNumbers(Job& job) {
  const bool bf16 = job.spec.training.bf16;
  const std::filesystem::path base = job.goes_on ? model::BaseOf(job.model_dir) : job.model_dir;
  job.model->SetBf16(bf16);
  job.narrow_base = job.model->adapter() != nullptr && (bf16 || model::LiesInBf16(base));
  if (bf16 && !model::CpuMultipliesBf16()) {
    job.warnings.emplace_back(
        "this CPU has no bfloat16 arithmetic (avx512_bf16 or amx_bf16): training.bf16 rounds "
        "factors and multiplies them as float32, which is slower than training.bf16: false");
  }
}

}  // namespace

std::string FreshWarning(const std::vector<std::string>& fresh) {
  std::string names;
  for (const std::string& name : fresh) {
    if (name.starts_with("classifier.") || name.starts_with("pre_classifier.") ||
        name.starts_with("score.")) {
      continue;
    }
    names += (names.empty() ? "" : ", ") + name;
  }
  return names.empty() ? "" : "the base has no weights for " + names + ": they start at random";
}

Status CheckVocabulary(const data::Dataset& dataset, const model::ModelConfig& config) {
  const auto size = model::VocabularyOf(config);
  for (std::int64_t row = 0; size && row < dataset.rows(); ++row) {
    const auto tokens = dataset.Tokens(row);
    const auto largest = std::ranges::max_element(tokens);
    if (largest == tokens.end() || *largest < *size) continue;
    return Fail(ErrorCode::kInvalid,
                "the tokenizer gives token " + std::to_string(*largest) + ", the model has " +
                    std::to_string(*size),
                config.path, "the tokenizer is another model's");
  }
  return {};
}

Result<std::int64_t> MaxLength(std::optional<std::int64_t> wanted, const model::ModelConfig& config,
                               const text::Tokenizer& tokenizer) {
  const std::int64_t positions = model::PositionsOf(config).value_or(kDefaultMaxLength);
  if (wanted && *wanted > positions) {
    return Fail(ErrorCode::kInvalid,
                "max_length is " + std::to_string(*wanted) + ", the model has " +
                    std::to_string(positions) + " positions",
                "data.max_length", "give at most " + std::to_string(positions));
  }
  if (wanted) return *wanted;
  std::int64_t limit = std::min(positions, kDefaultMaxLength);
  if (const auto own = tokenizer.model_max_length()) {
    limit = std::min(limit, static_cast<std::int64_t>(*own));
  }
  return limit;
}

data::LabelTable ChooseLabels(const model::ModelConfig& config, const data::LabelTable& found) {
  data::LabelTable table = found;
  if (!IsClassifier(config) || config.labels.size() != found.names.size()) return table;
  const std::set<std::string> ours(found.names.begin(), found.names.end());
  const std::set<std::string> theirs(config.labels.begin(), config.labels.end());
  if (found.integers || ours == theirs) table.names = config.labels;
  return table;
}

Result<train::Schedule> MakeSchedule(const spec::TrainingSpec& training, std::int64_t total_steps) {
  train::ScheduleOptions options{.learning_rate = training.learning_rate,
                                 .warmup_steps = training.warmup_steps,
                                 .total_steps = total_steps};
  if (options.warmup_steps == 0) {
    options.warmup_steps = train::WarmupSteps(training.warmup_ratio, total_steps);
  }
  TUTTI_ASSIGN_OR_RETURN(options.type,
                         train::ParseScheduleType(ToString(training.lr_scheduler_type)));
  json kwargs = json::object();
  for (const auto& [name, value] : training.lr_scheduler_kwargs) {
    if (const auto* number = std::get_if<double>(&value)) {
      const auto whole = static_cast<std::int64_t>(*number);
      kwargs[name] = static_cast<double>(whole) == *number ? json(whole) : json(*number);
    } else {
      kwargs[name] = std::get<std::string>(value);
    }
  }
  TUTTI_RETURN_IF_ERROR(train::ReadScheduleKwargs(kwargs.dump(), options));
  return train::Schedule::Make(options);
}

std::string SpecDigest(const spec::JobSpec& spec) {
  spec::JobSpec kept = spec;
  kept.name.clear();
  kept.resources = {};
  kept.schedule = {};
  kept.retry = {};
  kept.deploy_on_success = false;
  kept.publish_app.reset();
  kept.tensorboard = false;
  kept.webhooks.clear();
  kept.metadata.clear();
  auto json = spec::ToJson(kept);
  json.erase("evaluation");
  return Sha256Of(json.dump()).ToString();
}

Result<Job> PrepareJob(const JobInputs& inputs) {
  const spec::JobSpec& spec = inputs.spec;
  TUTTI_RETURN_IF_ERROR(CheckSupported(spec));
  TUTTI_ASSIGN_OR_RETURN(model::ModelConfig config, model::ReadConfigOf(inputs.model_dir));
  TUTTI_ASSIGN_OR_RETURN(text::Tokenizer tokenizer, text::Tokenizer::Load(inputs.model_dir));
  TUTTI_ASSIGN_OR_RETURN(const std::int64_t max_length,
                         MaxLength(spec.data.max_length, config, tokenizer));
  Start start{
      .config = std::move(config), .tokenizer = std::move(tokenizer), .max_length = max_length};
  TUTTI_ASSIGN_OR_RETURN(Job job, spec.task == spec::Task::kTextClassification
                                      ? PrepareClassification(inputs, std::move(start))
                                      : PrepareGeneration(inputs, std::move(start)));
  job.counts = train::CountSteps({.rows = job.train.size(),
                                  .batch = spec.training.global_batch_size,
                                  .epochs = spec.training.num_train_epochs,
                                  .max_steps = spec.training.max_steps.value_or(0)});
  TUTTI_RETURN_IF_ERROR(MakeSchedule(spec.training, job.counts.total_steps));
  job.goes_on = GoesOnWithAdapter(spec, inputs.model_dir);
  ChooseNumbers(job);
  return job;
}

}  // namespace tutti::finetune
