#include "worker/model/decoder.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "worker/model/random.h"

namespace tutti::model {
namespace {

using ::testing::HasSubstr;
using Floats = std::vector<float>;

constexpr std::int64_t kV = 40;

// Small models that between them have everything: Conv1D, biases, dropout, tied and own output
// layers, groups of heads, windows, padding rows, a head width that is no multiple of 16.
constexpr const char* kGpt2 =
    R"({"model_type": "gpt2", "architectures": ["GPT2LMHeadModel"], "vocab_size": 40,
        "n_positions": 24, "n_embd": 24, "n_layer": 2, "n_head": 2, "n_inner": 20,
        "scale_attn_by_inverse_layer_idx": true})";
constexpr const char* kLlama =
    R"({"model_type": "llama", "architectures": ["LlamaForCausalLM"], "vocab_size": 40,
        "hidden_size": 20, "intermediate_size": 28, "num_hidden_layers": 2, "head_dim": 6,
        "num_attention_heads": 4, "num_key_value_heads": 2, "attention_bias": true,
        "mlp_bias": true, "pad_token_id": 3, "rope_theta": 100.0})";
constexpr const char* kMistral =
    R"({"model_type": "mistral", "architectures": ["MistralForCausalLM"], "vocab_size": 40,
        "hidden_size": 32, "intermediate_size": 28, "num_hidden_layers": 2,
        "num_attention_heads": 2, "num_key_value_heads": 1, "sliding_window": 3,
        "attention_dropout": 0.2, "tie_word_embeddings": true, "pad_token_id": 3})";
constexpr const char* kQwen2 =
    R"({"model_type": "qwen2", "architectures": ["Qwen2ForSequenceClassification"],
        "vocab_size": 40, "hidden_size": 20, "intermediate_size": 28, "num_hidden_layers": 2,
        "num_attention_heads": 2, "num_key_value_heads": 2, "num_labels": 3, "pad_token_id": 3,
        "use_sliding_window": true, "sliding_window": 4, "max_window_layers": 1})";

Result<std::unique_ptr<Model>> MakeDecoder(const std::string& text) {
  auto config = ParseModelConfig(text, "config.json");
  if (!config) return Fail(config.error());
  return MakeModel(*config);
}

class Tiny {
 public:
  explicit Tiny(const char* config) : model_(std::move(*MakeDecoder(config))) {
    params.resize(static_cast<std::size_t>(model_->layout().total()));
    grads.resize(params.size());
    for (const ParameterInfo& info : model_->layout().parameters()) {
      const auto out = std::span(params).subspan(static_cast<std::size_t>(info.offset),
                                                 static_cast<std::size_t>(info.count));
      FillNormal(HashSeed(1, info.name), 0.2, out);
      if (info.name.find("ln_") != info.name.npos || info.name.find("norm") != info.name.npos) {
        for (float& x : out) x += 1;
      }
    }
    model_->Bind(params.data());
    model_->BindGradients(grads.data());
  }

  Model& model() { return *model_; }
  LanguageModel& language() { return *model_->language(); }

  Floats Logits(const Batch& batch) {
    const auto logits = model_->Forward(batch, {});
    EXPECT_TRUE(logits.has_value()) << logits.error().ToString();
    return {logits->data_ptr<float>(), logits->data_ptr<float>() + logits->numel()};
  }

  // Σ logits · fixed weights, with gradients into `grads` where wanted.
  double Loss(const Batch& batch, bool backward) {
    const auto logits = model_->Forward(batch, {.training = true, .seed = 5});
    EXPECT_TRUE(logits.has_value()) << logits.error().ToString();
    at::Tensor weights = logits->clone();
    FillNormal(77, 1, {weights.data_ptr<float>(), static_cast<std::size_t>(weights.numel())});
    double loss = 0;
    for (std::int64_t i = 0; i < logits->numel(); ++i) {
      loss += static_cast<double>(logits->data_ptr<float>()[i]) *
              static_cast<double>(weights.data_ptr<float>()[i]);
    }
    if (backward) model_->Backward(weights);
    return loss;
  }

  Floats params, grads;

 private:
  std::unique_ptr<Model> model_;
};

std::int64_t Token(std::size_t row, std::int64_t column) {
  const std::uint64_t hash = HashSeed(HashSeed(3, row), static_cast<std::uint64_t>(column));
  return static_cast<std::int64_t>(hash % 36 + 4);
}

// Rows of these lengths, padded on the right, or on the left; labels everywhere.
Batch DecoderBatch(const std::vector<std::int64_t>& lengths, std::int64_t columns,
                   bool left = false) {
  Batch batch{.rows = static_cast<std::int64_t>(lengths.size()), .columns = columns};
  for (std::size_t row = 0; row < lengths.size(); ++row) {
    const std::int64_t begin = left ? columns - lengths[row] : 0;
    for (std::int64_t i = 0; i < columns; ++i) {
      const bool real = i >= begin && i < begin + lengths[row];
      batch.input_ids.push_back(real ? Token(row, i - begin) : 3);
      batch.attention_mask.push_back(real ? 1 : 0);
      batch.labels.push_back(real ? Token(row, i - begin) : kIgnoreLabel);
    }
  }
  return batch;
}

class EveryFamily : public testing::TestWithParam<const char*> {};
INSTANTIATE_TEST_SUITE_P(Configs, EveryFamily, testing::Values(kGpt2, kLlama, kMistral, kQwen2));
class EveryLanguageModel : public testing::TestWithParam<const char*> {};
INSTANTIATE_TEST_SUITE_P(Configs, EveryLanguageModel, testing::Values(kGpt2, kLlama, kMistral));

// The gradient along a random direction of each parameter beside central differences. A padding
// row's look-ups give none: no row of the batch reads it.
TEST_P(EveryFamily, GradientsAreThoseOfTheLoss) {
  Tiny tiny(GetParam());
  const Batch batch = DecoderBatch({7, 3, 1, 9}, 9);
  tiny.Loss(batch, /*backward=*/true);
  const Floats start = tiny.params;
  for (const ParameterInfo& info : tiny.model().layout().parameters()) {
    const auto offset = static_cast<std::size_t>(info.offset);
    const auto count = static_cast<std::size_t>(info.count);
    Floats direction(count);
    FillNormal(HashSeed(9, info.name), 1 / std::sqrt(static_cast<double>(count)), direction);
    double along = 0;
    for (std::size_t i = 0; i < count; ++i) {
      along += static_cast<double>(tiny.grads[offset + i]) * static_cast<double>(direction[i]);
    }
    constexpr float kStep = 1e-2F;
    double difference = 0;
    for (const float sign : {1.0F, -1.0F}) {
      for (std::size_t i = 0; i < count; ++i) {
        tiny.params[offset + i] = start[offset + i] + sign * kStep * direction[i];
      }
      difference += static_cast<double>(sign) * tiny.Loss(batch, /*backward=*/false);
    }
    std::copy(start.begin(), start.end(), tiny.params.begin());
    const double want = difference / (2 * static_cast<double>(kStep));
    EXPECT_NEAR(along, want, 2e-2 * (1 + std::fabs(want))) << info.name;
  }
}

TEST_P(EveryFamily, WhatBackwardCallsFinalIsFinal) {
  Tiny tiny(GetParam());
  const Batch batch = DecoderBatch({7, 3, 9}, 9);
  std::vector<std::pair<std::int64_t, Floats>> told;
  const auto logits = tiny.model().Forward(batch, {.training = true, .seed = 5});
  ASSERT_TRUE(logits.has_value());
  tiny.model().Backward(logits->clone(), [&](std::int64_t from) {
    told.emplace_back(from, Floats(tiny.grads.begin() + from, tiny.grads.end()));
  });
  ASSERT_GE(told.size(), 9u);  // four times a layer, embeddings
  EXPECT_EQ(told.back().first, 0);
  for (std::size_t i = 0; i < told.size(); ++i) {
    EXPECT_LT(told[i].first, i > 0 ? told[i - 1].first : tiny.model().layout().total());
    EXPECT_TRUE(std::equal(told[i].second.begin(), told[i].second.end(),
                           tiny.grads.begin() + told[i].first))
        << "from " << told[i].first;
  }
}

TEST_P(EveryFamily, PaddingOnEitherSideChangesNothing) {
  Tiny tiny(GetParam());
  const Floats right = tiny.Logits(DecoderBatch({5, 8}, 8));
  const Floats left = tiny.Logits(DecoderBatch({5, 8}, 8, /*left=*/true));
  ASSERT_EQ(right.size(), left.size());
  if (tiny.model().language() == nullptr) {
    EXPECT_EQ(right, left);
    return;
  }
  for (std::size_t i = 0; i < 5 * kV; ++i) EXPECT_EQ(right[i], left[3 * kV + i]) << i;
  for (std::size_t i = 8 * kV; i < 16 * kV; ++i) EXPECT_EQ(right[i], left[i]) << i;
}

TEST_P(EveryLanguageModel, LossByPartsIsThatOfTheLogits) {
  Tiny tiny(GetParam());
  Batch batch = DecoderBatch({7, 3, 9}, 9);
  batch.labels[4] = kIgnoreLabel;
  batch.weights.assign(batch.labels.size(), 0.5F);
  batch.weights[2] = 2;
  ASSERT_TRUE(tiny.language().ForwardTokens(batch, {.training = true, .seed = 5}).has_value());
  const TokenScores scores = tiny.language().Score({.scale = 0.1, .label_smoothing = 0.2});
  tiny.language().BackwardTokens({});
  const Floats by_parts = tiny.grads;
  EXPECT_EQ(scores.items, 6 + 2 + 8 - 1);
  EXPECT_DOUBLE_EQ(scores.weight, 0.5 * 14 + 2);

  const auto logits = tiny.model().Forward(batch, {.training = true, .seed = 5});
  ASSERT_TRUE(logits.has_value());
  at::Tensor grad = logits->clone();
  double loss = 0;
  for (std::int64_t at = 0; at < batch.rows * batch.columns; ++at) {
    float* const g = grad.data_ptr<float>() + at * kV;
    const float* const x = logits->data_ptr<float>() + at * kV;
    const bool last = (at + 1) % batch.columns == 0;
    const auto next = static_cast<std::size_t>(at + 1);
    const std::int64_t target = last ? kIgnoreLabel : batch.labels[next];
    const double weight = last ? 0 : static_cast<double>(batch.weights[next]);
    double sum = 0, total = 0;
    for (std::int64_t v = 0; v < kV; ++v) {
      sum += std::exp(static_cast<double>(x[v]));
      total += static_cast<double>(x[v]);
    }
    for (std::int64_t v = 0; v < kV; ++v) {
      const double p = std::exp(static_cast<double>(x[v])) / sum;
      const double wanted = (v == target ? 0.8 : 0) + 0.2 / static_cast<double>(kV);
      g[v] = target == kIgnoreLabel ? 0 : static_cast<float>(0.1 * weight * (p - wanted));
    }
    if (target == kIgnoreLabel) continue;
    loss += weight * (std::log(sum) - 0.8 * static_cast<double>(x[target]) -
                      0.2 * total / static_cast<double>(kV));
  }
  EXPECT_NEAR(scores.loss, loss, 1e-4);
  std::ranges::fill(tiny.grads, 0.0F);
  tiny.model().Backward(grad);
  for (std::size_t i = 0; i < by_parts.size(); ++i) {
    ASSERT_NEAR(static_cast<double>(by_parts[i]), static_cast<double>(tiny.grads[i]), 1e-5) << i;
  }
}

TEST_P(EveryLanguageModel, DocumentsThatShareARowDoNotSeeEachOther) {
  Tiny tiny(GetParam());
  const Batch apart = DecoderBatch({4, 6}, 6);
  Batch packed{.rows = 1, .columns = 10};
  for (const std::size_t row : {0, 1}) {
    for (std::int64_t i = 0; i < (row == 0 ? 4 : 6); ++i) {
      packed.input_ids.push_back(Token(row, i));
      packed.documents.push_back(static_cast<std::int64_t>(row));
    }
  }
  const Floats want = tiny.Logits(apart), got = tiny.Logits(packed);
  for (std::size_t i = 0; i < 10 * kV; ++i) {
    ASSERT_EQ(got[i], want[i < 4 * kV ? i : i + 2 * kV]) << i;
  }
}

TEST_P(EveryLanguageModel, ContinuingFromTheCacheIsReadingTheWholeText) {
  Tiny tiny(GetParam());
  const Batch batch = DecoderBatch({9, 7}, 9);
  const Floats want = tiny.Logits(batch);
  KeyValueCache cache = tiny.language().MakeCache(3, 9);
  std::vector<Continuation> next = {{.slot = 2}, {.slot = 0}};
  for (std::int64_t i = 0; i < 4; ++i) next[0].tokens.push_back(Token(0, i));
  for (std::int64_t i = 0; i < 2; ++i) next[1].tokens.push_back(Token(1, i));
  for (std::int64_t at : {4, 5, 6}) {
    const auto logits = tiny.language().Extend(next, cache);
    ASSERT_TRUE(logits.has_value()) << logits.error().ToString();
    for (std::int64_t v = 0; v < kV; ++v) {
      const auto first = static_cast<std::size_t>((at - 1) * kV + v);
      const auto second = static_cast<std::size_t>((9 + at - 3) * kV + v);
      ASSERT_NEAR(logits->data_ptr<float>()[v], want[first], 1e-5);
      ASSERT_NEAR(logits->data_ptr<float>()[kV + v], want[second], 1e-5);
    }
    next[0].tokens = {Token(0, at)};
    next[1].tokens = {Token(1, at - 2)};
    if (at == 4) {  // slots change places
      cache.Reorder(std::vector<std::int64_t>{2, 2, 0});
      next[0].slot = 1;
      next[1].slot = 2;
    }
  }
}

TEST(Decoder, AClassifierReadsTheLastTokenThatIsNoPadding) {
  Tiny tiny(kQwen2);
  Batch batch = DecoderBatch({6}, 6);
  const Floats whole = tiny.Logits(batch);
  batch.input_ids[5] = 3;  // a real token with the padding's id
  const Floats shorter = tiny.Logits(batch);
  EXPECT_NE(whole, shorter);
  EXPECT_EQ(shorter, tiny.Logits(DecoderBatch({5}, 5)));
}

// Transformers compares ids with it, and none is negative; its embedding counts it from the end.
TEST(Decoder, ANegativePaddingIdIsNoTokens) {
  std::string text = kQwen2;
  text.replace(text.find("\"pad_token_id\": 3"), 17, "\"pad_token_id\": -1");
  Tiny tiny(text.c_str());
  EXPECT_EQ(tiny.model().layout().Find("model.embed_tokens.weight")->padding_row, kV - 1);
  Batch batch = DecoderBatch({6}, 6);
  batch.input_ids[5] = kV - 1;
  EXPECT_NE(tiny.Logits(batch), tiny.Logits(DecoderBatch({5}, 5)));
}

TEST(Decoder, WhatIsNotBuiltIsRefusedByName) {
  const auto refused = [](const std::string& fields) {
    const auto made = MakeDecoder(
        R"({"model_type": "llama", "architectures": ["LlamaForCausalLM"], )" + fields + "}");
    EXPECT_FALSE(made.has_value()) << fields;
    return made ? Error{} : made.error();
  };
  const Error rope = refused(R"("rope_scaling": {"type": "longrope", "factor": 2})");
  EXPECT_EQ(rope.code, ErrorCode::kUnsupported);
  EXPECT_THAT(rope.message, HasSubstr("longrope"));
  EXPECT_THAT(rope.hint, HasSubstr("linear, dynamic, llama3, yarn"));
  EXPECT_THAT(refused(R"("hidden_act": "mish")").message, HasSubstr("mish"));
  EXPECT_THAT(refused(R"("quantization_config": {"bits": 4})").message, HasSubstr("quantization"));
  EXPECT_THAT(refused(R"("num_attention_heads": 4, "num_key_value_heads": 3)").message,
              HasSubstr("num_key_value_heads"));
  const auto family =
      MakeDecoder(R"({"model_type": "gemma2", "architectures": ["Gemma2ForCausalLM"]})");
  EXPECT_THAT(family.error().message, HasSubstr("gemma2"));
  EXPECT_EQ(family.error().hint, "supported: gpt2, llama, mistral, qwen2");
}

TEST(Decoder, TextBeyondThePositionsIsRefused) {
  Tiny tiny(kGpt2);
  const auto logits = tiny.model().Forward(DecoderBatch({25}, 25), {});
  ASSERT_FALSE(logits.has_value());
  EXPECT_THAT(logits.error().message, HasSubstr("24 positions"));
  Batch batch = DecoderBatch({3}, 3);
  batch.input_ids[1] = kV;
  EXPECT_THAT(tiny.model().Forward(batch, {}).error().message, HasSubstr("token id 40"));
}

}  // namespace
}  // namespace tutti::model
