#include "worker/model/own_head.h"

#include <algorithm>
#include <nlohmann/json.hpp>
#include <optional>
#include <string_view>
#include <vector>

#include "worker/safetensors/convert.h"
#include "worker/safetensors/model_weights.h"

namespace tutti::model {
namespace {

using nlohmann::json;
using safetensors::ModelWeights;
using safetensors::Tensor;

constexpr const char* kTie = "tie_word_embeddings";
constexpr std::size_t kPiece = 1 << 16;  // elements that are compared at a time

// What a family that has an output layer calls its embedding, and whether it ties them by default.
struct Embedding {
  std::string_view model_type, name, base;
  bool tied = false;
};
constexpr Embedding kEmbeddings[] = {
    {.model_type = "gpt2", .name = "wte.weight", .base = "transformer.", .tied = true},
    {.model_type = "llama", .name = "embed_tokens.weight", .base = "model."},
    {.model_type = "mistral", .name = "embed_tokens.weight", .base = "model."},
    {.model_type = "qwen2", .name = "embed_tokens.weight", .base = "model."},
};

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

}  // namespace

void KeepOwnHead(const std::filesystem::path& directory, ModelConfig& config) {
  const auto* const family =
      std::ranges::find(kEmbeddings, std::string_view(config.model_type), &Embedding::model_type);
  if (family == std::end(kEmbeddings)) return;
  json text = json::parse(config.text, nullptr, /*allow_exceptions=*/false);
  const auto said = text.find(kTie);
  const bool tied = said == text.end() || !said->is_boolean() ? family->tied : said->get<bool>();
  if (!tied) return;
  const auto weights = ModelWeights::Open(directory);
  if (!weights) return;
  const auto head = Find(*weights, "lm_head.weight");
  auto embedding = Find(*weights, family->name);
  if (!embedding) {
    embedding = Find(*weights, std::string(family->base) + std::string(family->name));
  }
  if (!head || !embedding || SameValues(*head, *embedding)) return;
  text[kTie] = false;
  config.text = text.dump(-1, ' ', /*ensure_ascii=*/false, json::error_handler_t::replace);
}

}  // namespace tutti::model
