#include <algorithm>
#include <cmath>
#include <map>
#include <memory>
#include <string>

#include "worker/model/export.h"
#include "worker/model/language_model.h"
#include "worker/model/load.h"
#include "worker/model/model.h"
#include "worker/parity/folders.h"
#include "worker/train/adamw.h"
#include "worker/train/decay.h"
#include "worker/train/loss.h"
#include "worker/train/norm.h"
#include "worker/train/schedule.h"

namespace tutti::parity {
namespace {

namespace fs = std::filesystem;

constexpr Tolerance kLogits{.absolute = 1e-4};
constexpr Tolerance kGradients{.absolute = 1e-5, .relative = 1e-4};
constexpr Tolerance kStepLoss{.relative = 1e-3};
constexpr Tolerance kRates{.absolute = 1e-12};

std::vector<std::int64_t> Flat(const Json& rows) {
  std::vector<std::int64_t> values;
  for (const Json& row : rows) {
    for (const Json& value : row) values.push_back(value.get<std::int64_t>());
  }
  return values;
}

bool FloatLabels(const Json& batch) { return batch.at("labels").at(0).is_array(); }

// `by_token`: labels are of tokens, not of rows.
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

// What each place is to predict: the label of the place behind it.
std::vector<std::int64_t> Shifted(const model::Batch& batch) {
  std::vector<std::int64_t> targets(batch.labels.size(), model::kIgnoreLabel);
  for (std::size_t at = 0; at + 1 < targets.size(); ++at) {
    const bool last = (at + 1) % static_cast<std::size_t>(batch.columns) == 0;
    if (!last) targets[at] = batch.labels[at + 1];
  }
  return targets;
}

// The values of `values` [B, T, …] at places that the mask has.
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

// Row `row` of a batch, without its padding.
model::Batch RowOf(const model::Batch& batch, std::int64_t row) {
  model::Batch one{.rows = 1};
  for (std::int64_t column = 0; column < batch.columns; ++column) {
    const auto at = static_cast<std::size_t>(row * batch.columns + column);
    if (batch.attention_mask[at] == 0) continue;
    one.input_ids.push_back(batch.input_ids[at]);
    if (!batch.type_ids.empty()) one.type_ids.push_back(batch.type_ids[at]);
  }
  one.columns = static_cast<std::int64_t>(one.input_ids.size());
  return one;
}

std::span<const float> Values(const at::Tensor& tensor) {
  return {tensor.data_ptr<float>(), static_cast<std::size_t>(tensor.numel())};
}

// A checkpoint with its flat buffers, its case and where they are reported.
class FamilyRun {
 public:
  FamilyRun(std::unique_ptr<model::Model> model, const Json& cases, Report& report)
      : model_(std::move(model)),
        cases_(cases),
        report_(report),
        name_(cases.at("name").get<std::string>()),
        language_(model_->language()),
        problem_(model::ResolveProblem(model_->config(),
                                       language_ == nullptr && FloatLabels(cases.at("batch")))),
        params_(static_cast<std::size_t>(model_->layout().total())),
        grads_(params_.size()) {
    model_->Bind(params_.data());
    model_->BindGradients(grads_.data());
  }

  Status Run(const fs::path& folder) {
    TUTTI_ASSIGN_OR_RETURN(const model::LoadedWeights loaded,
                           model::LoadWeights(*model_, folder, /*seed=*/0, params_));
    report_.Case(loaded.fresh.empty(), name_ + "/weights",
                 std::to_string(loaded.fresh.size()) + " missing");
    TUTTI_ASSIGN_OR_RETURN(const auto expected,
                           safetensors::File::Open(folder / "expected.safetensors"));
    for (const bool whole : {false, true}) TUTTI_RETURN_IF_ERROR(CheckBatch(expected, whole));
    TUTTI_RETURN_IF_ERROR(CheckRowsAlone(expected));
    CheckDecayGroups();
    if (language_ != nullptr && cases_.contains("generation")) {
      TUTTI_RETURN_IF_ERROR(RunGeneration(*language_, cases_.at("generation"), name_, report_));
    }
    return CheckTrajectory(folder);
  }

 private:
  model::Batch Read(const Json& json) const { return ReadBatch(json, language_ != nullptr); }

  std::int64_t Items(const model::Batch& batch) const {
    return language_ == nullptr ? train::ProblemItems(problem_, batch)
                                : train::CountItems(Shifted(batch));
  }

  // Adds the micro-batch's gradients, scaled, and returns its loss, summed over items.
  Result<double> AddGradients(const model::Batch& batch, double scale) {
    if (language_ == nullptr) return AddByLogits(batch, {.training = true}, scale, nullptr);
    TUTTI_RETURN_IF_ERROR(language_->ForwardTokens(batch, {.training = true}));
    const double sum = language_->Score({.scale = scale}).loss;
    language_->BackwardTokens({});
    return sum;
  }

  // The same through the logits of all rows.
  Result<double> AddByLogits(const model::Batch& batch, const model::ForwardOptions& options,
                             double scale, at::Tensor* logits_out) {
    TUTTI_ASSIGN_OR_RETURN(const at::Tensor logits, model_->Forward(batch, options));
    const at::Tensor grad = logits.clone();
    const train::Logits values{
        .values = Values(logits),
        .columns = logits.size(logits.dim() - 1),
        .grad = {grad.data_ptr<float>(), static_cast<std::size_t>(grad.numel())},
        .scale = scale};
    const double sum = language_ != nullptr ? train::CrossEntropySum(values, Shifted(batch))
                                            : train::ProblemSum(problem_, values, batch);
    model_->Backward(grad);
    if (logits_out != nullptr) *logits_out = logits;
    return sum;
  }

  double GradNorm() const {
    std::vector<double> sums(grads_.size() / static_cast<std::size_t>(train::kNormBlock));
    train::BlockSquareSums(grads_, sums);
    return train::NormOfBlocks(sums);
  }

  std::span<const float> GradientOf(const model::ParameterInfo& parameter) const {
    return std::span(grads_).subspan(static_cast<std::size_t>(parameter.offset),
                                     static_cast<std::size_t>(parameter.count));
  }

  // Twice: as training computes it, and `whole`: an encoder at every position of its last layer, a
  // language model by the logits of every token.
  Status CheckBatch(const safetensors::File& expected, bool whole) {
    const model::Batch batch = Read(cases_.at("batch"));
    const std::string prefix = name_ + (whole ? "/all-positions/" : "/");
    const auto items = static_cast<double>(Items(batch));
    std::ranges::fill(grads_, 0.0F);
    double sum = 0;
    if (language_ != nullptr && !whole) {
      TUTTI_ASSIGN_OR_RETURN(sum, AddGradients(batch, 1 / items));
    } else {
      at::Tensor logits;
      const model::ForwardOptions options{.training = true, .want_hidden = whole};
      TUTTI_ASSIGN_OR_RETURN(sum, AddByLogits(batch, options, 1 / items, &logits));
      TUTTI_RETURN_IF_ERROR(CheckLogits(prefix, Values(logits), expected, batch));
    }
    const std::vector<double> loss = {cases_.at("loss").get<double>()};
    report_.Compare(prefix + "loss", std::vector<double>{sum / items}, loss,
                    {.absolute = 1e-5 * std::max(1.0, loss.front())});
    if (whole) TUTTI_RETURN_IF_ERROR(CheckHidden(expected, batch));
    const std::vector<double> norm = {cases_.at("grad_norm").get<double>()};
    report_.Compare(prefix + "grad_norm", std::vector<double>{GradNorm()}, norm, kGradients);
    return CheckGradients(expected, prefix);
  }

  // A language model's at tokens: what stands at padding means nothing.
  Status CheckLogits(const std::string& prefix, std::span<const float> got,
                     const safetensors::File& expected, const model::Batch& batch) {
    TUTTI_ASSIGN_OR_RETURN(const std::vector<float> want, Floats(expected, "logits"));
    if (language_ == nullptr || got.size() != want.size()) {
      report_.Compare(prefix + "logits", got, want, kLogits);
    } else {
      report_.Compare(prefix + "logits", AtTokens(got, batch), AtTokens(want, batch), kLogits);
    }
    return {};
  }

  Status CheckGradients(const safetensors::File& expected, const std::string& prefix) {
    std::vector<double> got, want;
    for (const auto& [name, norm] : cases_.at("grad_norms").items()) {
      const model::ParameterInfo* parameter = model_->layout().Find(name);
      if (parameter == nullptr) {
        report_.Case(false, prefix + "grad_norms", "no parameter " + name);
        return {};
      }
      double square = 0;
      for (const float x : GradientOf(*parameter)) {
        square += static_cast<double>(x) * static_cast<double>(x);
      }
      got.push_back(std::sqrt(square));
      want.push_back(norm.get<double>());
    }
    report_.Compare(prefix + "grad_norms", got, want, kGradients);
    for (const Json& saved : cases_.at("grads_saved")) {
      const auto name = saved.get<std::string>();
      const model::ParameterInfo* parameter = model_->layout().Find(name);
      TUTTI_ASSIGN_OR_RETURN(const std::vector<float> grad, Floats(expected, "grad." + name));
      report_.Compare(prefix + "grad." + name,
                      parameter == nullptr ? std::span<const float>() : GradientOf(*parameter),
                      grad, kGradients);
    }
    return {};
  }

  Status CheckHidden(const safetensors::File& expected, const model::Batch& batch) {
    TUTTI_ASSIGN_OR_RETURN(const std::vector<float> want, Floats(expected, "hidden"));
    const auto row = cases_.at("hidden_row").get<std::int64_t>();
    const at::Tensor hidden = model_->Hidden();
    const auto T = static_cast<std::size_t>(batch.columns);
    const std::size_t H = want.size() / T;
    const auto values = Values(hidden).subspan(static_cast<std::size_t>(row) * T * H, T * H);
    std::vector<float> got, expected_values;  // of real positions: padding means nothing
    for (std::size_t t = 0; t < T; ++t) {
      if (batch.attention_mask[static_cast<std::size_t>(row) * T + t] == 0) continue;
      for (std::size_t h = t * H; h < (t + 1) * H; ++h) {
        got.push_back(values[h]);
        expected_values.push_back(want[h]);
      }
    }
    report_.Compare(name_ + "/hidden", got, expected_values, kLogits);
    return {};
  }

  Status CheckRowsAlone(const safetensors::File& expected) {
    TUTTI_ASSIGN_OR_RETURN(std::vector<float> want, Floats(expected, "logits"));
    const model::Batch batch = Read(cases_.at("batch"));
    if (language_ != nullptr) want = AtTokens(want, batch);
    std::vector<float> got;
    for (std::int64_t row = 0; row < batch.rows; ++row) {
      TUTTI_ASSIGN_OR_RETURN(const at::Tensor logits, model_->Forward(RowOf(batch, row), {}));
      got.insert(got.end(), Values(logits).begin(), Values(logits).end());
    }
    report_.Compare(name_ + "/rows-alone", got, want, kLogits);
    return {};
  }

  void CheckDecayGroups() {
    const Json& trajectory = cases_.at("trajectory");
    std::map<std::string, bool> want, got;
    for (const Json& name : trajectory.at("decay")) want[name.get<std::string>()] = true;
    for (const Json& name : trajectory.at("no_decay")) want[name.get<std::string>()] = false;
    for (const auto& parameter : model_->layout().parameters()) {
      got[parameter.name] = parameter.decay;
    }
    report_.Case(
        got == want, name_ + "/decay-groups",
        std::to_string(got.size()) + " parameters, expected " + std::to_string(want.size()));
  }

  Status CheckTrajectory(const fs::path& folder) {
    const Json& trajectory = cases_.at("trajectory");
    std::vector<double> losses, norms, rates;
    TUTTI_RETURN_IF_ERROR(Train(trajectory, losses, norms, rates));
    const auto wanted = [&trajectory](const char* key) {
      return trajectory.at(key).get<std::vector<double>>();
    };
    report_.Compare(name_ + "/trajectory/loss", losses, wanted("loss"), kStepLoss);
    report_.Compare(name_ + "/trajectory/grad_norm", norms, wanted("grad_norm"), kStepLoss);
    report_.Compare(name_ + "/trajectory/lr", rates, wanted("lr"), kRates);
    return CheckFinal(folder, trajectory.at("final_noise"));
  }

  Status Train(const Json& trajectory, std::vector<double>& losses, std::vector<double>& norms,
               std::vector<double>& rates) {
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
      losses.push_back(sum / static_cast<double>(items));
      norms.push_back(GradNorm());
      rates.push_back(schedule.At(static_cast<std::int64_t>(step)));
      train::AdamWStep({.learning_rate = rates.back(),
                        .beta1 = number("adam_beta1"),
                        .beta2 = number("adam_beta2"),
                        .epsilon = number("adam_epsilon"),
                        .weight_decay = number("weight_decay"),
                        .step = static_cast<std::int64_t>(step) + 1,
                        .grad_scale = train::ClipScale(norms.back(), number("max_grad_norm"))},
                       segments,
                       {.begin = 0,
                        .end = model_->layout().total(),
                        .params = params_.data(),
                        .grads = grads_.data(),
                        .first = first.data(),
                        .second = second.data()});
    }
    return {};
  }

  // The exported tensors have the names and shapes that Transformers saved, and its values.
  Status CheckFinal(const fs::path& folder, const Json& noise) {
    TUTTI_ASSIGN_OR_RETURN(const auto final_weights,
                           safetensors::File::Open(folder / "final.safetensors"));
    const auto tensors = model::TensorsToWrite(model_->layout(), params_);
    report_.Case(tensors.size() == final_weights.size(), name_ + "/final/tensors",
                 std::to_string(tensors.size()) + " of " + std::to_string(final_weights.size()));
    for (const auto& tensor : tensors) {
      TUTTI_ASSIGN_OR_RETURN(const std::vector<float> want, Floats(final_weights, tensor.name));
      TUTTI_ASSIGN_OR_RETURN(const auto saved, final_weights.Find(tensor.name));
      const std::string name = name_ + "/final/" + tensor.name;
      if (!std::ranges::equal(saved.shape, tensor.shape)) {
        report_.Case(false, name, "another shape");
        continue;
      }
      const model::ParameterInfo* parameter = model_->layout().Find(tensor.name);
      const auto got = std::span(params_).subspan(static_cast<std::size_t>(parameter->offset),
                                                  static_cast<std::size_t>(parameter->count));
      report_.Compare(name, got, want,
                      {.absolute = 1e-4 + 20 * noise.at(tensor.name).get<double>()});
    }
    return {};
  }

  std::unique_ptr<model::Model> model_;
  const Json& cases_;
  Report& report_;
  std::string name_;
  model::LanguageModel* language_;
  model::Problem problem_;
  std::vector<float> params_, grads_;
};

}  // namespace

Status RunFamily(const fs::path& folder, const Json& cases, Report& report) {
  const auto name = cases.at("name").get<std::string>();
  TUTTI_ASSIGN_OR_RETURN(const model::ModelConfig config, model::ReadModelConfig(folder));
  Result<std::unique_ptr<model::Model>> model = model::MakeModel(config);
  if (!model.has_value()) {
    report.Refused(name, model.error());
    return {};
  }
  return FamilyRun(std::move(*model), cases, report).Run(folder);
}

}  // namespace tutti::parity
