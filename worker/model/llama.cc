#include <cmath>
#include <string>
#include <utility>

#include "worker/model/decoder.h"
#include "worker/model/llama_config.h"

namespace tutti::model {
void ReadLlamaShape(Fields& fields, const ModelConfig& config, const std::string& family,
                    DecoderConfig& d) {
  d.head = config.head;
  d.labels = static_cast<std::int64_t>(config.labels.size());
  fields.Integer("vocab_size", 1, 1 << 24, d.vocabulary);
  fields.Integer("hidden_size", 1, kConfigSizeMax, d.hidden);
  fields.Integer("intermediate_size", 1, kConfigSizeMax, d.intermediate);
  fields.Integer("num_hidden_layers", 1, 1024, d.layers);
  fields.Integer("num_attention_heads", 1, 4096, d.heads);
  if (fields.IsNull("num_key_value_heads")) d.kv_heads = d.heads;
  fields.Integer("num_key_value_heads", 1, 4096, d.kv_heads);
  d.head_dim = d.hidden / d.heads;
  fields.Integer("head_dim", 1, kConfigSizeMax, d.head_dim);
  fields.ReadActivation("hidden_act", d.activation);
  fields.Epsilon("rms_norm_eps", d.norm_epsilon);
  fields.Number("initializer_range", 0, 1e6, d.initializer_range);
  fields.Probability("attention_dropout", d.attention_dropout);
  fields.Boolean("tie_word_embeddings", d.tied);
  d.padding_id = fields.PaddingRow("pad_token_id", d.vocabulary, d.padding_row);
  d.names = {.checkpoint = {.architecture =
                                family + (d.head == Head::kCausalLm ? "ForCausalLM"
                                                                    : "ForSequenceClassification"),
                            .base = "model.",
                            .ignored = {d.head == Head::kCausalLm ? "score." : "lm_head."},
                            .ignored_endings = {"rotary_emb.inv_freq"}},
             .embedding = "embed_tokens",
             .layer = "layers.",
             .attention_norm = "input_layernorm",
             .mlp_norm = "post_attention_layernorm",
             .final_norm = "norm",
             .projections = {"self_attn.q_proj", "self_attn.k_proj", "self_attn.v_proj"},
             .attention_out = "self_attn.o_proj",
             .gate = "mlp.gate_proj",
             .up = "mlp.up_proj",
             .down = "mlp.down_proj",
             .head = d.head == Head::kCausalLm ? "lm_head" : "score"};
  if (d.head == Head::kCausalLm && d.tied) {
    d.names.checkpoint.ignored.emplace_back("lm_head.");
    d.names.checkpoint.tied = "model.embed_tokens.weight";
  }
}

Result<DecoderConfig> FinishLlama(Fields fields, const nlohmann::json& json,
                                  const ModelConfig& config, DecoderConfig d) {
  std::int64_t positions = 2048;
  fields.Integer("max_position_embeddings", 1, 1 << 30, positions);
  if (const auto* found = fields.Find("quantization_config"); found != nullptr) {
    fields.Unsupported("quantization_config", *found, "use the unquantized model");
  }
  if (d.heads % d.kv_heads != 0) {
    fields.Wrong("num_attention_heads", std::to_string(d.heads) +
                                            " is not a multiple of num_key_value_heads " +
                                            std::to_string(d.kv_heads));
  }
  if (d.q_width() > kConfigSizeMax) {  // sums of sizes stay far from where they overflow
    fields.Wrong("head_dim", std::to_string(d.head_dim) + " times num_attention_heads " +
                                 std::to_string(d.heads) + " is beyond " +
                                 std::to_string(kConfigSizeMax));
  }
  if (fields.Find("head_dim") == nullptr && d.hidden % d.heads != 0) {
    fields.Wrong("hidden_size", std::to_string(d.hidden) +
                                    " is not a multiple of num_attention_heads " +
                                    std::to_string(d.heads));
  }
  TUTTI_RETURN_IF_ERROR(std::move(fields).Done());
  TUTTI_ASSIGN_OR_RETURN(
      d.rope, ParseRope(json, config.path, {.head_dim = d.head_dim, .positions = positions}));
  d.positions = d.rope->positions_max;
  const auto layers = static_cast<std::size_t>(d.layers);
  d.scales.assign(layers, 1.0F / std::sqrt(static_cast<float>(d.head_dim)));
  d.windows.resize(layers, 0);
  return d;
}

Result<std::unique_ptr<Model>> MakeLlama(const ModelConfig& config) {
  TUTTI_ASSIGN_OR_RETURN(const nlohmann::json json, ConfigObject(config));
  Fields fields(json, config.path);
  DecoderConfig decoder;
  decoder.kv_heads = 0;  // as many as heads where there is no such field
  ReadLlamaShape(fields, config, "Llama", decoder);
  if (decoder.kv_heads == 0) decoder.kv_heads = decoder.heads;
  bool bias = false;
  fields.Boolean("attention_bias", bias);
  decoder.projection_bias = decoder.attention_out_bias = bias;
  fields.Boolean("mlp_bias", decoder.mlp_bias);
  TUTTI_ASSIGN_OR_RETURN(decoder, FinishLlama(std::move(fields), json, config, std::move(decoder)));
  return std::make_unique<Decoder>(config, decoder);
}

}  // namespace tutti::model
