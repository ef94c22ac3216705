#include "worker/parity/model_run.h"

#include <algorithm>
#include <cmath>
#include <string>
#include <utility>

#include "worker/model/load.h"
#include "worker/train/adamw.h"
#include "worker/train/decay.h"
#include "worker/train/loss.h"
#include "worker/train/norm.h"
#include "worker/train/schedule.h"

namespace tutti::parity {
namespace {

std::vector<std::int64_t> Flat(const Json& rows) {
  std::vector<std::int64_t> values;
  for (const Json& row : rows) {
    for (const Json& value : row) values.push_back(value.get<std::int64_t>());
  }
  return values;
}

}  // namespace

bool FloatLabels(const Json& batch) { return batch.at("labels").at(0).is_array(); }

model::Batch ReadBatch(const Json& json, bool by_token) {
  model::Batch batch;
  const Json& ids = json.at("input_ids");
  batch.rows = static_cast<std::int64_t>(ids.size());
  batch.columns = static_cast<std::int64_t>(ids.at(0).size());
  batch.input_ids = Flat(ids);
  batch.attention_mask = Flat(json.at("attention_mask"));
  if (json.contains("token_type_ids")) batch.type_ids = Flat(json["token_type_ids"]);
  if (by_token) {
    batch.labels = Flat(json.at("labels"));
  } else if (!FloatLabels(json)) {
    batch.labels = json.at("labels").get<std::vector<std::int64_t>>();
  } else {
    for (const Json& row : json["labels"]) {
      for (const Json& value : row) batch.targets.push_back(value.get<float>());
    }
  }
  return batch;
}

std::vector<std::int64_t> Shifted(const model::Batch& batch) {
  std::vector<std::int64_t> targets(batch.labels.size(), model::kIgnoreLabel);
  for (std::size_t at = 0; at + 1 < targets.size(); ++at) {
    const bool last = (at + 1) % static_cast<std::size_t>(batch.columns) == 0;
    if (!last) targets[at] = batch.labels[at + 1];
  }
  return targets;
}

std::vector<float> AtTokens(std::span<const float> values, const model::Batch& batch) {
  const std::size_t width = values.size() / batch.attention_mask.size();
  std::vector<float> kept;
  for (std::size_t at = 0; at < batch.attention_mask.size(); ++at) {
    if (batch.attention_mask[at] == 0) continue;
    const auto row = values.subspan(at * width, width);
    kept.insert(kept.end(), row.begin(), row.end());
  }
  return kept;
}

std::span<const float> Values(const at::Tensor& tensor) {
  return {tensor.data_ptr<float>(), static_cast<std::size_t>(tensor.numel())};
}

Status CheckModel(model::Model& model, const Json& cases, const std::filesystem::path& folder) {
  const bool writes = cases.at("task") == "causal-lm";
  if ((model.language() != nullptr) != writes) {
    return Fail(ErrorCode::kInvalid,
                std::string("architectures names ") + (writes ? "no" : "a") +
                    " language model, and the cases are of task " + cases["task"].dump(),
                folder / "config.json");
  }
  return model::CheckWeights(model, folder);
}

ModelRun::ModelRun(std::unique_ptr<model::Model> model, bool float_labels)
    : model_(std::move(model)),
      problem_(model::ResolveProblem(model_->config(), language() == nullptr && float_labels)),
      params_(static_cast<std::size_t>(model_->layout().total())),
      grads_(params_.size()) {
  model_->Bind(params_.data());
  model_->BindGradients(grads_.data());
}

std::int64_t ModelRun::Items(const model::Batch& batch) const {
  return language() == nullptr ? train::ProblemItems(problem_, batch)
                               : train::CountItems(Shifted(batch));
}

Result<double> ModelRun::AddGradients(const model::Batch& batch, double scale) {
  if (language() == nullptr) return AddByLogits(batch, {.training = true}, scale, nullptr);
  TUTTI_RETURN_IF_ERROR(language()->ForwardTokens(batch, {.training = true}));
  const double sum = language()->Score({.scale = scale}).loss;
  language()->BackwardTokens({});
  return sum;
}

Result<double> ModelRun::AddByLogits(const model::Batch& batch,
                                     const model::ForwardOptions& options, double scale,
                                     at::Tensor* logits_out) {
  TUTTI_ASSIGN_OR_RETURN(const at::Tensor logits, model_->Forward(batch, options));
  const at::Tensor grad = logits.clone();
  const train::Logits values{
      .values = Values(logits),
      .columns = logits.size(logits.dim() - 1),
      .grad = {grad.data_ptr<float>(), static_cast<std::size_t>(grad.numel())},
      .scale = scale};
  const double sum = language() != nullptr ? train::CrossEntropySum(values, Shifted(batch))
                                           : train::ProblemSum(problem_, values, batch);
  model_->Backward(grad);
  if (logits_out != nullptr) *logits_out = logits;
  return sum;
}

double ModelRun::GradNorm() const {
  std::vector<double> sums(grads_.size() / static_cast<std::size_t>(train::kNormBlock));
  train::BlockSquareSums(grads_, sums);
  return train::NormOfBlocks(sums);
}

std::span<const float> ModelRun::GradientOf(const model::ParameterInfo& parameter) const {
  return std::span(grads_).subspan(static_cast<std::size_t>(parameter.offset),
                                   static_cast<std::size_t>(parameter.count));
}

Result<ModelRun::Steps> ModelRun::Train(const Json& trajectory) {
  Steps done;
  const Json& hyper = trajectory.at("hyper");
  const auto number = [&hyper](const char* key) { return hyper.at(key).get<double>(); };
  const Json& steps = trajectory.at("steps");
  train::ScheduleOptions schedule_options{
      .learning_rate = number("learning_rate"),
      .warmup_steps = hyper.at("warmup_steps").get<std::int64_t>(),
      .total_steps = static_cast<std::int64_t>(steps.size())};
  TUTTI_ASSIGN_OR_RETURN(
      schedule_options.type,
      train::ParseScheduleType(hyper.at("lr_scheduler_type").get<std::string>()));
  TUTTI_ASSIGN_OR_RETURN(const auto schedule, train::Schedule::Make(schedule_options));
  const auto segments = train::DecaySegments(model_->layout());
  std::vector<float> first(params_.size()), second(params_.size());
  for (std::size_t step = 0; step < steps.size(); ++step) {
    std::vector<model::Batch> batches;
    std::int64_t items = 0;
    for (const Json& index : steps[step]) {
      batches.push_back(Read(trajectory.at("micro_batches").at(index.get<std::size_t>())));
      items += Items(batches.back());
    }
    std::ranges::fill(grads_, 0.0F);
    double sum = 0;
    for (const model::Batch& batch : batches) {
      TUTTI_ASSIGN_OR_RETURN(const double part,
                             AddGradients(batch, 1 / static_cast<double>(items)));
      sum += part;
    }
    done.losses.push_back(sum / static_cast<double>(items));
    done.norms.push_back(GradNorm());
    done.rates.push_back(schedule.At(static_cast<std::int64_t>(step)));
    train::AdamWStep({.learning_rate = done.rates.back(),
                      .beta1 = number("adam_beta1"),
                      .beta2 = number("adam_beta2"),
                      .epsilon = number("adam_epsilon"),
                      .weight_decay = number("weight_decay"),
                      .step = static_cast<std::int64_t>(step) + 1,
                      .grad_scale = train::ClipScale(done.norms.back(), number("max_grad_norm"))},
                     segments,
                     {.begin = 0,
                      .end = model_->layout().total(),
                      .params = params_.data(),
                      .grads = grads_.data(),
                      .first = first.data(),
                      .second = second.data()});
  }
  return done;
}

}  // namespace tutti::parity
