#include <cmath>
#include <string>
#include <utility>

#include "worker/model/config_fields.h"
#include "worker/model/decoder.h"

namespace tutti::model {
namespace {

DecoderNames NamesOf(const DecoderConfig& d) {
  const bool lm = d.head == Head::kCausalLm;
  DecoderNames names{
      .checkpoint = {.architecture = lm ? "GPT2LMHeadModel" : "GPT2ForSequenceClassification",
                     .base = "transformer.",
                     .ignored = {lm ? "score." : "lm_head.", "multiple_choice_head."},
                     .ignored_endings = {".attn.bias", ".attn.masked_bias"}},
      .embedding = "wte",
      .position = "wpe",
      .layer = "h.",
      .attention_norm = "ln_1",
      .mlp_norm = "ln_2",
      .final_norm = "ln_f",
      .projections = {"attn.c_attn"},
      .attention_out = "attn.c_proj",
      .up = "mlp.c_fc",
      .down = "mlp.c_proj",
      .head = lm ? "lm_head" : "score"};
  if (lm && d.tied) {
    names.checkpoint.ignored.emplace_back("lm_head.");
    names.checkpoint.tied = "transformer.wte.weight";
  }
  return names;
}

// 1 / sqrt(head_dim), unless scale_attn_weights says no; divided by layer + 1 where
// scale_attn_by_inverse_layer_idx says so.
void ReadScales(Fields& fields, DecoderConfig& d) {
  bool scaled = true, by_layer = false;
  fields.Boolean("scale_attn_weights", scaled);
  fields.Boolean("scale_attn_by_inverse_layer_idx", by_layer);
  for (std::int64_t i = 0; i < d.layers; ++i) {
    const float scale = scaled ? 1.0F / std::sqrt(static_cast<float>(d.head_dim)) : 1.0F;
    d.scales.push_back(by_layer ? scale / static_cast<float>(i + 1) : scale);
  }
}

Result<DecoderConfig> ParseGpt2(const ModelConfig& config) {
  TUTTI_ASSIGN_OR_RETURN(const nlohmann::json json, ConfigObject(config));
  Fields fields(json, config.path);
  DecoderConfig d{.head = config.head,
                  .vocabulary = 50257,
                  .hidden = 768,
                  .layers = 12,
                  .heads = 12,
                  .labels = static_cast<std::int64_t>(config.labels.size()),
                  .positions = 1024,
                  .tied = true,
                  .rms_norm = false,
                  .gated = false,
                  .input_major = true,
                  .projection_bias = true,
                  .attention_out_bias = true,
                  .mlp_bias = true,
                  .activation = Activation::kGeluTanh,
                  .norm_epsilon = 1e-5F,
                  .embedding_dropout = 0.1F,
                  .attention_dropout = 0.1F,
                  .residual_dropout = 0.1F};
  fields.Alias("n_positions", "max_position_embeddings");
  fields.Alias("n_embd", "hidden_size");
  fields.Alias("n_layer", "num_hidden_layers");
  fields.Alias("n_head", "num_attention_heads");
  fields.Integer("vocab_size", 1, 1 << 24, d.vocabulary);
  fields.Integer("n_positions", 1, kConfigSizeMax, d.positions);
  fields.Integer("n_embd", 1, kConfigSizeMax, d.hidden);
  fields.Integer("n_layer", 1, 1024, d.layers);
  fields.Integer("n_head", 1, 4096, d.heads);
  d.intermediate = 4 * d.hidden;
  fields.Integer("n_inner", 1, kConfigSizeMax, d.intermediate);
  fields.ReadActivation("activation_function", d.activation);
  fields.Epsilon("layer_norm_epsilon", d.norm_epsilon);
  fields.Number("initializer_range", 0, 1e6, d.initializer_range);
  fields.Probability("embd_pdrop", d.embedding_dropout);
  fields.Probability("attn_pdrop", d.attention_dropout);
  fields.Probability("resid_pdrop", d.residual_dropout);
  fields.Boolean("tie_word_embeddings", d.tied);
  std::int64_t none = -1;  // GPT-2's embedding has no padding row
  d.padding_id = fields.PaddingRow("pad_token_id", d.vocabulary, none);
  fields.False("add_cross_attention");
  if (const auto* found = fields.Find("quantization_config"); found != nullptr) {
    fields.Unsupported("quantization_config", *found, "use the unquantized model");
  }
  d.kv_heads = d.heads;
  d.head_dim = d.hidden / d.heads;
  if (d.hidden % d.heads != 0) {
    fields.Wrong("n_embd", std::to_string(d.hidden) + " is not a multiple of n_head " +
                               std::to_string(d.heads));
  }
  ReadScales(fields, d);
  d.windows.assign(static_cast<std::size_t>(d.layers), 0);
  d.names = NamesOf(d);
  TUTTI_RETURN_IF_ERROR(std::move(fields).Done());
  return d;
}

}  // namespace

// Radford et al. 2019, as transformers/models/gpt2/modeling_gpt2.py computes it.
Result<std::unique_ptr<Model>> MakeGpt2(const ModelConfig& config) {
  TUTTI_ASSIGN_OR_RETURN(const DecoderConfig decoder, ParseGpt2(config));
  return std::make_unique<Decoder>(config, decoder);
}

}  // namespace tutti::model
