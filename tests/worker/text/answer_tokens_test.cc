// Which tokens of a conversation are the assistant's. Expected values: what transformers 5.24 gives
// for return_assistant_tokens_mask with the same tokenizer.json and template.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <chrono>
#include <cstddef>
#include <string>
#include <vector>

#include "worker/text/chat_format.h"
#include "worker/text/tokenizer.h"

namespace tutti::text {
namespace {

// Nothing between the turns: their borders may lie within tokens.
constexpr const char* kTight =
    "{% for m in messages %}{% if m.role == 'assistant' %}"
    "{% generation %}{{ m.content + end }}{% endgeneration %}"
    "{% else %}{{ m.content + end }}{% endif %}{% endfor %}";

Tokenizer Load(const std::string& name) {
  return *Tokenizer::Load("tests/parity/cases/tokenizers/" + name);
}

ChatFormat Marked(const std::string& end) {
  return {.name = "own", .source = kTight, .marks_answers = true, .variables = {{"end", end}}};
}

Conversation InTurns(const std::vector<std::string>& contents) {
  Conversation conversation;
  for (std::size_t i = 0; i < contents.size(); ++i) {
    conversation.messages.push_back(
        {{"role", i % 2 == 0 ? "user" : "assistant"}, {"content", contents[i]}});
  }
  return conversation;
}

// '1' for each token that is trained, '0' for the others.
std::string Mask(const std::string& tokenizer, const std::string& end,
                 const std::vector<std::string>& contents) {
  const auto tokens =
      TokenizeConversation(Load(tokenizer), Marked(end), InTurns(contents), ConversationOptions{});
  if (!tokens) return tokens.error().ToString();
  std::string mask;
  for (const float weight : tokens->weights) mask += weight > 0 ? '1' : '0';
  return mask;
}

TEST(AnswerTokens, OfTokenizersThatWriteSpacesIntoTokens) {
  EXPECT_EQ(Mask("llama2-bpe", "</s>", {"Hello there", "Good day"}), "00000000011111111");
  EXPECT_EQ(Mask("llama2-bpe", "", {"Hello there", " Good day 日🎉", "and", "é"}),
            "0000001111111111111101");
}

TEST(AnswerTokens, OfTextThatTheTokenizerNormalizes) {
  EXPECT_EQ(Mask("qwen2-bpe", "<|im_end|>", {"cafe\u0301", "re\u0301sume\u0301"}), "0000011111111");
  EXPECT_EQ(Mask("qwen2-bpe", "", {"cafe", "\u0301re\u0301s"}), "00001111");
  EXPECT_EQ(Mask("wordpiece-cased", " ", {"Hello  there", "Größe [x]"}), "0000011111111");
}

TEST(AnswerTokens, ASpaceBelongsToTheTokenThatHasIt) {
  EXPECT_EQ(Mask("xlmr-unigram", "", {"Hello there ", "Good day ", "you \ufb01nd it", "so"}),
            "00000111110011");
}

TEST(AnswerTokens, ReplacementCharactersAreLikeOthers) {
  EXPECT_EQ(Mask("gpt2-tiny", "<|endoftext|>", {"abc\ufffd", "xy\ufffd"}), "00000011111");
  EXPECT_EQ(Mask("gpt2-tiny", "", {"abc\ufffd", "xy\ufffd", "\ufffd\ufffd", "🎉"}),
            "0000011110000001111");
}

TEST(AnswerTokens, ManyReplacementCharactersTakeNoLongerThanOthers) {
  std::string many;
  for (int i = 0; i < 20'000; ++i) many += "\ufffd";
  const auto begin = std::chrono::steady_clock::now();
  EXPECT_EQ(Mask("gpt2-tiny", "", {"a", many}), "0" + std::string(60'000, '1'));
  EXPECT_LT(std::chrono::steady_clock::now() - begin, std::chrono::seconds(10));
}

ChatFormat Unmarked() {
  return {.name = "own",
          .source =
              "{% for m in messages %}{{ m.role + ': ' + m.content + '\n' }}{% endfor %}"
              "{% if add_generation_prompt %}{{ 'assistant: ' }}{% endif %}"};
}

TEST(AnswerTokens, WhatIsCutOffChangesNothingBeforeIt) {
  const Tokenizer tokenizer = Load("gpt2-tiny");
  std::vector<std::string> turns;
  for (int i = 0; i < 20; ++i) turns.push_back("turn " + std::to_string(i * i));
  const auto whole = TokenizeConversation(tokenizer, Unmarked(), InTurns(turns), {});
  ASSERT_TRUE(whole.has_value()) << whole.error().ToString();
  for (std::size_t length = 1; length < whole->ids.size(); ++length) {
    const auto cut =
        TokenizeConversation(tokenizer, Unmarked(), InTurns(turns), {.max_length = length});
    ASSERT_EQ(cut->ids, whole->ids);
    EXPECT_TRUE(std::equal(cut->weights.begin(),
                           cut->weights.begin() + static_cast<std::ptrdiff_t>(length),
                           whole->weights.begin()))
        << length;
  }
}

TEST(AnswerTokens, TurnsThatAreCutOffAreNotLookedAt) {
  const auto begin = std::chrono::steady_clock::now();
  const auto tokens =
      TokenizeConversation(Load("gpt2-tiny"), Unmarked(),
                           InTurns(std::vector<std::string>(6'000, "hi")), {.max_length = 256});
  ASSERT_TRUE(tokens.has_value()) << tokens.error().ToString();
  EXPECT_EQ(tokens->weights[3], 0.0F);
  EXPECT_LT(std::chrono::steady_clock::now() - begin, std::chrono::seconds(5));
}

}  // namespace
}  // namespace tutti::text
