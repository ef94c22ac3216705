#include "worker/parity/checkpoint.h"

#include <algorithm>
#include <utility>

#include "worker/model/load.h"
#include "worker/train/norm.h"

namespace tutti::parity {

Checkpoint::Checkpoint(std::unique_ptr<model::Model> model)
    : model_(std::move(model)),
      params_(static_cast<std::size_t>(model_->layout().total())),
      grads_(params_.size()) {
  model_->Bind(params_.data());
  model_->BindGradients(grads_.data());
}

Result<Checkpoint> Checkpoint::Load(const std::filesystem::path& folder) {
  TUTTI_ASSIGN_OR_RETURN(const model::ModelConfig config, model::ReadModelConfig(folder));
  TUTTI_ASSIGN_OR_RETURN(std::unique_ptr<model::Model> model, model::MakeModel(config));
  TUTTI_RETURN_IF_ERROR(model::CheckWeights(*model, folder));
  Checkpoint checkpoint(std::move(model));
  TUTTI_ASSIGN_OR_RETURN(
      const model::LoadedWeights loaded,
      model::LoadWeights(*checkpoint.model_, folder, /*seed=*/0, checkpoint.params_));
  if (!loaded.fresh.empty()) {
    return Fail(ErrorCode::kInvalid, "the weights lack " + loaded.fresh.front(), folder);
  }
  return checkpoint;
}

void Checkpoint::ZeroGradients() { std::ranges::fill(grads_, 0.0F); }

double Checkpoint::GradNorm() const {
  std::vector<double> sums(grads_.size() / static_cast<std::size_t>(train::kNormBlock));
  train::BlockSquareSums(grads_, sums);
  return train::NormOfBlocks(sums);
}

}  // namespace tutti::parity
