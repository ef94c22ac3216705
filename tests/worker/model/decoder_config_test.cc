// What config.json of a decoder may say, and what is refused.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>
#include <string>

#include "worker/model/model.h"

namespace tutti::model {
namespace {

using nlohmann::json;
using ::testing::HasSubstr;

json Gpt2() {
  return {{"model_type", "gpt2"}, {"architectures", {"GPT2LMHeadModel"}},
          {"vocab_size", 40},     {"n_positions", 24},
          {"n_embd", 24},         {"n_layer", 2},
          {"n_head", 2}};
}

json LlamaLike(const char* type = "llama") {
  return {{"model_type", type},       {"architectures", {"LlamaForCausalLM"}},
          {"vocab_size", 40},         {"hidden_size", 24},
          {"intermediate_size", 28},  {"num_hidden_layers", 2},
          {"num_attention_heads", 4}, {"num_key_value_heads", 2}};
}

Result<std::unique_ptr<Model>> MakeFrom(json config, const json& changes = json::object()) {
  config.update(changes);
  auto parsed = ParseModelConfig(config.dump(), "m/config.json");
  if (!parsed) return Fail(parsed.error());
  return MakeModel(*parsed);
}

// What MakeModel says to these fields; "ok" where it makes one.
std::string Said(const json& config, const json& changes = json::object()) {
  const auto made = MakeFrom(config, changes);
  return made ? "ok" : made.error().ToString();
}

TEST(DecoderConfig, SizesThatMakeNoModelAreRefusedBeforeTheyAreReckonedWith) {
  EXPECT_EQ(Said(Gpt2()), "ok");
  EXPECT_THAT(Said(Gpt2(), {{"n_head", 0}}), HasSubstr("m/config.json: n_head is 0, not 1 … 4096"));
  for (const std::int64_t layers : {std::int64_t{-1}, std::int64_t{1'000'000'000}}) {
    EXPECT_THAT(Said(Gpt2(), {{"n_layer", layers}}),
                HasSubstr("n_layer is " + std::to_string(layers) + ", not 1 … 1024"));
  }
  for (const char* type : {"llama", "mistral", "qwen2"}) {
    const json base = LlamaLike(type);
    EXPECT_EQ(Said(base), "ok");
    for (const char* key : {"num_attention_heads", "num_key_value_heads"}) {
      EXPECT_THAT(Said(base, {{key, 0}}), HasSubstr(std::string(key) + " is 0, not 1 … 4096"));
    }
    EXPECT_THAT(Said(base, {{"num_hidden_layers", 1'000'000'000'000}}),
                HasSubstr("num_hidden_layers is 1000000000000, not 1 … 1024"));
    EXPECT_THAT(Said(base, {{"hidden_size", INT64_MIN}, {"num_attention_heads", -1}}),
                HasSubstr("hidden_size is -9223372036854775808, not 1"));
  }
  EXPECT_THAT(Said(LlamaLike(), {{"num_attention_heads", 4096}, {"head_dim", 1 << 20}}),
              HasSubstr("head_dim 1048576 times num_attention_heads 4096 is beyond 1048576"));
}

TEST(DecoderConfig, FieldsMayHaveTheNamesOfTransformersAttributeMap) {
  const json other = {{"model_type", "gpt2"},    {"architectures", {"GPT2LMHeadModel"}},
                      {"vocab_size", 40},        {"max_position_embeddings", 24},
                      {"hidden_size", 24},       {"num_hidden_layers", 2},
                      {"num_attention_heads", 2}};
  const auto plain = MakeFrom(Gpt2()), renamed = MakeFrom(other);
  ASSERT_TRUE(renamed) << renamed.error().ToString();
  EXPECT_EQ((*renamed)->layout().elements(), (*plain)->layout().elements());
  EXPECT_EQ(PositionsOf((*renamed)->config()), 24);
  EXPECT_THAT(Said(other, {{"num_attention_heads", 0}}),
              HasSubstr("num_attention_heads is 0, not"));
  EXPECT_THAT(Said(Gpt2(), {{"hidden_size", 25}}),
              HasSubstr("hidden_size is 25, and n_embd, which means the same, is 24"));
  EXPECT_EQ(Said(Gpt2(), {{"hidden_size", 24}}), "ok");
  const json distil = {{"model_type", "distilbert"}, {"hidden_size", 24}, {"hidden_dim", 28},
                       {"num_hidden_layers", 2},     {"vocab_size", 40},  {"n_heads", nullptr},
                       {"num_attention_heads", 2}};
  const auto small = MakeFrom(distil);
  ASSERT_TRUE(small) << small.error().ToString();
  EXPECT_EQ((*small)->layout().Find("distilbert.embeddings.word_embeddings.weight")->shape[1], 24);
  EXPECT_THAT(Said(distil, {{"dim", 36}}), HasSubstr("hidden_size is 24, and dim"));
}

TEST(DecoderConfig, TwoDescriptionsOfARotationHaveToAgree) {
  const json linear = {{"rope_type", "linear"}, {"factor", 2.0}};
  const json plain = {{"rope_type", "default"}, {"rope_theta", 10000.0}};
  EXPECT_EQ(Said(LlamaLike(), {{"rope_parameters", linear}, {"rope_scaling", linear}}), "ok");
  EXPECT_EQ(Said(LlamaLike(), {{"rope_parameters", linear}, {"rope_scaling", nullptr}}), "ok");
  EXPECT_EQ(Said(LlamaLike(), {{"rope_parameters", linear}, {"rope_scaling", json::object()}}),
            "ok");
  EXPECT_THAT(Said(LlamaLike(), {{"rope_parameters", plain}, {"rope_scaling", linear}}),
              HasSubstr("rope_scaling and rope_parameters are both there and say different"));
  EXPECT_THAT(Said(LlamaLike(), {{"rope_parameters", linear}, {"rope_scaling", {{"factor", 0}}}}),
              HasSubstr("factor is 0"));
  EXPECT_THAT(Said(LlamaLike(), {{"rope_parameters", linear}, {"rope_scaling", 5}}),
              HasSubstr("rope_scaling is not an object"));
}

TEST(DecoderConfig, YarnNeedsABaseThatHasALogarithm) {
  const json yarn = {{"rope_type", "yarn"}, {"factor", 4.0}};
  EXPECT_EQ(Said(LlamaLike(), {{"rope_parameters", yarn}}), "ok");
  const std::string wrong = "m/config.json: rope_theta is 1: rope 'yarn'";
  EXPECT_THAT(Said(LlamaLike(), {{"rope_scaling", yarn}, {"rope_theta", 1}}), HasSubstr(wrong));
  json own = yarn;
  own["rope_theta"] = 1.0;
  EXPECT_THAT(Said(LlamaLike(), {{"rope_parameters", own}}), HasSubstr(wrong));
}

}  // namespace
}  // namespace tutti::model
