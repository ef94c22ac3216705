#include "worker/model/adapter.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <filesystem>
#include <fstream>
#include <memory>
#include <string>
#include <vector>

#include "worker/model/adapter_files.h"
#include "worker/model/language_model.h"
#include "worker/model/model.h"
#include "worker/model/random.h"

namespace tutti::model {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

constexpr const char* kTinyLlama =
    R"({"model_type": "llama", "architectures": ["LlamaForCausalLM"], "vocab_size": 40,
        "hidden_size": 20, "intermediate_size": 28, "num_hidden_layers": 2, "head_dim": 6,
        "num_attention_heads": 4, "num_key_value_heads": 2, "tie_word_embeddings": true})";
constexpr const char* kTinyGpt2 =
    R"({"model_type": "gpt2", "architectures": ["GPT2LMHeadModel"], "vocab_size": 40,
        "n_positions": 24, "n_embd": 24, "n_layer": 1, "n_head": 2, "resid_pdrop": 0,
        "embd_pdrop": 0, "attn_pdrop": 0})";
constexpr const char* kTinyBert =
    R"({"model_type": "bert", "architectures": ["BertForSequenceClassification"],
        "vocab_size": 40, "hidden_size": 16, "intermediate_size": 24, "num_hidden_layers": 1,
        "num_attention_heads": 2, "max_position_embeddings": 16, "hidden_dropout_prob": 0,
        "attention_probs_dropout_prob": 0})";

std::unique_ptr<Model> MakeTiny(const char* text) {
  return std::move(*MakeModel(*ParseModelConfig(text, "config.json")));
}

std::vector<std::string> TrainedNames(const char* text, const LoraOptions& options) {
  const auto model = MakeTiny(text);
  const Status adapted = model->Adapt(options);
  EXPECT_TRUE(adapted.has_value()) << adapted.error().ToString();
  std::vector<std::string> names;
  for (const auto& parameter : model->layout().parameters()) names.push_back(parameter.name);
  std::ranges::sort(names);
  return names;
}

std::string Refusal(const char* text, const LoraOptions& options) {
  const Status adapted = MakeTiny(text)->Adapt(options);
  return adapted ? "" : adapted.error().ToString();
}

TEST(Adapter, DefaultTargetsAreTheFamilys) {
  EXPECT_THAT(TrainedNames(kTinyGpt2, {}),
              ElementsAre("base_model.model.transformer.h.0.attn.c_attn.lora_A.weight",
                          "base_model.model.transformer.h.0.attn.c_attn.lora_B.weight"));
  EXPECT_EQ(TrainedNames(kTinyLlama, {}).size(), 8U);  // q_proj and v_proj of two layers
}

TEST(Adapter, AllLinearLeavesTheOutputLayerAlone) {
  EXPECT_EQ(TrainedNames(kTinyLlama, {.all_linear = true}).size(), 2U * 2 * 7);
  const auto bert = TrainedNames(kTinyBert, {.all_linear = true});
  EXPECT_TRUE(std::ranges::find(bert, "base_model.model.classifier.weight") != bert.end());
  EXPECT_TRUE(std::ranges::find(bert, "base_model.model.bert.pooler.dense.lora_A.weight") !=
              bert.end());
}

TEST(Adapter, WhatItCannotDoIsRefusedByName) {
  EXPECT_THAT(Refusal(kTinyLlama, {.target_modules = {"query"}}),
              testing::AllOf(HasSubstr("query"), HasSubstr("q_proj")));
  EXPECT_THAT(Refusal(kTinyLlama, {.target_modules = {"q_proj", "lm_head"}}), HasSubstr("lm_head"));
  EXPECT_THAT(Refusal(kTinyLlama, {.modules_to_save = {"pooler"}}), HasSubstr("pooler"));
  EXPECT_THAT(Refusal(kTinyLlama, {.modules_to_save = {"embed_tokens"}}), HasSubstr("embedding"));
  EXPECT_THAT(Refusal(kTinyLlama, {.target_pattern = "*("}), HasSubstr("regular expression"));
}

// A model with an adapter in flat buffers.
struct Adapted {
  Adapted(const char* text, const LoraOptions& options) : model(MakeTiny(text)) {
    base.resize(static_cast<std::size_t>(model->base_layout().total()));
    FillNormal(1, 0.2, base);
    EXPECT_TRUE(model->Adapt(options).has_value());
    trained.resize(static_cast<std::size_t>(model->layout().total()));
    grads.resize(trained.size());
    model->adapter()->Initialise(base.data(), 7, trained);
    model->BindBase(base.data());
    model->Bind(trained.data());
    model->BindGradients(grads.data());
  }
  double Loss(std::uint64_t seed = 0) {
    Batch batch{.rows = 2, .columns = 4};
    batch.input_ids = {4, 9, 17, 30, 8, 2, 11, 5};
    batch.labels = batch.input_ids;
    EXPECT_TRUE(model->language()->ForwardTokens(batch, {.training = true, .seed = seed}));
    return model->language()->Score({}).loss;
  }
  std::unique_ptr<Model> model;
  std::vector<float> base, trained, grads;
};

TEST(Adapter, StartsAsTheBaseAndMergesToWhatItComputes) {
  for (const char* text : {kTinyLlama, kTinyGpt2}) {
    Adapted adapted(text, {.r = 3, .lora_alpha = 9, .all_linear = true});
    const auto plain = MakeTiny(text);
    std::vector<float> merged(adapted.base.size());
    const auto loss_of = [&] {
      plain->Bind(merged.data());
      Batch batch{.rows = 2, .columns = 4};
      batch.input_ids = {4, 9, 17, 30, 8, 2, 11, 5};
      batch.labels = batch.input_ids;
      EXPECT_TRUE(plain->language()->ForwardTokens(batch, {}));
      return plain->language()->Score({}).loss;
    };
    merged = adapted.base;
    EXPECT_NEAR(adapted.Loss(), loss_of(), 1e-5);
    FillNormal(5, 0.3, adapted.trained);
    merged = adapted.base;
    adapted.model->adapter()->Merge(adapted.trained, merged);
    const double with = adapted.Loss();
    EXPECT_NEAR(with, loss_of(), 1e-4 * with);
  }
}

// Central differences of a few parameters, with dropout of one seed.
TEST(Adapter, GradientsAreThoseOfTheLossDropoutIncluded) {
  for (const double dropout : {0.0, 0.3}) {
    Adapted adapted(kTinyGpt2,
                    {.r = 2, .lora_alpha = 4, .lora_dropout = dropout, .all_linear = true});
    FillNormal(5, 0.2, adapted.trained);
    adapted.Loss(42);
    adapted.model->language()->BackwardTokens({});
    for (const auto& parameter : adapted.model->layout().parameters()) {
      const auto at = static_cast<std::size_t>(parameter.offset + parameter.count / 2);
      const float value = adapted.trained[at];
      constexpr float kStep = 4e-3F;
      adapted.trained[at] = value + kStep;
      const double above = adapted.Loss(42);
      adapted.trained[at] = value - kStep;
      const double below = adapted.Loss(42);
      adapted.trained[at] = value;
      const double want = (above - below) / (2 * static_cast<double>(kStep));
      EXPECT_NEAR(static_cast<double>(adapted.grads[at]), want, 2e-3 + 0.02 * std::fabs(want))
          << parameter.name;
    }
  }
}

class AdapterFiles : public testing::Test {
 protected:
  AdapterFiles()
      : folder_(std::filesystem::temp_directory_path() /
                ("tutti-adapter-" + std::to_string(getpid()))) {
    std::filesystem::create_directories(folder_);
  }
  ~AdapterFiles() override { std::filesystem::remove_all(folder_); }
  Result<LoraOptions> Read(const std::string& text) {
    std::ofstream(folder_ / kAdapterConfigFile) << text;
    return ReadAdapterConfig(folder_);
  }
  std::filesystem::path folder_;
};

TEST_F(AdapterFiles, TheConfigurationComesBackAsItWas) {
  const auto model = MakeTiny(kTinyBert);
  const LoraOptions options{.r = 4,
                            .lora_alpha = 7.5,
                            .lora_dropout = 0.25,
                            .use_rslora = true,
                            .target_modules = {"query", "dense"},
                            .modules_to_save = {"pooler"}};
  ASSERT_TRUE(model->Adapt(options).has_value());
  const auto read = Read(AdapterConfigText(*model, "base"));
  ASSERT_TRUE(read.has_value()) << read.error().ToString();
  EXPECT_EQ(read->r, 4);
  EXPECT_EQ(read->lora_alpha, 7.5);
  EXPECT_EQ(read->lora_dropout, 0.25);
  EXPECT_TRUE(read->use_rslora);
  EXPECT_THAT(read->target_modules, testing::UnorderedElementsAre("query", "dense"));
  EXPECT_THAT(read->modules_to_save, ElementsAre("pooler"));
}

TEST_F(AdapterFiles, WhatIsNotLoraIsRefusedByName) {
  for (const char* text :
       {R"({"peft_type": "IA3"})", R"({"use_dora": true})", R"({"bias": "all"})", R"({"r": 0})",
        R"({"lora_dropout": 1})", R"({"layer_replication": [[0, 1]]})"}) {
    const auto read = Read(text);
    ASSERT_FALSE(read.has_value()) << text;
    const std::string name(text + 2, std::string_view(text).find('"', 2) - 2);
    EXPECT_THAT(read.error().ToString(), HasSubstr(name));
  }
}

}  // namespace
}  // namespace tutti::model
