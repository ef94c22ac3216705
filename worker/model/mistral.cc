#include <utility>

#include "worker/model/decoder.h"
#include "worker/model/llama_config.h"

namespace tutti::model {

// Jiang et al. 2023: Llama with fewer key-value heads by default and a window in every layer.
Result<std::unique_ptr<Model>> MakeMistral(const ModelConfig& config) {
  TUTTI_ASSIGN_OR_RETURN(const nlohmann::json json, ConfigObject(config));
  Fields fields(json, config.path);
  DecoderConfig decoder;
  decoder.intermediate = 14336;
  decoder.kv_heads = 8;
  ReadLlamaShape(fields, config, "Mistral", decoder);
  std::int64_t window = fields.IsNull("sliding_window") ? 0 : 4096;
  fields.Integer("sliding_window", 1, 1 << 30, window);
  decoder.windows.assign(static_cast<std::size_t>(decoder.layers), window);
  TUTTI_ASSIGN_OR_RETURN(decoder, FinishLlama(std::move(fields), json, config, std::move(decoder)));
  return std::make_unique<Decoder>(config, decoder);
}

}  // namespace tutti::model
