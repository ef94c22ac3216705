#include "worker/data/language_rows.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "tests/worker/data/files.h"

namespace tutti::data {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

class LanguageRowsTest : public DataTest {
 protected:
  LanguageRowsTest()
      : tokenizer_(*text::Tokenizer::Load("tests/parity/cases/tokenizers/gpt2-tiny")) {
    auto chat = std::make_shared<text::ChatFormat>();
    chat->name = "zephyr";
    chat->source = *text::BuiltInTemplate("zephyr");
    chat->marks_answers = true;
    chat->variables = {{"eos_token", "<|endoftext|>"}};
    options_.chat = std::move(chat);
  }

  Result<Dataset> Load(std::string_view text, const std::string& name = "rows.jsonl") {
    options_.path = Put(name, text);
    options_.shown_name = name;
    const auto format = DetectFormat(options_);
    if (!format) return Fail(format.error());
    options_.format = *format;
    return Dataset::Load(options_, tokenizer_);
  }

  // What is trained of a row, by its weights.
  std::string Trained(const Dataset& data, std::int64_t row) {
    std::vector<std::uint32_t> ids;
    for (std::size_t i = 0; i < data.Tokens(row).size(); ++i) {
      if (data.Weights(row)[i] > 0) {
        ids.push_back(static_cast<std::uint32_t>(data.Tokens(row)[i]));
      }
    }
    return *tokenizer_.Decode(ids, /*skip_special=*/false);
  }
  std::string Whole(const Dataset& data, std::int64_t row) {
    const auto tokens = data.Tokens(row);
    return *tokenizer_.Decode(std::vector<std::uint32_t>(tokens.begin(), tokens.end()), false);
  }

  std::string Refusal(std::string_view text, const std::string& name = "rows.jsonl") {
    const auto data = Load(text, name);
    return data ? "" : data.error().ToString();
  }

  text::Tokenizer tokenizer_;
  LoadOptions options_;
};

TEST_F(LanguageRowsTest, ChatRowsTrainWhatTheAssistantSays) {
  const auto data = Load(R"({"messages": [{"role": "user", "content": "hi"},
      {"role": "assistant", "content": "hello"}]})"
                         "\n");
  // A row is one line.
  EXPECT_FALSE(data.has_value());
  const auto one = Load(
      R"({"id": 1, "messages": [{"role": "user", "content": "hi"}, {"role": "assistant", "content": "hello"}]})"
      "\n");
  ASSERT_TRUE(one.has_value()) << one.error().ToString();
  EXPECT_EQ(options_.format, RowFormat::kChat);
  EXPECT_EQ(Trained(*one, 0), "hello<|endoftext|>");
  EXPECT_EQ(Whole(*one, 0), "<|user|>\nhi<|endoftext|>\n<|assistant|>\nhello<|endoftext|>\n");
}

TEST_F(LanguageRowsTest, AlpacaAndShareGptAreConversations) {
  const auto alpaca = Load(R"({"instruction": "Add", "input": "1 2", "output": "3"})"
                           "\n");
  ASSERT_TRUE(alpaca.has_value()) << alpaca.error().ToString();
  EXPECT_EQ(options_.format, RowFormat::kAlpaca);
  EXPECT_EQ(Whole(*alpaca, 0),
            "<|user|>\nAdd\n\n1 2<|endoftext|>\n<|assistant|>\n3<|endoftext|>\n");
  EXPECT_EQ(Trained(*alpaca, 0), "3<|endoftext|>");
  const auto share = Load(
      R"({"system": "S", "conversations": [{"from": "human", "value": "q"}, {"from": "gpt", "value": "a", "weight": 0}, {"from": "human", "value": "r"}, {"from": "gpt", "value": "b"}]})"
      "\n");
  ASSERT_TRUE(share.has_value()) << share.error().ToString();
  EXPECT_EQ(options_.format, RowFormat::kShareGpt);
  EXPECT_THAT(Whole(*share, 0), testing::StartsWith("<|system|>\nS<|endoftext|>\n<|user|>\nq"));
  EXPECT_EQ(Trained(*share, 0), "b<|endoftext|>");
}

TEST_F(LanguageRowsTest, PreferencesAreTwoRowsBehindThePrompt) {
  options_.end_token = tokenizer_.IdOf("<|endoftext|>");
  const auto data = Load(R"({"prompt": "Name it:", "chosen": " yes", "rejected": " no way"})"
                         "\n");
  ASSERT_TRUE(data.has_value()) << data.error().ToString();
  EXPECT_EQ(options_.format, RowFormat::kPreference);
  ASSERT_EQ(data->rows(), 2);
  EXPECT_EQ(Trained(*data, 0), " yes<|endoftext|>");
  EXPECT_EQ(Trained(*data, 1), " no way<|endoftext|>");
  EXPECT_EQ(Whole(*data, 1), "Name it: no way<|endoftext|>");
  const auto chat = Load(
      R"({"chosen": [{"role": "user", "content": "q"}, {"role": "assistant", "content": "a"}], "rejected": [{"role": "user", "content": "q"}, {"role": "assistant", "content": "b"}]})"
      "\n");
  ASSERT_TRUE(chat.has_value()) << chat.error().ToString();
  EXPECT_EQ(Trained(*chat, 1), "b<|endoftext|>");
}

std::string PromptRow(const std::string& prompt, const std::string& completion) {
  return nlohmann::json{{"prompt", prompt}, {"completion", completion}}.dump() + "\n";
}

TEST_F(LanguageRowsTest, APromptAndItsCompletionAreOneText) {
  tokenizer_ = *text::Tokenizer::Load("tests/parity/cases/tokenizers/llama2-bpe");
  const auto data =
      Load(PromptRow("Q:", "there") + PromptRow("Q:\n", "A") + PromptRow("Q:", " there"));
  ASSERT_TRUE(data.has_value()) << data.error().ToString();
  // The prompt's tokens are those of the prompt alone.
  EXPECT_THAT(data->Tokens(0), ElementsAre(1, 381, 307, 284, 399, 396, 327));
  EXPECT_THAT(data->Weights(0), ElementsAre(0, 0, 0, 0, 1, 1, 1));
  EXPECT_THAT(data->Tokens(1), ElementsAre(1, 381, 307, 284, 13, 291));
  EXPECT_THAT(data->Weights(1), ElementsAre(0, 0, 0, 0, 0, 1));
  // This vocabulary has a token ": ": it is the completion's.
  EXPECT_THAT(data->Tokens(2), ElementsAre(1, 381, 307, 419, 399, 396, 327));
  EXPECT_THAT(data->Weights(2), ElementsAre(0, 0, 0, 1, 1, 1, 1));
}

TEST_F(LanguageRowsTest, APromptWhoseEndWouldChangeKeepsItsTokens) {
  const auto data = Load(PromptRow("Q: ", "there") + PromptRow("one two", "three"));
  ASSERT_TRUE(data.has_value()) << data.error().ToString();
  EXPECT_EQ(Whole(*data, 0), "Q: there");
  EXPECT_EQ(Trained(*data, 0), "there");
  EXPECT_EQ(Whole(*data, 1), "one twothree");
  EXPECT_EQ(Trained(*data, 1), "three");
}

TEST_F(LanguageRowsTest, APromptThatTheSidesHaveIsNotAskedTwice) {
  const auto both = Load(
      R"({"prompt": "q", "chosen": [{"role": "user", "content": "q"}, {"role": "assistant", "content": "a"}], "rejected": [{"role": "user", "content": "q"}, {"role": "assistant", "content": "b"}]})"
      "\n");
  ASSERT_TRUE(both.has_value()) << both.error().ToString();
  EXPECT_EQ(Trained(*both, 1), "b<|endoftext|>");
  EXPECT_EQ(Whole(*both, 0), "<|user|>\nq<|endoftext|>\n<|assistant|>\na<|endoftext|>\n");
  EXPECT_TRUE(*HasMessages(options_));
  const auto apart = Load(
      R"({"prompt": "q", "chosen": [{"role": "assistant", "content": "a"}], "rejected": [{"role": "assistant", "content": "b"}]})"
      "\n");
  ASSERT_TRUE(apart.has_value()) << apart.error().ToString();
  EXPECT_EQ(Whole(*apart, 0), Whole(*both, 0));
  ASSERT_TRUE(Load(R"({"chosen": "a b", "rejected": "a c"})"
                   "\n")
                  .has_value());
  EXPECT_FALSE(*HasMessages(options_));
}

TEST_F(LanguageRowsTest, APromptOfMessagesThatTheSidesHaveIsNotAskedTwice) {
  const auto data = Load(
      R"({"prompt": [{"role": "user", "content": "q"}], "chosen": [{"role": "user", "content": "q"}, {"role": "assistant", "content": "a"}], "rejected": [{"role": "assistant", "content": "b"}]})"
      "\n");
  ASSERT_TRUE(data.has_value()) << data.error().ToString();
  EXPECT_EQ(Whole(*data, 0), "<|user|>\nq<|endoftext|>\n<|assistant|>\na<|endoftext|>\n");
  EXPECT_EQ(Whole(*data, 1), "<|user|>\nq<|endoftext|>\n<|assistant|>\nb<|endoftext|>\n");
}

TEST_F(LanguageRowsTest, SidesOfOneKindAnswerOneQuestion) {
  const std::string messages =
      R"([{"role": "user", "content": "q"}, {"role": "assistant", "content": "b"}])";
  const auto refusal = [&](const std::string& row) { return Refusal(row + "\n"); };
  EXPECT_THAT(refusal(R"({"prompt": "q", "chosen": "a", "rejected": )" + messages + "}"),
              HasSubstr("both are of one kind"));
  EXPECT_THAT(refusal(R"({"prompt": 5, "chosen": "a", "rejected": "b"})"),
              HasSubstr("'prompt' is neither text nor a list of messages"));
  EXPECT_THAT(refusal(R"({"prompt": "q", "chosen": "a", "rejected": null})"),
              HasSubstr("'rejected' is neither text nor a list of messages"));
  EXPECT_THAT(refusal(R"({"prompt": "q", "chosen": [5], "rejected": )" + messages + "}"),
              HasSubstr("'chosen', message 1 is not an object"));
  EXPECT_THAT(
      refusal(
          R"({"chosen": [{"role": "user", "content": "other"}, {"role": "assistant", "content": "a"}], "rejected": )" +
          messages + "}"),
      HasSubstr("answer different questions"));
}

TEST_F(LanguageRowsTest, RolesOfOtherDataSetsThatWouldTeachNothingAreNamed) {
  for (const char* role : {"gpt", "Assistant", "model"}) {
    const std::string row =
        std::string(R"({"messages": [{"role": "user", "content": "q"}, {"role": ")") + role +
        R"(", "content": "a"}]})" + "\n";
    EXPECT_THAT(Refusal(row), HasSubstr("message 2 is of role '" + std::string(role) + "'"));
  }
  EXPECT_THAT(
      Refusal(
          R"({"messages": [{"role": "user", "content": "q"}, {"role": "assistant", "content": "a"}], "tools": "[]"})"
          "\n"),
      HasSubstr("'tools' is text, not a list"));
}

TEST_F(LanguageRowsTest, AnAnswerThatIsNothingNeedsACall) {
  const std::string start =
      R"({"messages": [{"role": "user", "content": "q"}, {"role": "assistant", "content": null, )";
  EXPECT_THAT(Refusal(start + R"("tool_calls": null}]})" + "\n"),
              HasSubstr("message 2 has no content of text"));
  EXPECT_EQ(
      Refusal(
          start +
          R"("tool_calls": [{"type": "function", "function": {"name": "f", "arguments": {}}}]}]})" +
          "\n"),
      "");
}

TEST_F(LanguageRowsTest, AKeyTwiceIsRefusedAtEveryDepth) {
  EXPECT_THAT(Refusal(R"({"messages": [], "messages": [{"role": "assistant", "content": "a"}]})"
                      "\n"),
              HasSubstr("'messages' twice"));
  const std::string good =
      R"({"messages": [{"role": "user", "content": "q"}, {"role": "assistant", "content": "a"}]})"
      "\n";
  EXPECT_THAT(Refusal(good + R"({"messages": [{"role": "user", "content": "q", "content": "r"}]})"
                             "\n"),
              testing::AllOf(HasSubstr("rows.jsonl:2"), HasSubstr("'content' twice")));
}

TEST_F(LanguageRowsTest, AFirstRowThatCannotBeReadIsExplained) {
  EXPECT_THAT(Refusal("[\n{\"text\": \"a\"}\n]\n"),
              testing::AllOf(HasSubstr("rows.jsonl:1"),
                             HasSubstr("a JSON array, not one JSON object a line")));
  EXPECT_THAT(Refusal("{\n  \"text\": \"a\"\n}\n"), HasSubstr("a JSON object of several lines"));
  EXPECT_THAT(Refusal("\n{\"text\": \"a\", \"x\": NaN}\n"),
              testing::AllOf(HasSubstr("rows.jsonl:2"), HasSubstr("not JSON at character 20")));
  EXPECT_THAT(Refusal("5\n"), HasSubstr("rows.jsonl:1: not a JSON object"));
  EXPECT_THAT(Refusal("\xEF\xBB\xBF\n \n"), HasSubstr("no rows"));
  EXPECT_THAT(Refusal(std::string("\xFF\xFE{\0\"\0", 6)),
              HasSubstr("a NUL byte: is the file UTF-16"));
  EXPECT_THAT(Refusal("{\"\\u001b[31mfoo\": 1, \"" + std::string(1000, 'k') + "\": 2}\n"),
              testing::AllOf(HasSubstr("these columns: '\\x1b[31mfoo', 'kkk"), HasSubstr("k…'")));
}

TEST_F(LanguageRowsTest, BadRowsAreNamed) {
  const std::string good =
      R"({"messages": [{"role": "user", "content": "q"}, {"role": "assistant", "content": "a"}]})"
      "\n";
  EXPECT_THAT(Refusal(good + R"({"messages": "q"})"
                             "\n"),
              testing::AllOf(HasSubstr("rows.jsonl:2"), HasSubstr("not a list of messages")));
  EXPECT_THAT(Refusal(good + R"({"messages": [{"role": "user"}]})"
                             "\n"),
              HasSubstr("message 1 has no content"));
  EXPECT_THAT(Refusal(good + R"({"messages": [{"role": "user", "content": "q", "weight": 1}]})"
                             "\n"),
              HasSubstr("only what the assistant says is trained"));
  EXPECT_THAT(Refusal(good + R"({"text": "q"})"
                             "\n"),
              HasSubstr("no column 'messages'"));
  EXPECT_THAT(Refusal(R"({"conversations": [{"from": "alien", "value": "q"}]})"
                      "\n"),
              HasSubstr("alien"));
  EXPECT_THAT(Refusal("instruction,output\na,b\n", "rows.csv"), HasSubstr("JSONL"));
}

}  // namespace
}  // namespace tutti::data
