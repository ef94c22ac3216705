// config.json of a Hugging Face model: what every family has. The family's own part is read by its
// own file from `text`. A value.
#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "common/base/result.h"

namespace tutti::model {

// What a classification head answers.
enum class Problem { kSingleLabel, kMultiLabel, kRegression };

// "single_label_classification", "multi_label_classification", "regression".
std::string_view ToString(Problem problem);

// What stands on top of a model's layers.
enum class Head { kClassification, kCausalLm };

struct ModelConfig {
  std::string model_type{};
  std::vector<std::string> architectures{};
  Head head = Head::kClassification;  // what architectures name; a job may ask for another
  std::optional<Problem> problem{};   // absent: decided by the labels
  std::vector<std::string> labels{};  // id2label in order of id; LABEL_0, LABEL_1 when not given
  std::string text{};                 // the whole JSON object; ties no head that is its own
  std::string path{};                 // for errors
};

// A value in an error: at most 60 bytes of its text.
std::string ShowJson(std::string text);

// Reads a config.json, as Transformers 4 and 5 write it, of at most 16 MiB.
Result<ModelConfig> ReadConfigFile(const std::filesystem::path& path);
// `directory`/config.json, with what the weights beside it say of the output layer.
Result<ModelConfig> ReadModelConfig(const std::filesystem::path& directory);
Result<ModelConfig> ParseModelConfig(std::string text, std::string path);

// Tokens that a row may have; nullopt where config.json does not say.
std::optional<std::int64_t> PositionsOf(const ModelConfig& config);
// The size of the vocabulary; nullopt where config.json does not say.
std::optional<std::int64_t> VocabularyOf(const ModelConfig& config);

// Transformers' rule: problem_type wins; else one label is a regression, float labels are
// multi-label, ints are single-label.
Problem ResolveProblem(const ModelConfig& config, bool float_labels);

}  // namespace tutti::model
