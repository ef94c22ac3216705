#include "worker/model/bert.h"

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

constexpr std::int64_t kLabels = 3;

struct Shape {
  std::int64_t hidden = 32;
  std::string activation = "gelu";
  double dropout = 0.2;
};

// A two-layer BERT with weights of its own and its flat buffers.
class TinyBert {
 public:
  explicit TinyBert(const Shape& shape) {
    const std::string dropout = std::to_string(shape.dropout);
    auto config = ParseModelConfig(
        R"({"model_type": "bert", "vocab_size": 40, "num_hidden_layers": 2, "num_labels": 3,
            "num_attention_heads": 2, "intermediate_size": 44, "max_position_embeddings": 24,
            "hidden_size": )" +
            std::to_string(shape.hidden) + R"(, "hidden_act": ")" + shape.activation +
            R"(", "hidden_dropout_prob": )" + dropout + R"(, "attention_probs_dropout_prob": )" +
            dropout + "}",
        "test");
    model_ = std::move(*MakeModel(*config));
    params.resize(static_cast<std::size_t>(model_->layout().total()));
    grads.resize(params.size());
    for (const ParameterInfo& info : model_->layout().parameters()) {
      const auto out = std::span(params).subspan(static_cast<std::size_t>(info.offset),
                                                 static_cast<std::size_t>(info.count));
      FillNormal(HashSeed(1, info.name), 0.2, out);
      if (info.name.ends_with("LayerNorm.weight")) {
        for (float& x : out) x += 1;
      }
    }
    model_->Bind(params.data());
    model_->BindGradients(grads.data());
  }

  Model& model() { return *model_; }

  Floats Logits(const Batch& batch, const ForwardOptions& options = {}) {
    const auto logits = model_->Forward(batch, options);
    EXPECT_TRUE(logits.has_value()) << logits.error().ToString();
    return {logits->data_ptr<float>(), logits->data_ptr<float>() + logits->numel()};
  }

  // Σ logits · LossWeights, and its gradients into `grads`.
  double Loss(const Batch& batch, const ForwardOptions& options, bool backward) {
    const auto logits = model_->Forward(batch, options);
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

// Rows of the given lengths, padded to `columns`.
Batch MakeBatch(const std::vector<std::int64_t>& lengths, std::int64_t columns,
                std::uint64_t seed = 1) {
  Batch batch{.rows = static_cast<std::int64_t>(lengths.size()), .columns = columns};
  for (std::size_t row = 0; row < lengths.size(); ++row) {
    for (std::int64_t i = 0; i < columns; ++i) {
      const std::uint64_t hash =
          HashSeed(HashSeed(seed, row), static_cast<std::uint64_t>(i)) % 1'000'003;
      const bool real = i < lengths[row];
      batch.input_ids.push_back(real ? static_cast<std::int64_t>(hash % 39 + 1) : 0);
      batch.type_ids.push_back(real ? static_cast<std::int64_t>(hash / 39 % 2) : 0);
      batch.attention_mask.push_back(real ? 1 : 0);
    }
  }
  return batch;
}

TEST(Bert, WhatBackwardCallsFinalIsFinal) {
  for (const bool want_hidden : {false, true}) {
    TinyBert bert({});
    const Batch batch = MakeBatch({7, 3, 1, 9}, 9);
    std::vector<std::pair<std::int64_t, Floats>> told;
    for (int micro = 0; micro < 2; ++micro) {  // gradients are added to those of the first
      const auto logits =
          bert.model().Forward(batch, {.training = true, .seed = 5, .want_hidden = want_hidden});
      ASSERT_TRUE(logits.has_value());
      told.clear();
      bert.model().Backward(logits->clone(), [&](std::int64_t from) {
        told.emplace_back(from, Floats(bert.grads.begin() + from, bert.grads.end()));
      });
    }
    ASSERT_GE(told.size(), 10u);  // head, four times a layer, embeddings
    EXPECT_EQ(told.back().first, 0);
    for (std::size_t i = 0; i < told.size(); ++i) {
      EXPECT_LT(told[i].first, i > 0 ? told[i - 1].first : bert.model().layout().total());
      EXPECT_TRUE(std::equal(told[i].second.begin(), told[i].second.end(),
                             bert.grads.begin() + told[i].first))
          << "from " << told[i].first;
    }
  }
}

// The gradient along a random direction of each parameter beside central differences.
void ExpectTrueGradients(const Shape& shape, bool want_hidden) {
  TinyBert bert(shape);
  const Batch batch = MakeBatch({7, 3, 1, 9}, 9);
  const ForwardOptions options{.training = true, .seed = 5, .want_hidden = want_hidden};
  bert.Loss(batch, options, /*backward=*/true);
  const Floats start = bert.params;
  for (const ParameterInfo& info : bert.model().layout().parameters()) {
    const auto offset = static_cast<std::size_t>(info.offset);
    const auto count = static_cast<std::size_t>(info.count);
    Floats direction(count);
    FillNormal(HashSeed(9, info.name), 1 / std::sqrt(static_cast<double>(count)), direction);
    double along = 0;
    for (std::size_t i = 0; i < count; ++i) {
      along += static_cast<double>(bert.grads[offset + i]) * static_cast<double>(direction[i]);
    }
    constexpr float kStep = 1e-2F;
    double difference = 0;
    for (const float sign : {1.0F, -1.0F}) {
      for (std::size_t i = 0; i < count; ++i) {
        bert.params[offset + i] = start[offset + i] + sign * kStep * direction[i];
      }
      difference += static_cast<double>(sign) * bert.Loss(batch, options, /*backward=*/false);
      std::copy_n(start.begin() + info.offset, count, bert.params.begin() + info.offset);
    }
    difference /= 2 * static_cast<double>(kStep);
    EXPECT_NEAR(along, difference, 2e-3 + 5e-3 * std::fabs(difference)) << info.name;
  }
}

TEST(Bert, GradientsAreThoseOfFiniteDifferences) { ExpectTrueGradients({}, false); }

TEST(Bert, GradientsAreRightWhereEveryPositionIsComputed) { ExpectTrueGradients({}, true); }

// No multiple of 16: q, k and v lie apart and rows end within a vector.
TEST(Bert, GradientsAreRightForOddWidths) {
  ExpectTrueGradients({.hidden = 20}, false);
  ExpectTrueGradients({.hidden = 20}, true);
}

TEST(Bert, GradientsAreRightForEverySmoothActivation) {
  for (const char* name : {"gelu_new", "quick_gelu", "silu", "tanh"}) {
    SCOPED_TRACE(name);
    ExpectTrueGradients({.activation = name}, false);
  }
}

TEST(Bert, GradientsAreAddedToWhatIsThere) {
  TinyBert bert({});
  const Batch batch = MakeBatch({4, 6}, 6);
  bert.Loss(batch, {.training = true}, true);
  const Floats once = bert.grads;
  bert.Loss(batch, {.training = true}, true);
  for (std::size_t i = 0; i < once.size(); ++i) {
    ASSERT_NEAR(bert.grads[i], 2 * once[i], 1e-5F + 1e-4F * std::fabs(once[i])) << i;
  }
}

TEST(Bert, TheRowOfThePaddingIdGetsNoGradient) {
  TinyBert bert({});
  Batch batch = MakeBatch({4, 6}, 6);
  batch.input_ids[2] = 0;  // the padding id, as a real token
  bert.Loss(batch, {.training = true}, true);
  const ParameterInfo* words = bert.model().layout().Find("bert.embeddings.word_embeddings.weight");
  EXPECT_EQ(words->padding_row, 0);
  for (std::int64_t i = 0; i < 32; ++i) {
    EXPECT_EQ(bert.grads[static_cast<std::size_t>(words->offset + i)], 0.0F);
  }
}

TEST(Bert, AMicroBatchGivesTheSameBitsWhateverRanBefore) {
  const Batch batch = MakeBatch({5, 11, 2}, 11);
  const ForwardOptions options{.training = true, .seed = 3};
  TinyBert fresh({}), used({});
  fresh.Loss(batch, options, true);
  for (const std::int64_t length : {20, 1, 13}) {
    used.Loss(MakeBatch({length, 4, 4, 4, length}, 20, 8), {.training = true, .seed = 4}, true);
    used.Logits(MakeBatch({length}, 20, 9), {.want_hidden = true});
  }
  std::ranges::fill(used.grads, 0.0F);
  used.Loss(batch, options, true);
  EXPECT_EQ(used.grads, fresh.grads);
  EXPECT_EQ(used.Logits(batch, options), fresh.Logits(batch, options));
}

TEST(Bert, PaddingChangesNothing) {
  TinyBert bert({});
  const std::vector<std::int64_t> lengths = {5, 11, 2};
  const ForwardOptions options{.training = true, .seed = 3};
  const Floats logits = bert.Logits(MakeBatch(lengths, 11), options);
  Batch wide = MakeBatch(lengths, 19);
  EXPECT_EQ(bert.Logits(wide, options), logits);
  for (std::size_t i = 0; i < wide.input_ids.size(); ++i) {
    if (wide.attention_mask[i] == 0) wide.input_ids[i] = 1'000'000;  // never looked at
  }
  EXPECT_EQ(bert.Logits(wide, options), logits);
}

TEST(Bert, HolesOfAMaskKeepThePositionsOfWhatFollows) {
  TinyBert bert({});
  Batch holes = MakeBatch({6}, 6);
  holes.attention_mask[2] = 0;
  Batch closed = holes;
  for (auto* values : {&closed.input_ids, &closed.type_ids, &closed.attention_mask}) {
    values->erase(values->begin() + 2);
  }
  closed.columns = 5;
  const Floats with_hole = bert.Logits(holes), without = bert.Logits(closed);
  EXPECT_NE(with_hole, without);  // positions differ: 0 1 3 4 5 and 0 1 2 3 4
  const ParameterInfo* positions =
      bert.model().layout().Find("bert.embeddings.position_embeddings.weight");
  const auto at = bert.params.begin() + positions->offset;
  std::copy(at + 3 * 32, at + 6 * 32, at + 2 * 32);
  EXPECT_EQ(bert.Logits(closed), with_hole);
}

TEST(Bert, ARowAloneAnswersAsInABatch) {
  TinyBert bert({});
  const std::vector<std::int64_t> lengths = {5, 11, 2};
  const Batch batch = MakeBatch(lengths, 11);
  const Floats all = bert.Logits(batch);
  for (std::size_t row = 0; row < lengths.size(); ++row) {
    const auto from = static_cast<std::ptrdiff_t>(row) * 11, to = from + lengths[row];
    const Batch one{.rows = 1,
                    .columns = lengths[row],
                    .input_ids = {batch.input_ids.begin() + from, batch.input_ids.begin() + to},
                    .type_ids = {batch.type_ids.begin() + from, batch.type_ids.begin() + to}};
    const Floats alone = bert.Logits(one);
    for (std::size_t i = 0; i < alone.size(); ++i) {
      EXPECT_NEAR(alone[i], all[row * kLabels + i], 1e-5F);
    }
  }
}

TEST(Bert, DropoutFollowsTheSeedAndActsInTrainingOnly) {
  TinyBert bert({});
  const Batch batch = MakeBatch({5, 11, 2}, 11);
  const Floats one = bert.Logits(batch, {.training = true, .seed = 1});
  EXPECT_EQ(bert.Logits(batch, {.training = true, .seed = 1}), one);
  EXPECT_NE(bert.Logits(batch, {.training = true, .seed = 2}), one);
  EXPECT_EQ(bert.Logits(batch, {.seed = 1}), bert.Logits(batch, {.seed = 2}));
}

TEST(Bert, HiddenStatesAreZeroAtPadding) {
  TinyBert bert({});
  const Batch batch = MakeBatch({2, 4}, 4);
  const Floats logits = bert.Logits(batch, {.want_hidden = true});
  const at::Tensor hidden = bert.model().Hidden();
  ASSERT_EQ(hidden.sizes(), (std::vector<std::int64_t>{2, 4, 32}));
  for (std::int64_t column = 0; column < 4; ++column) {
    double square = 0;
    for (std::int64_t i = 0; i < 32; ++i) {
      const float x = hidden.data_ptr<float>()[column * 32 + i];
      square += static_cast<double>(x) * static_cast<double>(x);
    }
    EXPECT_EQ(square > 0, column < 2) << column;
  }
  const Floats first_only = bert.Logits(batch);
  for (std::size_t i = 0; i < logits.size(); ++i) EXPECT_NEAR(logits[i], first_only[i], 1e-5F);
}

std::string ErrorOf(const Batch& batch) {
  TinyBert bert({});
  const auto logits = bert.model().Forward(batch, {});
  if (logits.has_value()) return "no error";
  EXPECT_EQ(logits.error().code, ErrorCode::kInvalid);
  return logits.error().ToString();
}

TEST(Bert, InputsThatDoNotFitTheModelAreRefused) {
  const Batch good = MakeBatch({3, 4}, 4);
  EXPECT_EQ(ErrorOf(good), "no error");
  EXPECT_THAT(ErrorOf(MakeBatch({25}, 25)), HasSubstr("a row has 25 tokens, the model 24"));
  Batch bad = good;
  bad.input_ids[1] = 40;
  EXPECT_THAT(ErrorOf(bad), HasSubstr("token id 40 is outside the model's vocabulary of 40"));
  bad.input_ids[1] = -1;
  EXPECT_THAT(ErrorOf(bad), HasSubstr("token id -1"));
  bad = good;
  bad.type_ids[0] = 2;
  EXPECT_THAT(ErrorOf(bad), HasSubstr("token type id 2"));
  bad = good;
  bad.attention_mask[4] = 0;
  EXPECT_THAT(ErrorOf(bad), HasSubstr("the first token of a row is masked"));
  EXPECT_THAT(ErrorOf(Batch{}), HasSubstr("no token"));
}

TEST(Bert, WorkingMemoryStaysThatOfTheLargestMicroBatch) {
  TinyBert bert({});
  const Batch large = MakeBatch({20, 20, 20, 20}, 20);
  for (int i = 0; i < 3; ++i) bert.Loss(large, {.training = true}, true);
  const std::int64_t floats = bert.model().WorkingFloats();
  EXPECT_GT(floats, 0);
  for (int i = 0; i < 5; ++i) {
    bert.Loss(large, {.training = true}, true);
    bert.Loss(MakeBatch({3}, 3), {.training = true}, true);
  }
  EXPECT_EQ(bert.model().WorkingFloats(), floats);
}

}  // namespace
}  // namespace tutti::model
