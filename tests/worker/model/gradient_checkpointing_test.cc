#include <gtest/gtest.h>

#include <cmath>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "worker/model/language_model.h"
#include "worker/model/model.h"
#include "worker/model/random.h"

namespace tutti::model {
namespace {

using Floats = std::vector<float>;

// Three layers: the first, one between, and the last are computed anew in three ways.
constexpr const char* kDeepGpt2 =
    R"({"model_type": "gpt2", "architectures": ["GPT2LMHeadModel"], "vocab_size": 40,
        "n_positions": 64, "n_embd": 24, "n_layer": 3, "n_head": 2, "resid_pdrop": 0.2,
        "embd_pdrop": 0.3, "attn_pdrop": 0.1})";
constexpr const char* kDeepLlama =
    R"({"model_type": "llama", "architectures": ["LlamaForCausalLM"], "vocab_size": 40,
        "hidden_size": 20, "intermediate_size": 28, "num_hidden_layers": 3, "head_dim": 6,
        "num_attention_heads": 4, "num_key_value_heads": 2, "attention_bias": true,
        "mlp_bias": true, "attention_dropout": 0.2})";
constexpr const char* kDeepMistral =
    R"({"model_type": "mistral", "architectures": ["MistralForCausalLM"], "vocab_size": 40,
        "hidden_size": 32, "intermediate_size": 28, "num_hidden_layers": 3,
        "num_attention_heads": 2, "num_key_value_heads": 1, "sliding_window": 3,
        "attention_dropout": 0.2, "tie_word_embeddings": true})";
constexpr const char* kDeepQwen2 =
    R"({"model_type": "qwen2", "architectures": ["Qwen2ForSequenceClassification"],
        "vocab_size": 40, "hidden_size": 20, "intermediate_size": 28, "num_hidden_layers": 3,
        "num_attention_heads": 2, "num_key_value_heads": 2, "num_labels": 3})";
constexpr const char* kBert =
    R"({"model_type": "bert", "vocab_size": 40, "num_hidden_layers": 3, "num_labels": 3,
        "num_attention_heads": 2, "intermediate_size": 44, "max_position_embeddings": 64,
        "hidden_size": 32, "hidden_dropout_prob": 0.2, "attention_probs_dropout_prob": 0.1})";
constexpr const char* kDistilBert =
    R"({"model_type": "distilbert", "vocab_size": 40, "n_layers": 3, "num_labels": 3, "dim": 20,
        "n_heads": 2, "hidden_dim": 44, "max_position_embeddings": 64, "dropout": 0.2})";
constexpr const char* kRoberta =
    R"({"model_type": "roberta", "vocab_size": 40, "num_hidden_layers": 3, "num_labels": 3,
        "num_attention_heads": 2, "intermediate_size": 44, "max_position_embeddings": 64,
        "hidden_size": 32, "pad_token_id": 1, "type_vocab_size": 1})";

class Trained {
 public:
  Trained(const std::string& text, bool adapts) {
    model = std::move(*MakeModel(*ParseModelConfig(text, "config.json")));
    base = Fill(model->base_layout());
    if (adapts) {
      EXPECT_TRUE(model->Adapt({.r = 2, .lora_dropout = 0.4, .all_linear = true}).has_value());
      model->BindBase(base.data());
    }
    params = Fill(model->layout());
    grads.resize(params.size());
    model->Bind(params.data());
    model->BindGradients(grads.data());
  }

  // Two micro-batches, of which the second finds used memory.
  void Learn(const Batch& batch) {
    for (const std::uint64_t seed : {5, 6}) {
      if (LanguageModel* const language = model->language()) {
        ASSERT_TRUE(language->ForwardTokens(batch, {.training = true, .seed = seed}).has_value());
        language->Score({.scale = 0.1});
        language->BackwardTokens({});
      } else {
        const auto logits = model->Forward(batch, {.training = true, .seed = seed});
        ASSERT_TRUE(logits.has_value()) << logits.error().ToString();
        model->Backward(logits->clone());
      }
    }
  }

  std::unique_ptr<Model> model;
  Floats base, params, grads;

 private:
  static Floats Fill(const ParameterLayout& layout) {
    Floats values(static_cast<std::size_t>(layout.total()));
    for (const ParameterInfo& info : layout.parameters()) {
      const auto out = std::span(values).subspan(static_cast<std::size_t>(info.offset),
                                                 static_cast<std::size_t>(info.count));
      FillNormal(HashSeed(1, info.name), 0.2, out);
    }
    return values;
  }
};

Batch Rows(std::span<const std::int64_t> lengths, std::int64_t columns) {
  Batch batch{.rows = static_cast<std::int64_t>(lengths.size()), .columns = columns};
  for (std::size_t row = 0; row < lengths.size(); ++row) {
    for (std::int64_t i = 0; i < columns; ++i) {
      const bool real = i < lengths[row];
      const auto id = static_cast<std::int64_t>(
          HashSeed(HashSeed(3, row), static_cast<std::uint64_t>(i)) % 36 + 4);
      batch.input_ids.push_back(real ? id : 1);
      batch.attention_mask.push_back(real ? 1 : 0);
      batch.documents.push_back(i / 7);  // each row holds several
      batch.labels.push_back(real ? id : kIgnoreLabel);
    }
  }
  return batch;
}

// Of several lengths; documents are of language models alone.
Batch RowsFor(Model& model) {
  const std::int64_t lengths[] = {12, 3, 1, 9};
  Batch batch = Rows(lengths, 12);
  if (model.language() == nullptr) batch.documents.clear();
  return batch;
}

class EveryArchitecture : public testing::TestWithParam<const char*> {};
INSTANTIATE_TEST_SUITE_P(Configs, EveryArchitecture,
                         testing::Values(kDeepGpt2, kDeepLlama, kDeepMistral, kDeepQwen2, kBert,
                                         kDistilBert, kRoberta));

TEST_P(EveryArchitecture, WhatIsComputedAnewHasTheSameBits) {
  for (const bool adapts : {false, true}) {
    Trained kept(GetParam(), adapts), anew(GetParam(), adapts);
    anew.model->SetGradientCheckpointing(true);
    const Batch batch = RowsFor(*kept.model);
    kept.Learn(batch);
    anew.Learn(batch);
    EXPECT_EQ(anew.grads, kept.grads) << (adapts ? "LoRA" : "full");
    EXPECT_NE(kept.grads, Floats(kept.grads.size()));
  }
}

// Nothing is lost where the weights are numbers that bfloat16 has.
TEST_P(EveryArchitecture, ABaseInBfloat16HasTheBitsOfTheSameWeights) {
  Trained wide(GetParam(), true), narrow(GetParam(), true);
  RoundToBf16(wide.base, wide.base.data());
  std::vector<std::uint16_t> halves(wide.base.size());
  NarrowToBf16(wide.base, halves.data());
  narrow.model->BindBase(halves.data());
  const Batch batch = RowsFor(*wide.model);
  wide.Learn(batch);
  narrow.Learn(batch);
  EXPECT_EQ(narrow.grads, wide.grads);
}

TEST_P(EveryArchitecture, GradientsInBfloat16AreNearThoseInFloat32) {
  for (const bool adapts : {false, true}) {
    Trained exact(GetParam(), adapts), rounded(GetParam(), adapts);
    rounded.model->SetBf16(true);
    const Batch batch = RowsFor(*exact.model);
    exact.Learn(batch);
    rounded.Learn(batch);
    double difference = 0, length = 0;
    for (std::size_t i = 0; i < exact.grads.size(); ++i) {
      const auto a = static_cast<double>(exact.grads[i]), b = static_cast<double>(rounded.grads[i]);
      difference += (a - b) * (a - b);
      length += a * a;
    }
    EXPECT_GT(difference, 0);
    EXPECT_LT(std::sqrt(difference / length), 0.03);
  }
}

TEST(GradientCheckpointing, LessIsHeld) {
  const std::int64_t lengths[] = {256, 256};
  for (const bool decodes : {false, true}) {
    const std::string text =
        decodes ? R"({"model_type": "llama", "architectures": ["LlamaForCausalLM"],
                      "vocab_size": 40, "hidden_size": 64, "intermediate_size": 256,
                      "num_hidden_layers": 12, "num_attention_heads": 2})"
                : R"({"model_type": "bert", "vocab_size": 40, "num_hidden_layers": 12,
                      "num_labels": 3, "num_attention_heads": 2, "intermediate_size": 256,
                      "max_position_embeddings": 256, "hidden_size": 64})";
    Trained kept(text, false), anew(text, false);
    anew.model->SetGradientCheckpointing(true);
    Batch batch = Rows(lengths, 256);
    if (!decodes) batch.documents.clear();
    kept.Learn(batch);
    anew.Learn(batch);
    EXPECT_LT(3 * anew.model->WorkingFloats(), kept.model->WorkingFloats()) << text;
  }
}

}  // namespace
}  // namespace tutti::model
