// A language model loaded from a Hugging Face directory, ready to continue texts: for the tools
// that try and evaluate one. Owned by one thread.
#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <memory>
#include <nlohmann/json_fwd.hpp>
#include <optional>
#include <string>
#include <vector>

#include "common/base/result.h"
#include "worker/generate/generate.h"
#include "worker/generate/options.h"
#include "worker/model/model.h"
#include "worker/text/tokenizer.h"

namespace tutti::engine {

struct WrittenText {
  std::string text;         // what follows the prompt, without special tokens and stop strings
  std::int64_t tokens = 0;  // of it, an end token included
  bool ended = false;       // by an end token or a stop string
};

struct WriteOptions {
  generate::Options generation{};
  // Whether a text is what a user says, written by the model's chat template; nullopt: as the model
  // was tuned.
  std::optional<bool> chat{};
  std::string system{};             // of a chat: what comes before
  std::vector<std::string> stop{};  // what ends an answer
};

// Told of an answer's text as it grows, by the answer's index; not during a beam search.
using OnText = std::function<Status(std::size_t answer, const std::string& text)>;

class Writer {
 public:
  // kInvalid, kUnsupported for a model that is no language model or is damaged.
  static Result<Writer> Load(const std::filesystem::path& directory);

  // Answers to each text, or its continuations: num_return_sequences of it. The model's own end
  // token ends them. kInvalid: a text that leaves no room for an answer within the model's
  // positions, or that the chat template refuses.
  Result<std::vector<std::vector<WrittenText>>> Write(const std::vector<std::string>& texts,
                                                      const WriteOptions& options,
                                                      const OnText& on_text = {});

  model::Model& model() { return *model_; }
  const text::Tokenizer& tokenizer() const { return tokenizer_; }

 private:
  Writer(std::filesystem::path directory, text::Tokenizer tokenizer,
         std::unique_ptr<model::Model> model);
  Result<std::vector<generate::Prompt>> PromptsOf(const std::vector<std::string>& texts,
                                                  const WriteOptions& options, bool chat) const;
  Result<std::vector<generate::Answer>> GenerateTold(const std::vector<generate::Prompt>& prompts,
                                                     const generate::Options& generation,
                                                     const WriteOptions& options,
                                                     const OnText& on_text);

  std::filesystem::path directory_;
  text::Tokenizer tokenizer_;
  std::unique_ptr<model::Model> model_;
  std::vector<float> parameters_;
};

// max_new_tokens, do_sample, temperature, top_k, top_p, seed, repetition_penalty,
// no_repeat_ngram_size, num_beams, num_return_sequences, length_penalty, min_new_tokens of an
// object; do_sample is taken for granted where one of sampling's is given; chat, system and stop
// (a text or a list of them). kInvalid with the name.
Result<WriteOptions> ReadGeneration(const nlohmann::json& object);

}  // namespace tutti::engine
