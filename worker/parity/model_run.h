// A model of a reference folder as its cases use it: batches from JSON, loss and gradients, steps
// of training. One thread.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <vector>

#include "common/base/result.h"
#include "worker/model/language_model.h"
#include "worker/model/model.h"
#include "worker/parity/folders.h"

namespace tutti::parity {

inline constexpr Tolerance kLogits{.absolute = 1e-4};
inline constexpr Tolerance kGradients{.absolute = 1e-5, .relative = 1e-4};
inline constexpr Tolerance kStepLoss{.relative = 1e-3};
inline constexpr Tolerance kRates{.absolute = 1e-12};

bool FloatLabels(const Json& batch);
// `by_token`: labels are of tokens, not of rows.
model::Batch ReadBatch(const Json& json, bool by_token);
// What each place is to predict: the label of the place behind it.
std::vector<std::int64_t> Shifted(const model::Batch& batch);
// The values of `values` [B, T, …] at places that the mask has.
std::vector<float> AtTokens(std::span<const float> values, const model::Batch& batch);
std::span<const float> Values(const at::Tensor& tensor);

// Whether config.json of `folder` has the head that the cases ask for, and the weights its sizes:
// memory is taken for them after that.
Status CheckModel(model::Model& model, const Json& cases, const std::filesystem::path& folder);

// The trained parameters and their gradients in flat buffers, bound.
class ModelRun {
 public:
  ModelRun(std::unique_ptr<model::Model> model, bool float_labels);

  model::Model& model() { return *model_; }
  const model::Model& model() const { return *model_; }
  model::LanguageModel* language() const { return model_->language(); }
  std::vector<float>& params() { return params_; }
  std::vector<float>& grads() { return grads_; }

  model::Batch Read(const Json& json) const { return ReadBatch(json, language() != nullptr); }
  std::int64_t Items(const model::Batch& batch) const;
  // Adds the micro-batch's gradients, scaled, and returns its loss, summed over items.
  Result<double> AddGradients(const model::Batch& batch, double scale);
  // The same through the logits of all rows.
  Result<double> AddByLogits(const model::Batch& batch, const model::ForwardOptions& options,
                             double scale, at::Tensor* logits_out);
  double GradNorm() const;  // L2 of all
  std::span<const float> GradientOf(const model::ParameterInfo& parameter) const;

  struct Steps {
    std::vector<double> losses{}, norms{}, rates{};
  };
  // The steps of a case's "trajectory", from the parameters as they are.
  Result<Steps> Train(const Json& trajectory);

 private:
  std::unique_ptr<model::Model> model_;
  model::Problem problem_;
  std::vector<float> params_, grads_;
};

}  // namespace tutti::parity
