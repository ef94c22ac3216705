// A classifier loaded from a Hugging Face directory, ready to answer: for the tools that try and
// evaluate one. Owned by one thread.
#pragma once

#include <cstdint>
#include <filesystem>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "common/base/result.h"
#include "worker/model/model.h"
#include "worker/text/tokenizer.h"

namespace tutti::engine {

struct LabelScore {
  std::string label;
  double score = 0;  // probability
};

class Classifier {
 public:
  struct Options {
    std::filesystem::path directory;
    // Gives the base a new head with these labels, drawn by `seed`, in place of what it has.
    std::optional<std::vector<std::string>> fresh_labels{};
    std::uint64_t seed = 42;
  };
  // kInvalid for a model that is no classifier (without fresh_labels), or is damaged.
  static Result<Classifier> Load(const Options& options);

  // The labels of `text`, best first, at most `top_k`. Longer texts are cut.
  Result<std::vector<LabelScore>> Classify(const std::string& text, std::size_t top_k);

  model::Model& model() { return *model_; }
  const text::Tokenizer& tokenizer() const { return tokenizer_; }
  const model::ModelConfig& config() const { return model_->config(); }

 private:
  Classifier(text::Tokenizer tokenizer, std::unique_ptr<model::Model> model,
             std::int64_t max_length);

  text::Tokenizer tokenizer_;
  std::unique_ptr<model::Model> model_;
  std::vector<float> parameters_;
  std::int64_t max_length_;
};

}  // namespace tutti::engine
