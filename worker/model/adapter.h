// Low-rank adapters (Hu et al. 2021) as PEFT's LoraConfig defines them: which linear layers of a
// model get one, where their parameters lie in a flat buffer of their own, and their part of the
// forward and backward passes. Immutable once made; a model's, and its thread's.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "common/base/result.h"
#include "worker/model/arena.h"
#include "worker/model/kernels.h"
#include "worker/model/linear.h"
#include "worker/model/parameters.h"

namespace tutti::model {

// PEFT's names and defaults.
struct LoraOptions {
  std::int64_t r = 8;
  double lora_alpha = 8;
  double lora_dropout = 0;
  bool use_rslora = false;
  bool all_linear = false;
  std::vector<std::string> target_modules{};    // last parts of module names
  std::optional<std::string> target_pattern{};  // a regular expression of whole names
  std::vector<std::string> modules_to_save{};   // trained fully
  std::vector<std::int64_t> layers_to_transform{};
  std::map<std::string, std::int64_t> rank_pattern{};
  std::map<std::string, double> alpha_pattern{};
};

// A linear layer of a model, as PyTorch's modules are called.
struct LinearModule {
  std::string name{};       // "model.layers.0.self_attn.q_proj"
  std::int64_t weight = 0;  // its offset
  LinearShape shape{};      // rows are of no meaning
  bool output = false;      // the model's last one
};

// What a model tells of itself for that.
struct AdaptedModel {
  const ParameterLayout& layout;
  std::span<const LinearModule> linears;
  std::span<const std::string> default_targets;  // where nothing is asked for
  bool classifies = false;  // then the heads "classifier" and "score" are trained fully
};

class Adapter {
 public:
  struct Lora {
    std::string module{};
    std::int64_t weight = 0;  // of the base that it belongs to
    std::int64_t a = 0;       // [r, in]
    std::int64_t b = 0;       // [out, r]
    std::int64_t r = 0;
    LinearShape shape{};
    float scale = 1;
  };
  // A parameter of the base that is trained fully.
  struct Saved {
    std::int64_t begin = 0, end = 0;  // in the base
    std::int64_t offset = 0;
  };

  // kInvalid: nothing fits the targets, with what there is; kUnsupported: a layer that cannot have
  // one.
  static Result<Adapter> Make(const LoraOptions& options, const AdaptedModel& model);

  const LoraOptions& options() const { return options_; }
  // Of the trained parameters, under the names that PEFT's files have.
  const ParameterLayout& layout() const { return layout_; }
  const std::vector<Lora>& loras() const { return loras_; }

  const Lora* Find(std::int64_t weight) const;
  // Where a place of the base lies among the trained parameters; nullopt: it is frozen.
  std::optional<std::int64_t> PlaceOf(std::int64_t base_offset) const;

  // The start of training: A drawn as PEFT draws it, by `seed` and name, B zero, and what is
  // trained fully as the base has it.
  void Initialise(const WeightPlace& base, std::uint64_t seed, std::span<float> trained) const;
  // Makes the base's weights what the two compute together: adds scale · B·A, and puts what is
  // trained fully in its place.
  void Merge(std::span<const float> trained, std::span<float> weights) const;

 private:
  Status AddSaved(const AdaptedModel& model);
  Status AddLoras(const AdaptedModel& model);

  LoraOptions options_;
  ParameterLayout layout_;
  std::vector<Lora> loras_;   // ascending by weight
  std::vector<Saved> saved_;  // ascending
};

// One linear layer's input or gradient, row-major.
struct LoraPass {
  const Adapter::Lora& lora;
  const float* trained = nullptr;  // the adapter's parameters
  std::int64_t rows = 0;
  const float* x = nullptr;  // [rows, in]
  Dropout dropout{};         // of x
};
// y[rows, out] += scale · B·A·dropout(x)
void AddLora(const LoraPass& pass, const Kernels& kernels, Arena& arena, float* y,
             std::int64_t stride);
struct LoraGradients {
  const float* dy = nullptr;  // [rows, out]
  std::int64_t stride = 0;
  float* grads = nullptr;  // of the trained parameters, added to
  float* dx = nullptr;     // [rows, in], added to
};
void AddLoraGradients(const LoraPass& pass, const Kernels& kernels, Arena& arena,
                      const LoraGradients& gradients);

}  // namespace tutti::model
