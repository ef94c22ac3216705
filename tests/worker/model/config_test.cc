#include "worker/model/config.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>

#include "worker/model/model.h"
#include "worker/model/parameters.h"

namespace tutti::model {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

Result<ModelConfig> Parse(const std::string& fields) {
  return ParseModelConfig(R"({"model_type": "bert")" + fields + "}", "m/config.json");
}

// What MakeModel says to a BERT with these fields.
std::string Make(const std::string& fields) {
  const auto config = Parse(fields);
  if (!config.has_value()) return config.error().ToString();
  const auto model = MakeModel(*config);
  return model.has_value() ? "ok" : model.error().ToString();
}

TEST(ModelConfig, LabelsComeInTheOrderOfTheirIds) {
  const auto config = Parse(R"(, "id2label": {"2": "c", "0": "a", "1": "b"})");
  ASSERT_TRUE(config.has_value());
  EXPECT_THAT(config->labels, ElementsAre("a", "b", "c"));
  EXPECT_THAT(Parse("")->labels, ElementsAre("LABEL_0", "LABEL_1"));
  EXPECT_EQ(Parse(R"(, "num_labels": 4)")->labels.size(), 4U);
}

TEST(ModelConfig, BrokenFilesSayWhatAndWhere) {
  const auto error = [](const std::string& text) {
    const auto config = ParseModelConfig(text, "m/config.json");
    return config.has_value() ? "" : config.error().ToString();
  };
  EXPECT_THAT(error("{"), HasSubstr("m/config.json: is not valid JSON"));
  EXPECT_THAT(error("[]"), HasSubstr("is not a JSON object"));
  EXPECT_THAT(error("{}"), HasSubstr("has no model_type"));
  EXPECT_THAT(Make(R"(, "id2label": {"0": "a", "2": "b"})"), HasSubstr("0 … 1: 2"));
  EXPECT_THAT(Make(R"(, "id2label": {"x": "a"})"), HasSubstr("'x', which is no id"));
  EXPECT_THAT(Make(R"(, "problem_type": "ranking")"), HasSubstr("\"ranking\" is not known"));
  EXPECT_THAT(Make(R"(, "num_labels": 0)"), HasSubstr("num_labels is out of range"));
}

TEST(ModelConfig, TheProblemFollowsTheConfigurationThenTheLabels) {
  const auto three = *Parse(R"(, "num_labels": 3)"), one = *Parse(R"(, "num_labels": 1)");
  EXPECT_EQ(ResolveProblem(three, false), Problem::kSingleLabel);
  EXPECT_EQ(ResolveProblem(three, true), Problem::kMultiLabel);
  EXPECT_EQ(ResolveProblem(one, true), Problem::kRegression);
  const auto stated = *Parse(R"(, "num_labels": 3, "problem_type": "regression")");
  EXPECT_EQ(ResolveProblem(stated, false), Problem::kRegression);
}

TEST(BertConfig, OptionsThatTuttiLacksAreRefusedByName) {
  EXPECT_EQ(Make(""), "ok");
  EXPECT_THAT(Make(R"(, "position_embedding_type": "relative_key")"),
              HasSubstr("position_embedding_type = \"relative_key\" is not supported yet"));
  EXPECT_THAT(Make(R"(, "is_decoder": true)"), HasSubstr("is_decoder"));
  EXPECT_THAT(Make(R"(, "hidden_act": "mish")"), HasSubstr("supported: gelu"));
  EXPECT_THAT(Make(R"(, "quantization_config": {})"), HasSubstr("quantization_config"));
}

TEST(BertConfig, ValuesThatMakeNoModelAreRefused) {
  EXPECT_THAT(Make(R"(, "hidden_size": 100, "num_attention_heads": 12)"),
              HasSubstr("hidden_size 100 is not a multiple of num_attention_heads 12"));
  EXPECT_THAT(Make(R"(, "hidden_size": -1)"), HasSubstr("hidden_size is -1"));
  EXPECT_THAT(Make(R"(, "hidden_dropout_prob": 1.0)"), HasSubstr("out of range"));
  EXPECT_THAT(Make(R"(, "num_hidden_layers": "two")"), HasSubstr("is not an integer"));
}

// Positions count from the one behind it, in a table that ends.
TEST(BertConfig, RobertasPaddingHasToLeavePositions) {
  const auto said = [](const std::string& id) {
    const auto config = ParseModelConfig(
        R"({"model_type": "roberta", "max_position_embeddings": 64, "pad_token_id": )" + id + "}",
        "m/config.json");
    EXPECT_TRUE(config.has_value());
    const auto model = MakeModel(*config);
    return model.has_value() ? "ok" : model.error().ToString();
  };
  EXPECT_EQ(said("1"), "ok");
  EXPECT_EQ(said("62"), "ok");
  EXPECT_THAT(said("63"), HasSubstr("m/config.json: pad_token_id is 63, not 0 … 62"));
  EXPECT_THAT(said("-1"), HasSubstr("pad_token_id is -1, not 0 … 62"));
  EXPECT_THAT(said("null"), HasSubstr("is missing"));
}

TEST(MakeModel, AnotherFamilyIsRefusedWithThoseThatAreThere) {
  const auto config = ParseModelConfig(R"({"model_type": "mamba"})", "m/config.json");
  const auto model = MakeModel(*config);
  ASSERT_FALSE(model.has_value());
  EXPECT_EQ(model.error().code, ErrorCode::kUnsupported);
  EXPECT_THAT(model.error().ToString(), HasSubstr("supported: bert"));
}

TEST(MakeModel, AHeadThatAFamilyLacksIsRefusedWithThoseThatHaveIt) {
  auto config = ParseModelConfig(R"({"model_type": "bert"})", "m/config.json");
  ASSERT_TRUE(config) << config.error().ToString();
  config->head = Head::kCausalLm;
  const auto model = MakeModel(*config);
  ASSERT_FALSE(model);
  EXPECT_EQ(model.error().code, ErrorCode::kUnsupported);
  EXPECT_THAT(model.error().ToString(), HasSubstr("gpt2, llama, mistral, qwen2"));
}

TEST(Parameters, DecayFollowsTheNamesOfTheTrainer) {
  EXPECT_TRUE(DecaysByName("bert.encoder.layer.0.output.dense.weight"));
  EXPECT_TRUE(DecaysByName("bert.embeddings.word_embeddings.weight"));
  EXPECT_TRUE(DecaysByName("encoder.normal.weight"));
  EXPECT_FALSE(DecaysByName("bert.encoder.layer.0.output.dense.bias"));
  EXPECT_FALSE(DecaysByName("bert.embeddings.LayerNorm.weight"));
  EXPECT_FALSE(DecaysByName("decoder.relative_attention_bias.weight"));
  EXPECT_FALSE(DecaysByName("model.norm.weight"));
  EXPECT_FALSE(DecaysByName("norm"));
  EXPECT_FALSE(DecaysByName("layers.0.final_norm.weight"));
}

TEST(Parameters, OffsetsAreAlignedAndTheTotalIsWholeBlocks) {
  ParameterLayout layout;
  EXPECT_EQ(layout.Add("a.weight", {3, 5}), 0);
  EXPECT_EQ(layout.Add("b.weight", {7}), 16);
  EXPECT_EQ(layout.elements(), 22);
  EXPECT_EQ(layout.total(), ParameterLayout::kBlock);
  layout.Add("c.weight", {ParameterLayout::kBlock});
  EXPECT_EQ(layout.total(), 2 * ParameterLayout::kBlock);
  EXPECT_EQ(layout.Find("b.weight")->count, 7);
  EXPECT_EQ(layout.Find("d.weight"), nullptr);
}

}  // namespace
}  // namespace tutti::model
