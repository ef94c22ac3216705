// What Llama, Mistral and Qwen2 have in common in config.json. For their files only.
#pragma once

#include "common/base/result.h"
#include "worker/model/config_fields.h"
#include "worker/model/decoder_config.h"

namespace tutti::model {

// Sizes, norms, positions, names and what PyTorch's modules are called, for `family` as
// Transformers spells it ("Llama"). `decoder` holds the family's defaults.
void ReadLlamaShape(Fields& fields, const ModelConfig& config, const std::string& family,
                    DecoderConfig& decoder);
// The rest, once the family has read what is its own: positions, and whether all of it fits.
Result<DecoderConfig> FinishLlama(Fields fields, const nlohmann::json& json,
                                  const ModelConfig& config, DecoderConfig decoder);

}  // namespace tutti::model
