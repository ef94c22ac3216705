#include "worker/model/bert_config.h"

#include <array>
#include <cmath>
#include <nlohmann/json.hpp>
#include <string>
#include <string_view>

namespace tutti::model {
namespace {

using Json = nlohmann::json;

struct Named {
  std::string_view name;
  Activation activation;
};
// Names of Transformers' ACT2FN.
constexpr std::array kActivations = {
    Named{"gelu", Activation::kGelu},
    Named{"gelu_python", Activation::kGelu},
    Named{"gelu_new", Activation::kGeluTanh},
    Named{"gelu_fast", Activation::kGeluTanh},
    Named{"gelu_pytorch_tanh", Activation::kGeluTanh},
    Named{"gelu_accurate", Activation::kGeluTanh},
    Named{"quick_gelu", Activation::kQuickGelu},
    Named{"relu", Activation::kRelu},
    Named{"silu", Activation::kSilu},
    Named{"swish", Activation::kSilu},
    Named{"tanh", Activation::kTanh},
};

// Reads fields one by one and remembers the first error.
class Fields {
 public:
  Fields(const Json& json, const std::string& path) : json_(json), path_(path) {}

  const Json* Find(const char* key) const {
    const auto found = json_.find(key);
    return found == json_.end() || found->is_null() ? nullptr : &*found;
  }
  void Integer(const char* key, std::int64_t from, std::int64_t to, std::int64_t& value) {
    const Json* found = Find(key);
    if (found == nullptr) return;
    if (!found->is_number_integer()) return Wrong(key, "is not an integer");
    const bool fits = !found->is_number_unsigned() || found->get<std::uint64_t>() <= INT64_MAX;
    value = found->get<std::int64_t>();
    if (!fits || value < from || value > to) {
      Wrong(key,
            "is " + found->dump() + ", not " + std::to_string(from) + " … " + std::to_string(to));
    }
  }
  void Number(const char* key, double from, double below, double& value) {
    const Json* found = Find(key);
    if (found == nullptr) return;
    if (!found->is_number()) return Wrong(key, "is not a number");
    value = found->get<double>();
    if (!(value >= from && value < below)) Wrong(key, "is " + found->dump() + ": out of range");
  }
  void Probability(const char* key, float& value) {
    double number = static_cast<double>(value);
    Number(key, 0, 1, number);
    value = static_cast<float>(number);
  }
  void False(const char* key) {
    const Json* found = Find(key);
    if (found != nullptr && *found != false) Unsupported(key, *found);
  }
  void Unsupported(const char* key, const Json& value, std::string hint = {}) {
    Keep({ErrorCode::kUnsupported,
          std::string(key) + " = " + ShowJson(value.dump()) + " is not supported yet", path_,
          std::move(hint)});
  }
  void Wrong(const char* key, std::string what) {
    Keep({ErrorCode::kInvalid, std::string(key) + " " + std::move(what), path_, {}});
  }
  Status Done() && {
    if (error_) return Fail(*std::move(error_));
    return {};
  }

 private:
  void Keep(Error error) {
    if (!error_) error_ = std::move(error);
  }

  const Json& json_;
  const std::string& path_;
  std::optional<Error> error_;
};

void ReadActivation(Fields& fields, BertConfig& bert) {
  const Json* found = fields.Find("hidden_act");
  if (found == nullptr) return;
  std::string supported;
  for (const Named& known : kActivations) {
    if (*found == known.name) {
      bert.activation = known.activation;
      return;
    }
    supported += (supported.empty() ? "" : ", ") + std::string(known.name);
  }
  fields.Unsupported("hidden_act", *found, "supported: " + supported);
}

void ReadPadding(Fields& fields, const Json& json, BertConfig& bert) {
  if (json.contains("pad_token_id") && json["pad_token_id"].is_null()) {
    bert.padding_id = -1;
    return;
  }
  fields.Integer("pad_token_id", -bert.vocabulary, bert.vocabulary - 1, bert.padding_id);
  if (bert.padding_id < 0) bert.padding_id += bert.vocabulary;  // as nn.Embedding does
}

}  // namespace

Result<BertConfig> ParseBertConfig(const ModelConfig& config) {
  const Json json = Json::parse(config.text, nullptr, /*allow_exceptions=*/false);
  if (!json.is_object()) return Fail(ErrorCode::kInvalid, "is not a JSON object", config.path);
  BertConfig bert;
  bert.labels = static_cast<std::int64_t>(config.labels.size());
  Fields fields(json, config.path);
  constexpr std::int64_t kSizeMax = 1 << 20;
  fields.Integer("vocab_size", 1, 1 << 24, bert.vocabulary);
  fields.Integer("hidden_size", 1, kSizeMax, bert.hidden);
  fields.Integer("num_hidden_layers", 1, 1024, bert.layers);
  fields.Integer("num_attention_heads", 1, 4096, bert.heads);
  fields.Integer("intermediate_size", 1, kSizeMax, bert.intermediate);
  fields.Integer("max_position_embeddings", 1, kSizeMax, bert.positions);
  fields.Integer("type_vocab_size", 1, kSizeMax, bert.types);
  ReadPadding(fields, json, bert);
  ReadActivation(fields, bert);
  double epsilon = static_cast<double>(bert.norm_epsilon);
  fields.Number("layer_norm_eps", 0, 1, epsilon);
  bert.norm_epsilon = static_cast<float>(epsilon);
  fields.Number("initializer_range", 0, 1e6, bert.initializer_range);
  fields.Probability("hidden_dropout_prob", bert.hidden_dropout);
  fields.Probability("attention_probs_dropout_prob", bert.attention_dropout);
  bert.classifier_dropout = bert.hidden_dropout;
  fields.Probability("classifier_dropout", bert.classifier_dropout);
  if (const Json* found = fields.Find("position_embedding_type");
      found != nullptr && *found != "absolute") {
    fields.Unsupported("position_embedding_type", *found, "supported: absolute");
  }
  fields.False("is_decoder");
  fields.False("add_cross_attention");
  if (const Json* found = fields.Find("quantization_config"); found != nullptr) {
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

}  // namespace tutti::model
