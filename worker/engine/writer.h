// A language model loaded from a Hugging Face directory, ready to continue texts: for the tools
// that try and evaluate one. Owned by one thread.
#pragma once

#include <cstdint>
#include <filesystem>
#include <memory>
#include <nlohmann/json_fwd.hpp>
#include <string>
#include <vector>

#include "common/base/result.h"
#include "worker/generate/options.h"
#include "worker/model/model.h"
#include "worker/text/tokenizer.h"

namespace tutti::engine {

struct WrittenText {
  std::string text;         // what follows the prompt, without special tokens
  std::int64_t tokens = 0;  // of it, an end token included
  bool ended = false;       // by an end token
};

class Writer {
 public:
  // kInvalid, kUnsupported for a model that is no language model or is damaged.
  static Result<Writer> Load(const std::filesystem::path& directory);

  // Continuations of each text, options.num_return_sequences of it. The model's own end token ends
  // them. kInvalid: a text that leaves no room for an answer within the model's positions.
  Result<std::vector<std::vector<WrittenText>>> Write(const std::vector<std::string>& texts,
                                                      generate::Options options);

  model::Model& model() { return *model_; }
  const text::Tokenizer& tokenizer() const { return tokenizer_; }

 private:
  Writer(text::Tokenizer tokenizer, std::unique_ptr<model::Model> model);

  text::Tokenizer tokenizer_;
  std::unique_ptr<model::Model> model_;
  std::vector<float> parameters_;
};

// max_new_tokens, do_sample, temperature, top_k, top_p, seed, repetition_penalty,
// no_repeat_ngram_size, num_beams, num_return_sequences, length_penalty, min_new_tokens of an
// object; do_sample is taken for granted where one of sampling's is given. kInvalid with the name.
Result<generate::Options> ReadGeneration(const nlohmann::json& object);

}  // namespace tutti::engine
