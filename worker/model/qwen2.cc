#include <utility>

#include "worker/model/decoder.h"
#include "worker/model/llama_config.h"

namespace tutti::model {
namespace {

// Which layers have the window: layer_types says it, else those from max_window_layers on.
void ReadWindows(Fields& fields, DecoderConfig& decoder) {
  bool windowed = false;
  std::int64_t window = 4096, from = 28;
  fields.Boolean("use_sliding_window", windowed);
  if (fields.IsNull("sliding_window")) windowed = false;
  fields.Integer("sliding_window", 1, 1 << 30, window);
  fields.Integer("max_window_layers", 0, 1 << 20, from);
  const auto* const types = fields.Find("layer_types");
  if (types != nullptr &&
      (!types->is_array() || types->size() != static_cast<std::size_t>(decoder.layers))) {
    return fields.Wrong("layer_types", "is not an array with an entry for every layer");
  }
  for (std::int64_t i = 0; i < decoder.layers; ++i) {
    bool has = i >= from;
    if (types != nullptr) {
      const auto& type = (*types)[static_cast<std::size_t>(i)];
      has = type == "sliding_attention";
      if (!has && type != "full_attention") {
        fields.Unsupported("layer_types", type, "supported: full_attention, sliding_attention");
      }
    }
    decoder.windows.push_back(windowed && has ? window : 0);
  }
}

}  // namespace

// Yang et al. 2024: Llama with biases on queries, keys and values.
Result<std::unique_ptr<Model>> MakeQwen2(const ModelConfig& config) {
  TUTTI_ASSIGN_OR_RETURN(const nlohmann::json json, ConfigObject(config));
  Fields fields(json, config.path);
  DecoderConfig decoder;
  decoder.vocabulary = 151936;
  decoder.intermediate = 22016;
  decoder.projection_bias = true;
  ReadLlamaShape(fields, config, "Qwen2", decoder);
  ReadWindows(fields, decoder);
  TUTTI_ASSIGN_OR_RETURN(decoder, FinishLlama(std::move(fields), json, config, std::move(decoder)));
  return std::make_unique<Decoder>(config, decoder);
}

}  // namespace tutti::model
