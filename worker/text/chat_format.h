// How a model's conversations are written: its own chat template, or a built-in one, and what of a
// conversation the assistant said. The same for training and for answering. Values; any thread.
#pragma once

#include <filesystem>
#include <nlohmann/json.hpp>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "common/base/result.h"
#include "worker/text/byte_range.h"
#include "worker/text/tokenizer.h"

namespace tutti::text {

// "chatml", "gemma", "llama-3", "mistral", "zephyr".
std::span<const std::string_view> BuiltInTemplateNames();
// Its source; nullopt for another name. Each marks the assistant's turns by {% generation %}.
std::optional<std::string_view> BuiltInTemplate(std::string_view name);

struct ChatFormat {
  std::string name{};                                                   // a built-in's, or "own"
  std::string source{};                                                 // of the template
  std::optional<std::string> tools_source{};                            // where there are tools
  bool marks_answers = false;                                           // by {% generation %}
  bool tools_mark_answers = false;                                      // tools_source does
  nlohmann::ordered_json variables = nlohmann::ordered_json::object();  // bos_token, …

  bool is_own() const { return name == "own"; }
};

struct ChatFormatOptions {
  std::filesystem::path model_directory;
  const Tokenizer& tokenizer;
  std::string_view model_type{};
  std::optional<std::string> wanted{};  // a built-in's name; it wins over the model's own template
};
// The model's own template, else the built-in that its special tokens belong to, else zephyr, whose
// turns end with the model's end token. kInvalid: no such built-in; a template that cannot be read,
// or that renders no conversation of two turns, with the construct that it stumbles over.
Result<ChatFormat> ChooseChatFormat(const ChatFormatOptions& options);

// Keys of a message with the value null are left out, as Transformers leaves them out.
struct Conversation {
  nlohmann::ordered_json messages = nlohmann::ordered_json::array();
  nlohmann::ordered_json tools = nullptr;
  std::vector<double> weights{};  // as many as messages: how much an answer counts; empty: 1
};

// What a prompt for the next answer looks like.
Result<std::string> RenderPrompt(const ChatFormat& format, const Conversation& conversation);

struct AnswerSpan {
  ByteRange range{};
  std::size_t message = 0;
};
struct RenderedAnswers {
  std::string text{};
  std::vector<AnswerSpan> answers{};  // ascending
};
// A whole conversation, and where the assistant's turns stand in it: what {% generation %} marks,
// else what rendering one more message adds to what a prompt would be. kInvalid: the template
// refuses it, or writes earlier turns differently once later ones follow, so that its answers
// cannot be told apart.
Result<RenderedAnswers> RenderAnswers(const ChatFormat& format, const Conversation& conversation);

struct WeightedTokens {
  std::vector<std::uint32_t> ids{};
  std::vector<float> weights{};  // as many: 0 is context alone
};
struct ConversationOptions {
  bool train_on_inputs = false;
  std::size_t max_length = std::string::npos;  // the tokens behind this many are of no use
};
// All of the rendered conversation's tokens (the template writes special ones itself). Answers
// count by their weights; the rest not at all, or 1 where `train_on_inputs`. Behind `max_length`
// answers need not be told apart.
Result<WeightedTokens> TokenizeConversation(const Tokenizer& tokenizer, const ChatFormat& format,
                                            const Conversation& conversation,
                                            const ConversationOptions& options);

}  // namespace tutti::text
