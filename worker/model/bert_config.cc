#include "worker/model/bert_config.h"

#include <algorithm>
#include <string>
#include <utility>

#include "worker/model/config_fields.h"

namespace tutti::model {
namespace {

// The layers' names of BERT and RoBERTa.
BertNames NamesOfBert() {
  return {.layer = "encoder.layer.",
          .projections = {"attention.self.query", "attention.self.key", "attention.self.value"},
          .attention_out = "attention.output.dense",
          .attention_norm = "attention.output.LayerNorm",
          .up = "intermediate.dense",
          .down = "output.dense",
          .out_norm = "output.LayerNorm"};
}

// The fields that BERT and RoBERTa share.
void ReadShared(Fields& fields, BertConfig& bert) {
  fields.Integer("vocab_size", 1, 1 << 24, bert.vocabulary);
  fields.Integer("hidden_size", 1, kConfigSizeMax, bert.hidden);
  fields.Integer("num_hidden_layers", 1, 1024, bert.layers);
  fields.Integer("num_attention_heads", 1, 4096, bert.heads);
  fields.Integer("intermediate_size", 1, kConfigSizeMax, bert.intermediate);
  fields.Integer("max_position_embeddings", 1, kConfigSizeMax, bert.positions);
  fields.Integer("type_vocab_size", 1, kConfigSizeMax, bert.types);
  fields.PaddingRow("pad_token_id", bert.vocabulary, bert.padding_id);
  fields.ReadActivation("hidden_act", bert.activation);
  fields.Epsilon("layer_norm_eps", bert.norm_epsilon);
  fields.Number("initializer_range", 0, 1e6, bert.initializer_range);
  fields.Probability("hidden_dropout_prob", bert.hidden_dropout);
  fields.Probability("attention_probs_dropout_prob", bert.attention_dropout);
  bert.attention_out_dropout = bert.hidden_dropout;
  bert.classifier_dropout = bert.hidden_dropout;
  fields.Probability("classifier_dropout", bert.classifier_dropout);
  if (const auto* found = fields.Find("position_embedding_type");
      found != nullptr && *found != "absolute") {
    fields.Unsupported("position_embedding_type", *found, "supported: absolute");
  }
  fields.False("is_decoder");
  fields.False("add_cross_attention");
}

Result<BertConfig> Checked(Fields fields, BertConfig bert, const ModelConfig& config) {
  if (const auto* found = fields.Find("quantization_config"); found != nullptr) {
    fields.Unsupported("quantization_config", *found, "use the unquantized model");
  }
  TUTTI_RETURN_IF_ERROR(std::move(fields).Done());
  if (bert.hidden % bert.heads != 0) {
    return Fail(ErrorCode::kInvalid,
                "hidden_size " + std::to_string(bert.hidden) +
                    " is not a multiple of num_attention_heads " + std::to_string(bert.heads),
                config.path);
  }
  return bert;
}

BertConfig Start(const ModelConfig& config) {
  BertConfig bert;
  bert.labels = static_cast<std::int64_t>(config.labels.size());
  return bert;
}

}  // namespace

Result<BertConfig> ParseBertConfig(const ModelConfig& config) {
  TUTTI_ASSIGN_OR_RETURN(const nlohmann::json json, ConfigObject(config));
  BertConfig bert = Start(config);
  Fields fields(json, config.path);
  ReadShared(fields, bert);
  bert.names = NamesOfBert();
  bert.names.pooler = "bert.pooler.dense";
  bert.names.classifier = "classifier";
  bert.names.checkpoint = {.architecture = "BertForSequenceClassification",
                           .base = "bert.",
                           .ignored = {"cls.", "qa_outputs.", "embeddings.position_ids"}};
  return Checked(std::move(fields), std::move(bert), config);
}

Result<BertConfig> ParseRobertaConfig(const ModelConfig& config) {
  TUTTI_ASSIGN_OR_RETURN(const nlohmann::json json, ConfigObject(config));
  BertConfig bert = Start(config);
  bert.vocabulary = 50265;
  bert.padding_id = 1;
  bert.positions_by_id = true;
  Fields fields(json, config.path);
  ReadShared(fields, bert);
  if (bert.padding_id < 0) fields.Wrong("pad_token_id", "is missing: positions count from it");
  if (const auto* id = fields.Find("pad_token_id"); id != nullptr && id->is_number_integer()) {
    const std::int64_t last = std::min(bert.vocabulary, bert.positions - 1) - 1;
    if (*id < 0 || *id > last) {
      fields.Wrong("pad_token_id", "is " + id->dump() + ", not 0 … " + std::to_string(last) +
                                       ": positions count from it");
    }
  }
  bert.pooler_dropout = bert.classifier_dropout;
  bert.names = NamesOfBert();
  bert.names.pooler = "classifier.dense";
  bert.names.classifier = "classifier.out_proj";
  bert.names.checkpoint = {
      .architecture = "RobertaForSequenceClassification",
      .base = "roberta.",
      .ignored = {"lm_head.", "pooler.", "qa_outputs.", "embeddings.position_ids"}};
  return Checked(std::move(fields), std::move(bert), config);
}

Result<BertConfig> ParseDistilBertConfig(const ModelConfig& config) {
  TUTTI_ASSIGN_OR_RETURN(const nlohmann::json json, ConfigObject(config));
  BertConfig bert = Start(config);
  bert.layers = 6;
  bert.types = 0;
  bert.pooler_activation = Activation::kRelu;
  bert.attention_out_dropout = 0;
  bert.classifier_dropout = 0.2F;
  Fields fields(json, config.path);
  fields.Alias("dim", "hidden_size");
  fields.Alias("n_layers", "num_hidden_layers");
  fields.Alias("n_heads", "num_attention_heads");
  fields.Integer("vocab_size", 1, 1 << 24, bert.vocabulary);
  fields.Integer("dim", 1, kConfigSizeMax, bert.hidden);
  fields.Integer("n_layers", 1, 1024, bert.layers);
  fields.Integer("n_heads", 1, 4096, bert.heads);
  fields.Integer("hidden_dim", 1, kConfigSizeMax, bert.intermediate);
  fields.Integer("max_position_embeddings", 1, kConfigSizeMax, bert.positions);
  fields.PaddingRow("pad_token_id", bert.vocabulary, bert.padding_id);
  fields.ReadActivation("activation", bert.activation);
  fields.Number("initializer_range", 0, 1e6, bert.initializer_range);
  fields.Probability("dropout", bert.hidden_dropout);
  fields.Probability("attention_dropout", bert.attention_dropout);
  fields.Probability("seq_classif_dropout", bert.classifier_dropout);
  fields.False("sinusoidal_pos_embds");
  bert.names = {.layer = "transformer.layer.",
                .projections = {"attention.q_lin", "attention.k_lin", "attention.v_lin"},
                .attention_out = "attention.out_lin",
                .attention_norm = "sa_layer_norm",
                .up = "ffn.lin1",
                .down = "ffn.lin2",
                .out_norm = "output_layer_norm",
                .pooler = "pre_classifier",
                .classifier = "classifier"};
  bert.names.checkpoint = {.architecture = "DistilBertForSequenceClassification",
                           .base = "distilbert.",
                           .ignored = {"vocab_transform.", "vocab_layer_norm.", "vocab_projector.",
                                       "qa_outputs.", "embeddings.position_ids"}};
  return Checked(std::move(fields), std::move(bert), config);
}

}  // namespace tutti::model
