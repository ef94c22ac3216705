// A reference folder's model with its flat buffers. One thread.
#pragma once

#include <filesystem>
#include <memory>
#include <span>
#include <vector>

#include "common/base/result.h"
#include "worker/model/model.h"

namespace tutti::parity {

class Checkpoint {
 public:
  // kInvalid, too, where the files lack a parameter.
  static Result<Checkpoint> Load(const std::filesystem::path& folder);

  model::Model& model() { return *model_; }
  std::vector<float>& params() { return params_; }
  std::vector<float>& grads() { return grads_; }
  void ZeroGradients();
  double GradNorm() const;  // L2 of all

 private:
  explicit Checkpoint(std::unique_ptr<model::Model> model);

  std::unique_ptr<model::Model> model_;
  std::vector<float> params_, grads_;  // bound
};

}  // namespace tutti::parity
