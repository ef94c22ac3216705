#include "worker/model/load.h"

#include <algorithm>
#include <cmath>
#include <map>
#include <optional>
#include <string_view>
#include <utility>

#include "common/base/check.h"
#include "jobs/spec/model_files.h"
#include "worker/model/random.h"
#include "worker/safetensors/convert.h"
#include "worker/safetensors/model_weights.h"

namespace tutti::model {
namespace {

using safetensors::ModelWeights;
using safetensors::Tensor;

std::string ShapeText(std::span<const std::int64_t> shape) {
  std::string text = "[";
  for (const std::int64_t size : shape) {
    text += (text.size() > 1 ? ", " : "") + std::to_string(size);
  }
  return text + "]";
}

// Where there are none that Tutti reads, it says whether others are.
Result<ModelWeights> OpenWeights(const std::filesystem::path& directory) {
  Result<ModelWeights> weights = ModelWeights::Open(directory);
  if (weights || weights.error().code != ErrorCode::kNotFound) return weights;
  std::vector<std::string> names;
  std::error_code ignored;
  for (const auto& entry : std::filesystem::directory_iterator(directory, ignored)) {
    names.push_back(entry.path().filename().string());
    if (names.back().ends_with(".safetensors.index.json")) return weights;  // a shard is missing
  }
  if (ignored) return weights;
  return Fail(spec::WithoutWeights(names, directory.string()));
}

std::string ModernName(std::string_view name) {
  for (const auto& [from, to] :
       {std::pair<std::string_view, std::string_view>{".gamma", ".weight"}, {".beta", ".bias"}}) {
    if (name.ends_with(from)) {
      return std::string(name.substr(0, name.size() - from.size())) + std::string(to);
    }
  }
  return std::string(name);
}

// The parameter that a checkpoint calls `name`; null: none.
const ParameterInfo* ParameterOf(const Model& model, std::string_view name) {
  const std::string modern = ModernName(name);
  if (const ParameterInfo* found = model.base_layout().Find(modern)) return found;
  return model.base_layout().Find(model.checkpoint_names().base + modern);
}

bool IsIgnored(const CheckpointNames& names, std::string_view name) {
  if (name.starts_with(names.base)) name.remove_prefix(names.base.size());
  return std::ranges::any_of(
             names.ignored,
             [name](const std::string& prefix) { return name.starts_with(prefix); }) ||
         std::ranges::any_of(names.ignored_endings,
                             [name](const std::string& ending) { return name.ends_with(ending); });
}

using Sources = std::map<std::string_view, std::string>;  // parameter -> tensor

Result<Sources> MatchNames(const Model& model, const ModelWeights& weights, LoadedWeights& loaded,
                           const std::string& where) {
  Sources sources;
  for (const std::string& name : weights.Names()) {
    const ParameterInfo* parameter = ParameterOf(model, name);
    if (parameter != nullptr) {
      const auto [at, added] = sources.emplace(parameter->name, name);
      if (added) continue;
      return Fail(ErrorCode::kInvalid, at->second + " and " + name + " are both " + parameter->name,
                  where);
    }
    if (!IsIgnored(model.checkpoint_names(), name)) {
      return Fail(
          ErrorCode::kInvalid,
          "the tensor " + name + " does not belong to " + model.checkpoint_names().architecture,
          where, "check model_type and num_hidden_layers in config.json");
    }
    loaded.ignored.push_back(name);
  }
  const ParameterInfo* tied = model.base_layout().Find(model.checkpoint_names().tied);
  const auto head = std::ranges::find(loaded.ignored, "lm_head.weight");
  if (tied != nullptr && head != loaded.ignored.end() && !sources.contains(tied->name)) {
    sources.emplace(tied->name, *head);
    loaded.ignored.erase(head);
  }
  return sources;
}

// All that is seen without the values.
Status CheckTensor(const ParameterInfo& parameter, const Tensor& tensor, const std::string& where) {
  if (!std::ranges::equal(tensor.shape, parameter.shape)) {
    return Fail(ErrorCode::kInvalid,
                std::string(tensor.name) + " is " + ShapeText(tensor.shape) + ", the model's is " +
                    ShapeText(parameter.shape),
                where,
                parameter.fresh_deviation ? "a head of other labels: remove it from the checkpoint "
                                            "to start a fresh one"
                                          : "config.json and the weights do not belong together");
  }
  return safetensors::CheckReadsAsFloat32(tensor, where);
}

Unexpected Lacking(const ParameterInfo& parameter, const std::string& where) {
  return Fail(ErrorCode::kInvalid, "the weights lack " + parameter.name, where,
              "config.json and the weights do not belong together");
}

Status FillOne(const ParameterInfo& parameter, const Tensor& tensor, const std::string& where,
               std::span<float> out) {
  TUTTI_RETURN_IF_ERROR(CheckTensor(parameter, tensor, where));
  TUTTI_RETURN_IF_ERROR(safetensors::ToFloat32(tensor, out));
  for (std::size_t i = 0; i < out.size(); ++i) {
    if (std::isfinite(out[i])) continue;
    return Fail(ErrorCode::kInvalid,
                std::string(tensor.name) + " holds " +
                    (std::isnan(out[i]) ? "NaN" : "an infinity") + " at element " +
                    std::to_string(i),
                where, "the checkpoint is broken: start from another one");
  }
  return {};
}

}  // namespace

Status CheckWeights(const Model& model, const std::filesystem::path& directory) {
  const std::string where = directory.string();
  TUTTI_ASSIGN_OR_RETURN(const ModelWeights weights, OpenWeights(directory));
  LoadedWeights loaded;
  TUTTI_ASSIGN_OR_RETURN(const Sources sources, MatchNames(model, weights, loaded, where));
  for (const ParameterInfo& parameter : model.base_layout().parameters()) {
    const auto source = sources.find(parameter.name);
    if (source == sources.end()) {
      if (parameter.fresh_deviation) continue;
      return Lacking(parameter, where);
    }
    TUTTI_ASSIGN_OR_RETURN(const Tensor tensor, weights.Find(source->second));
    TUTTI_RETURN_IF_ERROR(CheckTensor(parameter, tensor, where));
  }
  return {};
}

namespace {

// Each parameter's values go to `out` of `take(parameter)`, and `give(parameter, out)` follows.
template <typename Take, typename Give>
Result<LoadedWeights> LoadEach(const Model& model, const std::filesystem::path& directory,
                               std::uint64_t seed, const Take& take, const Give& give) {
  const std::string where = directory.string();
  TUTTI_ASSIGN_OR_RETURN(const ModelWeights weights, OpenWeights(directory));
  LoadedWeights loaded;
  TUTTI_ASSIGN_OR_RETURN(const Sources sources, MatchNames(model, weights, loaded, where));
  for (const ParameterInfo& parameter : model.base_layout().parameters()) {
    const std::span<float> out = take(parameter);
    const auto source = sources.find(parameter.name);
    if (source != sources.end()) {
      TUTTI_ASSIGN_OR_RETURN(const Tensor tensor, weights.Find(source->second));
      TUTTI_RETURN_IF_ERROR(FillOne(parameter, tensor, where, out));
    } else if (parameter.fresh_deviation) {
      FillNormal(HashSeed(seed, parameter.name), *parameter.fresh_deviation, out);
      loaded.fresh.push_back(parameter.name);
    } else {
      return Lacking(parameter, where);
    }
    give(parameter, out);
  }
  return loaded;
}

}  // namespace

Result<LoadedWeights> LoadWeights(const Model& model, const std::filesystem::path& directory,
                                  std::uint64_t seed, std::span<float> params) {
  const ParameterLayout& layout = model.base_layout();
  TUTTI_CHECK(params.size() == static_cast<std::size_t>(layout.total()), "params hold ",
              params.size(), " floats, the layout ", layout.total());
  std::ranges::fill(params, 0.0F);
  return LoadEach(
      model, directory, seed,
      [&](const ParameterInfo& parameter) {
        return params.subspan(static_cast<std::size_t>(parameter.offset),
                              static_cast<std::size_t>(parameter.count));
      },
      [](const ParameterInfo&, std::span<const float>) {});
}

Result<LoadedWeights> LoadWeights(const Model& model, const std::filesystem::path& directory,
                                  std::uint64_t seed, std::span<std::uint16_t> params) {
  const ParameterLayout& layout = model.base_layout();
  TUTTI_CHECK(params.size() == static_cast<std::size_t>(layout.total()), params.size(),
              " numbers for a layout of ", layout.total());
  std::ranges::fill(params, std::uint16_t{0});
  std::vector<float> room;
  return LoadEach(
      model, directory, seed,
      [&](const ParameterInfo& parameter) {
        room.assign(static_cast<std::size_t>(parameter.count), 0.0F);
        return std::span(room);
      },
      [&](const ParameterInfo& parameter, std::span<const float> values) {
        NarrowToBf16(values, params.data() + parameter.offset);
      });
}

bool LiesInBf16(const std::filesystem::path& directory) {
  const Result<ModelWeights> weights = ModelWeights::Open(directory);
  if (!weights) return false;
  return std::ranges::all_of(weights->Names(), [&](const std::string& name) {
    const Result<Tensor> tensor = weights->Find(name);
    return tensor.has_value() && tensor->dtype == safetensors::DType::kBF16;
  });
}

}  // namespace tutti::model
