#include "worker/engine/classifier.h"

#include <ATen/core/Tensor.h>

#include <algorithm>
#include <cmath>
#include <numeric>
#include <span>
#include <utility>

#include "worker/finetune/job.h"
#include "worker/model/adapter_files.h"
#include "worker/model/load.h"

namespace tutti::engine {
namespace {

// Softmax in double, for single-label models; else each label's own probability.
std::vector<double> Probabilities(std::span<const float> logits, model::Problem problem) {
  std::vector<double> result(logits.begin(), logits.end());
  if (problem == model::Problem::kRegression) return result;  // the value itself
  if (problem == model::Problem::kMultiLabel) {
    for (double& value : result) value = 1 / (1 + std::exp(-value));
    return result;
  }
  const double top = *std::ranges::max_element(result);
  double sum = 0;
  for (double& value : result) sum += value = std::exp(value - top);
  for (double& value : result) value /= sum;
  return result;
}

}  // namespace

Classifier::Classifier(text::Tokenizer tokenizer, std::unique_ptr<model::Model> model,
                       std::int64_t max_length)
    : tokenizer_(std::move(tokenizer)),
      model_(std::move(model)),
      parameters_(static_cast<std::size_t>(model_->layout().total())),
      max_length_(max_length) {}

Result<Classifier> Classifier::Load(const Options& options) {
  TUTTI_ASSIGN_OR_RETURN(model::ModelConfig config, model::ReadConfigOf(options.directory));
  config.head = model::Head::kClassification;
  if (options.fresh_labels) config.labels = *options.fresh_labels;
  TUTTI_ASSIGN_OR_RETURN(text::Tokenizer tokenizer, text::Tokenizer::Load(options.directory));
  TUTTI_ASSIGN_OR_RETURN(const std::int64_t max_length,
                         finetune::MaxLength(std::nullopt, config, tokenizer));
  TUTTI_ASSIGN_OR_RETURN(std::unique_ptr<model::Model> model, model::MakeModel(config));
  TUTTI_RETURN_IF_ERROR(model::CheckWeights(*model, model::BaseOf(options.directory)));
  Classifier classifier(std::move(tokenizer), std::move(model), max_length);
  TUTTI_ASSIGN_OR_RETURN(const model::LoadedWeights loaded,
                         model::LoadMerged(*classifier.model_, options.directory, options.seed,
                                           classifier.parameters_));
  if (!options.fresh_labels && !loaded.fresh.empty()) {
    const model::ModelConfig& own = classifier.model_->config();
    if (own.architectures.empty() && loaded.fresh.front() == "score.weight") {
      return Fail(ErrorCode::kInvalid,
                  "architectures names no class: the model is taken for a classifier, and it has "
                  "no " +
                      loaded.fresh.front(),
                  own.path,
                  "write the class of a language model there, such as [\"LlamaForCausalLM\"], or "
                  "fine-tune a classifier first");
    }
    return Fail(ErrorCode::kInvalid,
                "the model is no tuned classifier: it has no " + loaded.fresh.front(),
                options.directory.string(), "fine-tune it first");
  }
  classifier.model_->Bind(classifier.parameters_.data());
  return classifier;
}

Result<std::vector<LabelScore>> Classifier::Classify(const std::string& text, std::size_t top_k) {
  const text::EncodeOptions options{.max_length = static_cast<std::size_t>(max_length_)};
  TUTTI_ASSIGN_OR_RETURN(const text::Encoding encoding, tokenizer_.Encode(text, options));
  model::Batch batch{.rows = 1, .columns = static_cast<std::int64_t>(encoding.ids.size())};
  batch.input_ids.assign(encoding.ids.begin(), encoding.ids.end());
  batch.type_ids.assign(encoding.type_ids.begin(), encoding.type_ids.end());
  TUTTI_ASSIGN_OR_RETURN(const at::Tensor logits, model_->Forward(batch, {}));
  const std::vector<double> scores =
      Probabilities({logits.data_ptr<float>(), static_cast<std::size_t>(logits.numel())},
                    model::ResolveProblem(config(), /*float_labels=*/false));
  std::vector<std::size_t> order(scores.size());
  std::iota(order.begin(), order.end(), std::size_t{0});
  std::ranges::stable_sort(order,
                           [&](std::size_t a, std::size_t b) { return scores[a] > scores[b]; });
  std::vector<LabelScore> result;
  for (const std::size_t i : order) {
    if (result.size() == top_k) break;
    result.push_back({.label = config().labels.at(i), .score = scores[i]});
  }
  return result;
}

}  // namespace tutti::engine
