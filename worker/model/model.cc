#include "worker/model/model.h"

#include <algorithm>
#include <array>
#include <string_view>
#include <utility>

#include "worker/model/bert.h"
#include "worker/model/decoder.h"

namespace tutti::model {
namespace {

struct Family {
  std::string_view model_type;
  bool generates = false;  // it can have a language model's head
  Result<std::unique_ptr<Model>> (*make)(const ModelConfig&) = nullptr;
  std::string_view targets[2] = {};  // of adapters, where none are asked for: PEFT's
};

constexpr std::array kFamilies = {
    Family{.model_type = "bert", .make = MakeBert, .targets = {"query", "value"}},
    Family{.model_type = "distilbert", .make = MakeDistilBert, .targets = {"q_lin", "v_lin"}},
    Family{.model_type = "gpt2", .generates = true, .make = MakeGpt2, .targets = {"c_attn"}},
    Family{.model_type = "llama",
           .generates = true,
           .make = MakeLlama,
           .targets = {"q_proj", "v_proj"}},
    Family{.model_type = "mistral",
           .generates = true,
           .make = MakeMistral,
           .targets = {"q_proj", "v_proj"}},
    Family{.model_type = "qwen2",
           .generates = true,
           .make = MakeQwen2,
           .targets = {"q_proj", "v_proj"}},
    Family{.model_type = "roberta", .make = MakeRoberta, .targets = {"query", "value"}},
};

// "bert, gpt2, …": those that can have this head, in order.
std::string SupportedFamilies(Head head) {
  std::string names;
  for (const Family& family : kFamilies) {
    if (head == Head::kCausalLm && !family.generates) continue;
    names += (names.empty() ? "" : ", ") + std::string(family.model_type);
  }
  return names;
}

// Of an adapter's input: one stream a layer.
Dropout AdapterDropout(const Adapter& adapter, const Adapter::Lora& lora, std::uint64_t key) {
  if (key == 0) return {};
  constexpr std::uint64_t kSites = std::uint64_t{1} << 40;  // beyond those of the layers
  const auto site = kSites + static_cast<std::uint64_t>(lora.weight);
  return {MixBits(key ^ MixBits(site)), static_cast<float>(adapter.options().lora_dropout)};
}

}  // namespace

Status Model::Adapt(const LoraOptions& options) {
  const auto family = std::ranges::find(kFamilies, config_.model_type, &Family::model_type);
  std::vector<std::string> targets;
  for (const std::string_view target : family->targets) {
    if (!target.empty()) targets.emplace_back(target);
  }
  TUTTI_ASSIGN_OR_RETURN(
      adapter_, Adapter::Make(options, {.layout = layout_,
                                        .linears = linears_,
                                        .default_targets = targets,
                                        .classifies = config_.head == Head::kClassification}));
  return {};
}

// Vectors are few, and read as floats.
void Model::BindBase(const WeightPlace& base) {
  base_ = base;
  base_vectors_.clear();
  if (base.halves == nullptr) return;
  for (const ParameterInfo& parameter : layout_.parameters()) {
    if (parameter.shape.size() != 1) continue;
    std::vector<float>& values = base_vectors_[parameter.offset];
    values.resize(static_cast<std::size_t>(parameter.count));
    base.At(parameter.offset).CopyTo(values);
  }
}

void Model::LinearApply(std::int64_t weight, const LinearShape& shape, const LinearInput& x,
                        float* y, std::int64_t stride, std::uint64_t key, Arena& arena) const {
  LinearForward(shape, x.rows, Matrix(weight), y, stride, ModeOf(arena));
  AdapterApply(weight, shape.rows, x.x, y, stride, key, arena);
}

void Model::LinearApply(std::int64_t weight, const LinearShape& shape, const float* x, float* y,
                        std::int64_t stride, std::uint64_t key, Arena& arena) const {
  LinearApply(weight, shape, LinearInput(x, shape.rows, shape.in, ModeOf(arena)), y, stride, key,
              arena);
}

void Model::LinearApplyBackward(std::int64_t weight, const LinearShape& shape, const LinearInput& x,
                                const LinearGradient& g, std::uint64_t key, Arena& arena) const {
  {
    const LinearRows dy(g.dy, shape.rows, shape.out, g.stride, ModeOf(arena));
    if (float* const gradient = Gradient(weight)) {
      LinearWeightGradient(shape, dy, x.rows, gradient);
    }
    LinearInputGradient(shape, dy, Matrix(weight), g.dx, shape.in, g.add, ModeOf(arena));
  }
  AdapterApplyBackward(weight, shape.rows, x.x, g, key, arena);
}

void Model::LinearApplyBackward(std::int64_t weight, const LinearShape& shape, const float* x,
                                const LinearGradient& g, std::uint64_t key, Arena& arena) const {
  LinearApplyBackward(weight, shape, LinearInput(x, shape.rows, shape.in, ModeOf(arena)), g, key,
                      arena);
}

void Model::AdapterApply(std::int64_t weight, std::int64_t rows, const float* x, float* y,
                         std::int64_t stride, std::uint64_t key, Arena& arena) const {
  if (!adapter_ || base_alone_) return;
  const Adapter::Lora* const lora = adapter_->Find(weight);
  if (lora == nullptr) return;
  AddLora({*lora, params_, rows, x, AdapterDropout(*adapter_, *lora, key)}, CpuKernels(), arena, y,
          stride);
}

void Model::AdapterApplyBackward(std::int64_t weight, std::int64_t rows, const float* x,
                                 const LinearGradient& g, std::uint64_t key, Arena& arena) const {
  if (!adapter_) return;
  const Adapter::Lora* const lora = adapter_->Find(weight);
  if (lora == nullptr) return;
  AddLoraGradients({*lora, params_, rows, x, AdapterDropout(*adapter_, *lora, key)}, CpuKernels(),
                   arena, {.dy = g.dy, .stride = g.stride, .grads = grads_, .dx = g.dx});
}

Result<std::unique_ptr<Model>> MakeModel(const ModelConfig& config) {
  const auto family = std::ranges::find(kFamilies, config.model_type, &Family::model_type);
  if (family == kFamilies.end()) {
    return Fail(ErrorCode::kUnsupported,
                "model_type '" + config.model_type + "' is not supported yet", config.path,
                "supported: " + SupportedFamilies(config.head));
  }
  if (config.head == Head::kCausalLm && !family->generates) {
    return Fail(ErrorCode::kUnsupported,
                "model_type '" + config.model_type + "' does not write text", config.path,
                "supported for text-generation: " + SupportedFamilies(Head::kCausalLm));
  }
  return family->make(config);
}

}  // namespace tutti::model
