#include <algorithm>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "worker/model/config.h"
#include "worker/model/model.h"
#include "worker/safetensors/convert.h"
#include "worker/safetensors/model_weights.h"

namespace tutti::model {
namespace {

using safetensors::ModelWeights;
using safetensors::Tensor;

constexpr std::size_t kPiece = 1 << 16;  // elements that are compared at a time

std::optional<Tensor> Find(const ModelWeights& weights, std::string_view name) {
  const auto found = weights.Find(name);
  if (!found) return std::nullopt;
  return *found;
}

// As floats, whatever types the two have; types that are none compare equal: loading refuses them.
bool SameValues(const Tensor& a, const Tensor& b) {
  if (a.elements() != b.elements()) return false;
  if (a.dtype == b.dtype && std::ranges::equal(a.data, b.data)) return true;
  const auto piece = [](const Tensor& from, std::size_t at, std::vector<float>& out) {
    const std::size_t width = safetensors::SizeOf(from.dtype);
    return safetensors::ToFloat32({.name = from.name,
                                   .dtype = from.dtype,
                                   .shape = from.shape,
                                   .data = from.data.subspan(at * width, out.size() * width)},
                                  out)
        .has_value();
  };
  std::vector<float> x, y;
  for (std::size_t at = 0; at < a.elements(); at += kPiece) {
    const std::size_t count = std::min(kPiece, a.elements() - at);
    x.resize(count);
    y.resize(count);
    if (!piece(a, at, x) || !piece(b, at, y)) return true;
    if (x != y) return false;
  }
  return true;
}

// Where `config` ties the output layer to the embedding and the weights in `directory` hold one
// that differs, the configuration's text says from here on that they are not tied: Transformers 5
// keeps both then, and trains both. Weights that cannot be read change nothing; loading them says
// why. Reads both tensors where both are there.
void KeepOwnHead(const std::filesystem::path& directory, ModelConfig& config) {
  ModelConfig language = config;
  language.head = Head::kCausalLm;
  const auto model = MakeModel(language);
  if (!model) return;
  const CheckpointNames& names = (*model)->checkpoint_names();
  if (names.tied.empty()) return;
  const auto weights = ModelWeights::Open(directory);
  if (!weights) return;
  const auto head = Find(*weights, "lm_head.weight");
  auto embedding = Find(*weights, names.tied);
  if (!embedding) embedding = Find(*weights, names.tied.substr(names.base.size()));
  if (!head || !embedding || SameValues(*head, *embedding)) return;
  nlohmann::json text = nlohmann::json::parse(config.text, nullptr, /*allow_exceptions=*/false);
  text["tie_word_embeddings"] = false;
  config.text =
      text.dump(-1, ' ', /*ensure_ascii=*/false, nlohmann::json::error_handler_t::replace);
}

}  // namespace

Result<ModelConfig> ReadModelConfig(const std::filesystem::path& directory) {
  TUTTI_ASSIGN_OR_RETURN(ModelConfig config, ReadConfigFile(directory / "config.json"));
  KeepOwnHead(directory, config);
  return config;
}

}  // namespace tutti::model
