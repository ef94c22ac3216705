#include "worker/text/chat_format.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <string>

#include "common/file/file.h"
#include "worker/text/chat_template.h"

namespace tutti::text {
namespace {

namespace fs = std::filesystem;
using Json = nlohmann::ordered_json;
using testing::ElementsAre;
using testing::HasSubstr;

const fs::path kTokenizers = "tests/parity/cases/tokenizers";

Json Chat(bool system) {
  Json messages = Json::array();
  if (system) messages.push_back({{"role", "system"}, {"content", "Be brief."}});
  messages.push_back({{"role", "user"}, {"content", "Größe?"}});
  messages.push_back({{"role", "assistant"}, {"content", "Fünf."}});
  messages.push_back({{"role", "user"}, {"content", "And now"}});
  messages.push_back({{"role", "assistant"}, {"content", "Six, I think"}});
  return messages;
}

ChatFormat Of(std::string source) {
  ChatFormat format{.name = "own", .source = std::move(source)};
  format.variables = {{"bos_token", "<s>"}, {"eos_token", "</s>"}};
  format.marks_answers = format.source.find("generation %}") != std::string::npos;
  return format;
}

ChatFormat BuiltIn(std::string_view name) { return Of(std::string(*BuiltInTemplate(name))); }

std::vector<std::string> AnswersIn(const RenderedAnswers& rendered) {
  std::vector<std::string> texts;
  for (const AnswerSpan& answer : rendered.answers) {
    texts.push_back(rendered.text.substr(answer.range.from, answer.range.to - answer.range.from));
  }
  return texts;
}

// The templates that models of these names carry.
TEST(ChatFormat, BuiltInTemplatesRenderAsTheModelsOwn) {
  for (const char* name : {"chatml", "llama-3", "gemma", "zephyr", "mistral"}) {
    const std::string theirs =
        *ReadFile(fs::path("tests/parity/cases/chat") / (std::string(name) + ".jinja"));
    const ChatFormat ours = BuiltIn(name);
    const bool system = name != std::string("gemma") && name != std::string("mistral");
    for (const bool prompt : {false, true}) {
      Json messages = Chat(system);
      if (prompt) messages.erase(messages.size() - 1);
      const ChatInput input{
          .messages = messages, .add_generation_prompt = prompt, .variables = ours.variables};
      const auto want = RenderChat(theirs, input);
      const auto got = RenderChat(ours.source, input);
      ASSERT_TRUE(want.has_value() && got.has_value()) << name;
      EXPECT_EQ(got->text, want->text) << name;
    }
  }
}

TEST(ChatFormat, BuiltInTemplatesMarkWhatTheAssistantSaysWithItsEnd) {
  const std::map<std::string, std::string> ends = {{"chatml", "<|im_end|>"},
                                                   {"llama-3", "<|eot_id|>"},
                                                   {"gemma", "<end_of_turn>"},
                                                   {"mistral", "</s>"},
                                                   {"zephyr", "</s>"}};
  for (const std::string_view name : BuiltInTemplateNames()) {
    const auto rendered = RenderAnswers(BuiltIn(name), {.messages = Chat(false)});
    ASSERT_TRUE(rendered.has_value()) << name << ": " << rendered.error().ToString();
    const std::string space = name == "mistral" ? " " : "";
    const std::string& end = ends.at(std::string(name));
    EXPECT_THAT(AnswersIn(*rendered),
                ElementsAre(space + "Fünf." + end, space + "Six, I think" + end))
        << name;
    EXPECT_EQ(rendered->answers[1].message, 3U);
  }
}

constexpr const char* kPlainChatMl =
    "{% for m in messages %}{{ '<|im_start|>' + m.role + '\\n' + m.content + '<|im_end|>\\n' }}"
    "{% endfor %}{% if add_generation_prompt %}{{ '<|im_start|>assistant\\n' }}{% endif %}";

TEST(ChatFormat, WithoutMarksAnswersAreWhatOneMoreMessageAdds) {
  const auto rendered = RenderAnswers(Of(kPlainChatMl), {.messages = Chat(true)});
  ASSERT_TRUE(rendered.has_value()) << rendered.error().ToString();
  EXPECT_THAT(AnswersIn(*rendered), ElementsAre("Fünf.<|im_end|>\n", "Six, I think<|im_end|>\n"));
}

TEST(ChatFormat, ATemplateThatRewritesEarlierTurnsIsRefused) {
  const auto rendered = RenderAnswers(Of("{% for m in messages %}{{ m.role if loop.last else 'x' "
                                         "}}: {{ m.content }}\n{% endfor %}"),
                                      {.messages = Chat(false)});
  ASSERT_FALSE(rendered.has_value());
  EXPECT_THAT(rendered.error().ToString(), HasSubstr("message 2"));
  EXPECT_THAT(rendered.error().ToString(), HasSubstr("{% generation %}"));
}

class ChosenFormat : public testing::Test {
 protected:
  ChosenFormat() : folder_(fs::temp_directory_path() / ("tutti-chat-" + std::to_string(getpid()))) {
    fs::remove_all(folder_);
    fs::create_directories(folder_);
  }
  ~ChosenFormat() override { fs::remove_all(folder_); }

  void Put(const char* name, const std::string& text) { std::ofstream(folder_ / name) << text; }
  Result<ChatFormat> Choose(const char* tokenizer, std::optional<std::string> wanted = {}) {
    const Tokenizer loaded = *Tokenizer::Load(kTokenizers / tokenizer);
    return ChooseChatFormat(
        {.model_directory = folder_, .tokenizer = loaded, .wanted = std::move(wanted)});
  }

  fs::path folder_;
};

TEST_F(ChosenFormat, IsTheModelsOwnElseThatOfItsTokens) {
  Put("tokenizer_config.json",
      R"({"eos_token": {"content": "</s>"}, "bos_token": "<s>", "chat_template": null})");
  const auto found = Choose("qwen2-bpe");
  ASSERT_TRUE(found.has_value()) << found.error().ToString();
  EXPECT_EQ(found->name, "chatml");
  EXPECT_EQ(found->variables["eos_token"], "</s>");
  EXPECT_EQ(Choose("gpt2-tiny")->name, "zephyr");
  Put("chat_template.jinja", kPlainChatMl);
  EXPECT_TRUE(Choose("gpt2-tiny")->is_own());
  EXPECT_FALSE(Choose("gpt2-tiny")->marks_answers);
  EXPECT_EQ(Choose("gpt2-tiny", "gemma")->name, "gemma");
}

TEST_F(ChosenFormat, TokensAreWhatTheTokenizersFilesName) {
  const auto tokens = [&] { return Choose("gpt2-tiny")->variables.dump(); };
  Put("chat_template.jinja", "{{ bos_token }}");
  Put("tokenizer_config.json", R"({"bos_token": null, "eos_token": "E"})");
  EXPECT_EQ(tokens(), R"({"eos_token":"E"})");
  Put("special_tokens_map.json", R"({"bos_token": {"content": "B"}, "eos_token": "F"})");
  EXPECT_EQ(tokens(), R"({"bos_token":"B","eos_token":"F"})");
  Put("tokenizer_config.json", R"({"added_tokens_decoder": {}, "bos_token": null,
      "tokenizer_class": "PreTrainedTokenizerFast"})");
  EXPECT_EQ(tokens(), "{}");
}

TEST_F(ChosenFormat, RowsWithToolsHaveATemplateOfTheirOwn) {
  Put("tokenizer_config.json", R"({"chat_template": [{"name": "default", "template": "D"},
      {"name": "tool_use", "template": "T{% generation %}{{ tools|length }}{% endgeneration %}"}]})");
  const auto format = Choose("gpt2-tiny");
  ASSERT_TRUE(format.has_value()) << format.error().ToString();
  EXPECT_EQ(*RenderPrompt(*format, {.messages = Chat(false)}), "D");
  const auto tools = RenderAnswers(*format, {.messages = Chat(false), .tools = Json::array()});
  ASSERT_TRUE(tools.has_value()) << tools.error().ToString();
  EXPECT_EQ(tools->text, "T0");
  EXPECT_THAT(AnswersIn(*tools), ElementsAre("0"));
}

TEST(ChatFormat, WhatIsNullInAMessageIsLeftOut) {
  const Json messages = Json::parse(R"([{"role": "assistant", "content": null, "name": null}])");
  EXPECT_EQ(*RenderPrompt(Of("{{ messages[0] }}"), {.messages = messages}),
            "{'role': 'assistant'}");
}

TEST_F(ChosenFormat, WhatCannotBeRenderedIsRefusedWithItsName) {
  Put("chat_template.jinja", "{{ messages | frobnicate }}");
  const auto filter = Choose("gpt2-tiny");
  ASSERT_FALSE(filter.has_value());
  EXPECT_THAT(filter.error().ToString(), HasSubstr("frobnicate"));
  Put("chat_template.jinja", "{{ strftime_now('%d') }}");
  EXPECT_THAT(Choose("gpt2-tiny").error().ToString(), HasSubstr("strftime_now"));
  const auto name = Choose("gpt2-tiny", "vicuna");
  ASSERT_FALSE(name.has_value());
  EXPECT_THAT(name.error().ToString(), HasSubstr("llama-3"));
}

TEST(TokenizeConversation, AnswersCountByTheirMessagesWeights) {
  const Tokenizer tokenizer = *Tokenizer::Load(kTokenizers / "qwen2-bpe");
  for (const ChatFormat& format : {BuiltIn("chatml"), Of(kPlainChatMl)}) {
    Conversation conversation{.messages = Chat(true), .weights = {1, 1, 0, 1, 0.5}};
    const auto tokens =
        TokenizeConversation(tokenizer, format, conversation, ConversationOptions{});
    ASSERT_TRUE(tokens.has_value()) << tokens.error().ToString();
    ASSERT_EQ(tokens->ids.size(), tokens->weights.size());
    std::vector<std::uint32_t> trained, all;
    for (std::size_t i = 0; i < tokens->ids.size(); ++i) {
      EXPECT_TRUE(tokens->weights[i] == 0.0F || tokens->weights[i] == 0.5F);
      if (tokens->weights[i] > 0) trained.push_back(tokens->ids[i]);
    }
    const std::string end = format.marks_answers ? "<|im_end|>" : "<|im_end|>\n";
    EXPECT_EQ(*tokenizer.Decode(trained, /*skip_special=*/false), "Six, I think" + end);
    const auto rendered = RenderAnswers(format, conversation);
    EXPECT_EQ(tokens->ids, tokenizer.Encode(rendered->text, {.add_special_tokens = false})->ids);
  }
}

TEST(TokenizeConversation, TrainOnInputsCountsEverything) {
  const Tokenizer tokenizer = *Tokenizer::Load(kTokenizers / "gpt2-tiny");
  const auto tokens = TokenizeConversation(tokenizer, BuiltIn("zephyr"), {.messages = Chat(true)},
                                           {.train_on_inputs = true});
  ASSERT_TRUE(tokens.has_value());
  EXPECT_THAT(tokens->weights, testing::Each(1.0F));
}

}  // namespace
}  // namespace tutti::text
