#include "worker/data/dataset.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <string>
#include <utility>
#include <vector>

#include "tests/worker/data/files.h"
#include "worker/text/tokenizer.h"

namespace tutti::data {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

class DatasetTest : public DataTest {
 protected:
  DatasetTest()
      : tokenizer_(
            *text::Tokenizer::Load("tests/parity/cases/tokenizers/bert-tiny/tokenizer.json")) {}

  Dataset Load(const std::string& name, std::string_view text, std::int64_t max_length = 512) {
    auto dataset = Dataset::Load({.path = Put(name, text),
                                  .shown_name = name,
                                  .columns = {},
                                  .max_length = max_length,
                                  .cache_dir = {}},
                                 tokenizer_);
    EXPECT_TRUE(dataset.has_value()) << dataset.error().ToString();
    return dataset.has_value() ? *std::move(dataset) : Dataset();
  }

  text::Tokenizer tokenizer_;
};

TEST_F(DatasetTest, TokensAreTheTokenizersWithSpecialOnes) {
  const Dataset data = Load("a.csv", "text,label\nHello world,b\n,a\n");
  ASSERT_EQ(data.rows(), 2);
  const auto expected = tokenizer_.Encode("Hello world")->ids;
  EXPECT_THAT(data.Tokens(0), testing::ElementsAreArray(expected));
  EXPECT_EQ(data.Tokens(1).size(), 2U);  // [CLS] [SEP]
  EXPECT_EQ(data.tokens(), static_cast<std::int64_t>(expected.size()) + 2);
  EXPECT_EQ(data.cut_rows(), 0);
}

TEST_F(DatasetTest, LongRowsAreCutAndKeepTheirLastSpecialToken) {
  const std::string text = "text,label\none two three,a\none two three four five six,a\n";
  const Dataset whole = Load("a.csv", text);
  const auto short_row = static_cast<std::int64_t>(whole.Tokens(0).size());
  const Dataset data = Load("a.csv", text, short_row);
  EXPECT_EQ(data.cut_rows(), 1);
  EXPECT_THAT(data.Tokens(0), testing::ElementsAreArray(whole.Tokens(0)));
  ASSERT_EQ(data.Tokens(1).size(), static_cast<std::size_t>(short_row));
  EXPECT_EQ(data.Tokens(1).back(), whole.Tokens(0).back());
}

TEST_F(DatasetTest, TextLabelsAreSorted) {
  const Dataset data = Load("a.csv", "text,label\na,web\nb,games\nc,web\nd,Admin\n");
  EXPECT_THAT(data.labels().names, ElementsAre("Admin", "games", "web"));
  EXPECT_FALSE(data.labels().integers);
  EXPECT_EQ(data.LabelOf(0), "web");
  EXPECT_THAT(*data.LabelIds(data.labels(), true), ElementsAre(2, 1, 2, 0));
  EXPECT_EQ(data.labels().IdOf("games"), 1);
  EXPECT_EQ(data.labels().IdOf("none"), std::nullopt);
}

TEST_F(DatasetTest, WholeNumbersKeepTheirNumber) {
  const Dataset data = Load("a.csv", "text,label\na,10\nb,2\nc,0\n");
  EXPECT_EQ(data.labels().names.size(), 11U);
  EXPECT_EQ(data.labels().names[10], "LABEL_10");
  EXPECT_EQ(data.LabelOf(0), "10");
  EXPECT_THAT(*data.LabelIds(data.labels(), true), ElementsAre(10, 2, 0));
  const LabelTable named{.names = {"bad", "good", "fine"}, .integers = true};
  std::int64_t unknown = -1;
  EXPECT_THAT(*data.LabelIds(named, false, &unknown), ElementsAre(kIgnoreLabel, 2, 0));
  EXPECT_EQ(unknown, 1);
}

TEST_F(DatasetTest, LabelsThatTheTableLacksAreErrorsWhenStrict) {
  const Dataset data = Load("a.csv", "text,label\na,x\nb,y\n");
  const LabelTable table{.names = {"x"}};
  std::int64_t unknown = -1;
  EXPECT_THAT(*data.LabelIds(table, false, &unknown), ElementsAre(0, kIgnoreLabel));
  EXPECT_EQ(unknown, 1);
  const auto strict = data.LabelIds(table, true);
  ASSERT_FALSE(strict.has_value());
  EXPECT_EQ(strict.error().message, "row 2 has a label that is no class: y");
}

TEST_F(DatasetTest, LabelsMayBeAbsent) {
  LoadOptions options{.path = Put("a.jsonl", "{\"text\": \"a\"}\n"),
                      .shown_name = {},
                      .columns = {},
                      .cache_dir = {},
                      .require_labels = false};
  const auto data = Dataset::Load(options, tokenizer_);
  ASSERT_TRUE(data.has_value()) << data.error().ToString();
  EXPECT_EQ(data->LabelOf(0), "");
  EXPECT_TRUE(data->labels().names.empty());
  EXPECT_THAT(*data->LabelIds({}, false), ElementsAre(kIgnoreLabel));
  EXPECT_FALSE(data->LabelIds({}, true).has_value());
}

TEST_F(DatasetTest, ErrorsNameTheFileAsItIsShown) {
  LoadOptions options{.path = Put("blob", "text,label\na\n"),
                      .shown_name = "sections.csv",
                      .columns = {},
                      .cache_dir = {}};
  EXPECT_THAT(Dataset::Load(options, tokenizer_).error().ToString(),
              HasSubstr("sections.csv:2: 1"));
  options.columns = {{"prompt", "x"}};
  EXPECT_THAT(Dataset::Load(options, tokenizer_).error().message, HasSubstr("no role 'prompt'"));
  options.columns = {};
  options.max_length = 0;
  EXPECT_EQ(Dataset::Load(options, tokenizer_).error().where, "data.max_length");
}

LoadOptions LanguageOptions(std::filesystem::path path, RowFormat format) {
  return {.path = std::move(path),
          .shown_name = "rows.jsonl",
          .columns = {},
          .max_length = 512,
          .cache_dir = {},
          .format = format,
          .end_token = 7};
}

TEST_F(DatasetTest, OnlyTheCompletionIsPredictedUnlessPromptsAreTrained) {
  LoadOptions options =
      LanguageOptions(Put("a.jsonl", "{\"prompt\": \"one two\", \"completion\": \" three\"}\n"),
                      RowFormat::kPromptCompletion);
  const auto data = Dataset::Load(options, tokenizer_);
  ASSERT_TRUE(data.has_value()) << data.error().ToString();
  auto ids = tokenizer_.Encode("one two")->ids;
  const std::size_t prompt = ids.size();
  const auto completion = tokenizer_.Encode(" three", {.add_special_tokens = false})->ids;
  ids.insert(ids.end(), completion.begin(), completion.end());
  ids.push_back(7);
  EXPECT_THAT(data->Tokens(0), testing::ElementsAreArray(ids));
  std::vector<float> weights(ids.size(), 1);
  std::fill_n(weights.begin(), prompt, 0.0F);
  EXPECT_THAT(data->Weights(0), testing::ElementsAreArray(weights));
  options.train_on_inputs = true;
  EXPECT_THAT(Dataset::Load(options, tokenizer_)->Weights(0),
              testing::ElementsAreArray(std::vector<float>(ids.size(), 1)));
}

TEST_F(DatasetTest, RowsOfTextArePredictedWhole) {
  const auto data =
      Dataset::Load(LanguageOptions(Put("a.csv", "text\none two\n"), RowFormat::kText), tokenizer_);
  ASSERT_TRUE(data.has_value()) << data.error().ToString();
  EXPECT_EQ(data->Tokens(0).back(), 7);
  EXPECT_THAT(data->Weights(0), testing::Each(1.0F));
}

TEST_F(DatasetTest, WeightsComeBackFromTheCache) {
  LoadOptions options =
      LanguageOptions(Put("a.jsonl", "{\"prompt\": \"one two\", \"completion\": \" three\"}\n"),
                      RowFormat::kPromptCompletion);
  options.cache_dir = folder_ / "cache";
  const auto first = Dataset::Load(options, tokenizer_);
  const auto second = Dataset::Load(options, tokenizer_);
  ASSERT_TRUE(first.has_value() && second.has_value());
  EXPECT_THAT(second->Weights(0), testing::ElementsAreArray(first->Weights(0)));
  options.train_on_inputs = true;  // of another key
  EXPECT_THAT(Dataset::Load(options, tokenizer_)->Weights(0), testing::Each(1.0F));
}

TEST_F(DatasetTest, TheColumnsTellTheFormat) {
  const auto detect = [this](const std::string& name, std::string_view text) {
    return DetectFormat(LanguageOptions(Put(name, text), RowFormat::kTextLabel));
  };
  EXPECT_EQ(detect("a.jsonl", "{\"completion\": \"x\", \"prompt\": \"y\"}\n").value(),
            RowFormat::kPromptCompletion);
  EXPECT_EQ(detect("b.csv", "id,text\n1,x\n").value(), RowFormat::kText);
  const auto none = detect("c.jsonl", "{\"question\": \"x\"}\n");
  ASSERT_FALSE(none.has_value());
  EXPECT_THAT(none.error().message, HasSubstr("question"));
  EXPECT_THAT(none.error().hint, HasSubstr("prompt-completion"));
}

TEST_F(DatasetTest, ACompletionIsTextAndMustBeThere) {
  const auto load = [this](const std::string& name, std::string_view text) {
    const auto data =
        Dataset::Load(LanguageOptions(Put(name, text), RowFormat::kPromptCompletion), tokenizer_);
    return data ? std::string() : data.error().ToString();
  };
  EXPECT_THAT(load("a.jsonl", "{\"prompt\": \"y\", \"completion\": 3}\n"),
              HasSubstr("'completion' is 3, not text"));
  EXPECT_THAT(load("b.jsonl", "{\"prompt\": \"y\"}\n"), HasSubstr("no column 'completion'"));
  EXPECT_EQ(load("c.jsonl", "{\"prompt\": \"y\", \"completion\": \"5\"}\n"), "");
}

}  // namespace
}  // namespace tutti::data
