#include "worker/model/config.h"

#include <algorithm>
#include <map>
#include <nlohmann/json.hpp>
#include <utility>

#include "common/file/file.h"
#include "common/json/parse.h"

namespace tutti::model {
namespace {

using Json = nlohmann::json;

constexpr std::size_t kLabelsMax = 65'536;
constexpr Bytes kConfigMax{16 << 20};
// Names of labels, twice: label2id has them too.
constexpr JsonLimits kConfigLimits{.values_max = 3 * kLabelsMax};
constexpr std::size_t kShownMax = 60;

Unexpected Invalid(const std::string& path, std::string message) {
  return Fail(ErrorCode::kInvalid, std::move(message), path);
}

Status ReadProblem(const Json& json, ModelConfig& config) {
  const auto found = json.find("problem_type");
  if (found == json.end() || found->is_null()) return {};
  for (const Problem problem :
       {Problem::kSingleLabel, Problem::kMultiLabel, Problem::kRegression}) {
    if (*found == ToString(problem)) {
      config.problem = problem;
      return {};
    }
  }
  return Invalid(config.path, "problem_type " + ShowJson(found->dump()) + " is not known");
}

// id2label: {"0": name, …} with every id below its size.
Status ReadLabels(const Json& json, ModelConfig& config) {
  const auto found = json.find("id2label");
  if (found == json.end() || found->is_null()) {
    std::int64_t count = 2;
    if (const auto number = json.find("num_labels"); number != json.end()) {
      if (!number->is_number_integer()) return Invalid(config.path, "num_labels is not an integer");
      count = number->get<std::int64_t>();
    }
    if (count < 1 || count > static_cast<std::int64_t>(kLabelsMax)) {
      return Invalid(config.path, "num_labels is out of range");
    }
    for (std::int64_t i = 0; i < count; ++i) config.labels.push_back("LABEL_" + std::to_string(i));
    return {};
  }
  if (!found->is_object() || found->empty() || found->size() > kLabelsMax) {
    return Invalid(config.path, "id2label is not an object of labels");
  }
  config.labels.resize(found->size());
  std::vector<bool> seen(found->size(), false);
  for (const auto& [key, value] : found->items()) {
    if (key.empty() || key.size() > 7 || key.find_first_not_of("0123456789") != key.npos) {
      return Invalid(config.path, "id2label has the key '" + ShowJson(key) + "', which is no id");
    }
    const auto id = static_cast<std::size_t>(std::stoul(key));
    if (id >= seen.size() || seen[id]) {
      return Invalid(config.path, "the ids of id2label are not 0 … " +
                                      std::to_string(seen.size() - 1) + ": " + key);
    }
    seen[id] = true;
    config.labels[id] = value.is_string() ? value.get<std::string>() : value.dump();
  }
  return {};
}

bool IsLanguageModel(const std::vector<std::string>& architectures) {
  return std::ranges::any_of(architectures, [](const std::string& name) {
    return name.ends_with("ForCausalLM") || name.ends_with("LMHeadModel");
  });
}

std::optional<std::int64_t> WholeNumber(const ModelConfig& config, const char* key) {
  const Json json = Json::parse(config.text, nullptr, /*allow_exceptions=*/false);
  if (!json.is_object()) return std::nullopt;
  const auto found = json.find(key);
  if (found == json.end() || !found->is_number_integer()) return std::nullopt;
  return found->get<std::int64_t>();
}

}  // namespace

std::string ShowJson(std::string text) {
  if (text.size() <= kShownMax) return text;
  std::size_t end = kShownMax;
  while (end > 0 && (static_cast<unsigned char>(text[end]) & 0xc0) == 0x80) --end;
  return text.substr(0, end) + "…";
}

std::string_view ToString(Problem problem) {
  switch (problem) {
    case Problem::kSingleLabel:
      return "single_label_classification";
    case Problem::kMultiLabel:
      return "multi_label_classification";
    case Problem::kRegression:
      return "regression";
  }
  return "";
}

Result<ModelConfig> ParseModelConfig(std::string text, std::string path) {
  ModelConfig config{.path = std::move(path)};
  TUTTI_ASSIGN_OR_RETURN(const Json json, ParseJson(text, config.path, kConfigLimits));
  if (!json.is_object()) return Invalid(config.path, "is not a JSON object");
  const auto type = json.find("model_type");
  if (type == json.end() || !type->is_string()) {
    return Fail(ErrorCode::kInvalid, "has no model_type", config.path,
                "Transformers writes it with save_pretrained");
  }
  config.model_type = type->get<std::string>();
  if (const auto found = json.find("architectures"); found != json.end() && found->is_array()) {
    for (const Json& name : *found) {
      if (name.is_string()) config.architectures.push_back(name.get<std::string>());
    }
  }
  if (IsLanguageModel(config.architectures)) config.head = Head::kCausalLm;
  TUTTI_RETURN_IF_ERROR(ReadProblem(json, config));
  TUTTI_RETURN_IF_ERROR(ReadLabels(json, config));
  config.text = std::move(text);
  return config;
}

Result<ModelConfig> ReadConfigFile(const std::filesystem::path& path) {
  TUTTI_ASSIGN_OR_RETURN(std::string text, ReadFile(path, kConfigMax));
  return ParseModelConfig(std::move(text), path.string());
}

std::optional<std::int64_t> PositionsOf(const ModelConfig& config) {
  const auto positions = WholeNumber(config, "max_position_embeddings");
  if (config.model_type == "gpt2") {
    const auto own = WholeNumber(config, "n_positions");
    return own ? own : positions;
  }
  if (config.model_type != "roberta" || !positions) return positions;
  return *positions - WholeNumber(config, "pad_token_id").value_or(1) - 1;
}

std::optional<std::int64_t> VocabularyOf(const ModelConfig& config) {
  return WholeNumber(config, "vocab_size");
}

Problem ResolveProblem(const ModelConfig& config, bool float_labels) {
  if (config.problem) return *config.problem;
  if (config.labels.size() == 1) return Problem::kRegression;
  return float_labels ? Problem::kMultiLabel : Problem::kSingleLabel;
}

}  // namespace tutti::model
