// A job's inputs made ready: labels agreed on, rows tokenised, the model laid out, steps counted.
// What training, and inspection before it, start from; the same on every rank. One thread.
#pragma once

#include <cstdint>
#include <filesystem>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "common/base/result.h"
#include "jobs/spec/spec.h"
#include "worker/data/dataset.h"
#include "worker/model/model.h"
#include "worker/text/chat_format.h"
#include "worker/text/tokenizer.h"
#include "worker/train/preference.h"
#include "worker/train/samples.h"
#include "worker/train/schedule.h"

namespace tutti::finetune {

struct JobInputs {
  spec::JobSpec spec;
  std::filesystem::path model_dir;
  std::filesystem::path train_path;
  std::optional<std::filesystem::path> eval_path{};
  std::filesystem::path cache_dir{};  // of tokenised rows; empty = none
};

// An evaluation row as a prompt and what follows it there.
struct SampledRow {
  std::vector<std::int64_t> prompt{};
  std::string prompt_text{};  // without special tokens, as `expected`; the end of a long one
  std::string expected{};     // the beginning of a long one; of a preference the chosen answer
};

struct Job {
  spec::JobSpec spec;
  std::filesystem::path model_dir;
  text::Tokenizer tokenizer;
  std::unique_ptr<model::Model> model;  // not bound
  std::int64_t max_length = 0;          // tokens of a row
  train::Samples train;
  std::optional<train::Samples> eval{};
  std::vector<SampledRow> sampled{};       // what evaluations answer
  std::vector<std::int64_t> end_tokens{};  // where answers end, ascending
  train::StepCounts counts{};
  std::vector<std::string> warnings{};
  data::RowFormat format = data::RowFormat::kTextLabel;
  std::shared_ptr<const text::ChatFormat> chat{};  // of a model that learns conversations

  // How a job that learns from preferences does so.
  std::optional<train::PreferenceOptions> preference{};

  bool narrow_base = false;  // an adapter's base lies in bfloat16
  bool goes_on = false;      // the model is an adapter, which is trained further (going_on.h)

  // Room for the weights that are read and not trained, in floats: an adapter's base, and what
  // preferences are compared with.
  std::uint64_t frozen() const {
    const bool any = model->adapter() != nullptr || preference.has_value();
    const auto total = static_cast<std::uint64_t>(model->base_layout().total());
    return !any ? 0 : narrow_base ? (total + 1) / 2 : total;
  }
  bool generates() const { return spec.task == spec::Task::kTextGeneration; }
  // The classes; of no meaning to a language model.
  const std::vector<std::string>& labels() const { return model->config().labels; }
};

// kInvalid, kUnsupported, kNotFound: what is wrong with data, model or spec, and where.
Result<Job> PrepareJob(const JobInputs& inputs);

// The job's learning rates.
Result<train::Schedule> MakeSchedule(const spec::TrainingSpec& training, std::int64_t total_steps);

// SHA-256 of what decides the weights: the spec without what may change between attempts.
std::string SpecDigest(const spec::JobSpec& spec);

// Tokens a row may have: `wanted`, else the smallest of the model's positions, the tokenizer's
// limit and 512. kInvalid when `wanted` is more than the model has.
Result<std::int64_t> MaxLength(std::optional<std::int64_t> wanted, const model::ModelConfig& config,
                               const text::Tokenizer& tokenizer);

// The classes of a model that is tuned on data with these labels: their order is the model's own
// when it already is a classifier of the same.
data::LabelTable ChooseLabels(const model::ModelConfig& config, const data::LabelTable& found);

// A warning where a base lacks more than a head: "" when there is nothing to say.
std::string FreshWarning(const std::vector<std::string>& fresh);

// kInvalid for a token that the model does not have.
Status CheckVocabulary(const data::Dataset& dataset, const model::ModelConfig& config);

}  // namespace tutti::finetune
