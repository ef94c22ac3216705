#include "worker/train/preference.h"

#include <gtest/gtest.h>

#include <cmath>
#include <functional>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "worker/model/language_model.h"
#include "worker/model/random.h"

namespace tutti::train {
namespace {

using Floats = std::vector<float>;

PreferenceOptions OptionsOf(const std::string& loss) {
  const bool smooths = loss == "robust" || loss == "sigmoid_smoothed";
  spec::DpoSpec dpo;
  dpo.loss_type = loss;
  dpo.beta = 0.2;
  dpo.label_smoothing = smooths ? 0.2 : 0;
  return PreferenceOf(dpo);
}

class EveryLoss : public testing::TestWithParam<const char*> {};
INSTANTIATE_TEST_SUITE_P(Names, EveryLoss,
                         testing::Values("sigmoid", "hinge", "ipo", "robust", "sigmoid_smoothed"));

TEST_P(EveryLoss, DerivativesAreThoseOfTheLoss) {
  const PreferenceOptions options = OptionsOf(GetParam());
  for (const double margin : {-30.0, -3.0, 0.5, 4.0, 40.0}) {
    PairScore pair{.chosen = {.log_probability = -10, .reference = -10 - margin, .tokens = 5},
                   .rejected = {.log_probability = -7, .reference = -8, .tokens = 2}};
    const PairLoss at = LossOfPair(options, pair);
    constexpr double kStep = 1e-5;
    const auto slope = [&](double& place) {
      const double was = place;
      place = was + kStep;
      const double above = LossOfPair(options, pair).loss;
      place = was - kStep;
      const double below = LossOfPair(options, pair).loss;
      place = was;
      return (above - below) / (2 * kStep);
    };
    EXPECT_NEAR(at.by_chosen, slope(pair.chosen.log_probability), 1e-6) << margin;
    EXPECT_NEAR(at.by_rejected, slope(pair.rejected.log_probability), 1e-6) << margin;
    EXPECT_DOUBLE_EQ(at.chosen_reward, 0.2 * margin);
    EXPECT_DOUBLE_EQ(at.rejected_reward, 0.2);
  }
}

TEST(PreferenceLoss, IsFiniteHoweverFarTheModelHasGone) {
  PairScore pair{.chosen = {.log_probability = -1e6, .reference = 0, .tokens = 9},
                 .rejected = {.log_probability = 0, .reference = -1e6, .tokens = 9}};
  const PairLoss loss = LossOfPair({.beta = 0.5}, pair);
  EXPECT_DOUBLE_EQ(loss.loss, 1e6);
  EXPECT_DOUBLE_EQ(loss.by_chosen, -0.5);
  std::swap(pair.chosen, pair.rejected);
  EXPECT_DOUBLE_EQ(LossOfPair({.beta = 0.5}, pair).loss, 0);
}

// A GPT-2 with dropout, and a base of other weights.
class Tiny {
 public:
  explicit Tiny(bool adapts = false) {
    auto config = model::ParseModelConfig(
        R"({"model_type": "gpt2", "architectures": ["GPT2LMHeadModel"], "vocab_size": 40,
            "n_positions": 24, "n_embd": 24, "n_layer": 2, "n_head": 2, "resid_pdrop": 0.3,
            "attn_pdrop": 0.3, "embd_pdrop": 0.3})",
        "config.json");
    model = std::move(*model::MakeModel(*config));
    base = Fill(model->base_layout(), 1);
    if (adapts) {
      EXPECT_TRUE(model->Adapt({.r = 2, .lora_dropout = 0.5, .all_linear = true}).has_value());
    }
    params = Fill(model->layout(), 2);
    grads.resize(params.size());
    model->Bind(params.data());
    model->BindBase(base.data());
    model->BindGradients(grads.data());
  }

  static Floats Fill(const model::ParameterLayout& layout, std::uint64_t seed) {
    Floats values(static_cast<std::size_t>(layout.total()));
    for (const model::ParameterInfo& info : layout.parameters()) {
      const auto out = std::span(values).subspan(static_cast<std::size_t>(info.offset),
                                                 static_cast<std::size_t>(info.count));
      model::FillNormal(model::HashSeed(seed, info.name), 0.2, out);
      if (info.name.find("ln_") != info.name.npos) {
        for (float& x : out) x += 1;
      }
    }
    return values;
  }

  double Loss(const model::Batch& batch) {
    const auto loss = LearnPairs(*model, batch, {.beta = 0.3}, 0.5);
    EXPECT_TRUE(loss.has_value()) << loss.error().ToString();
    return loss.value_or(0);
  }

  std::unique_ptr<model::Model> model;
  Floats base, params, grads;
};

// Two pairs: answers of 3 and 4 tokens behind prompts of 2, and of 2 and 5 behind 1.
model::Batch Pairs() {
  model::Batch batch{.rows = 2, .columns = 11};
  const std::size_t lengths[2][2] = {{5, 6}, {3, 6}}, prompts[2] = {2, 1};
  for (std::size_t row = 0; row < 2; ++row) {
    std::int64_t column = 0;
    for (std::size_t side = 0; side < 2; ++side) {
      for (std::size_t i = 0; i < lengths[row][side]; ++i, ++column) {
        const bool prompt = i < prompts[row];
        const auto seed = prompt ? row : 10 + 2 * row + side;
        const auto id = static_cast<std::int64_t>(model::HashSeed(seed, i) % 40);
        batch.input_ids.push_back(id);
        batch.attention_mask.push_back(1);
        batch.documents.push_back(static_cast<std::int64_t>(side));
        batch.labels.push_back(prompt ? model::kIgnoreLabel : id);
        batch.weights.push_back(prompt ? 0.0F : 1.0F);
      }
    }
    for (; column < batch.columns; ++column) {
      batch.input_ids.push_back(0);
      batch.attention_mask.push_back(0);
      batch.documents.push_back(0);
      batch.labels.push_back(model::kIgnoreLabel);
      batch.weights.push_back(0);
    }
  }
  return batch;
}

TEST(LearnPairs, GradientsAreThoseOfTheLoss) {
  for (const bool adapts : {false, true}) {
    Tiny tiny(adapts);
    const model::Batch batch = Pairs();
    tiny.Loss(batch);
    tiny.model->language()->BackwardTokens([](std::int64_t) {});
    const Floats start = tiny.params, grads = tiny.grads;
    Floats direction(start.size());
    model::FillNormal(9, 1e-2, direction);
    double along = 0, difference = 0;
    for (std::size_t i = 0; i < start.size(); ++i) {
      along += static_cast<double>(grads[i]) * static_cast<double>(direction[i]);
    }
    constexpr float kStep = 2e-2F;
    for (const float sign : {1.0F, -1.0F}) {
      for (std::size_t i = 0; i < start.size(); ++i) {
        tiny.params[i] = start[i] + sign * kStep * direction[i];
      }
      difference += static_cast<double>(sign) * tiny.Loss(batch);
    }
    const double want = 0.5 * difference / (2 * static_cast<double>(kStep));
    EXPECT_GT(std::fabs(want), 1e-4);
    EXPECT_NEAR(along, want, 2e-2 * std::fabs(want) + 1e-4) << adapts;
  }
}

TEST(ScorePairs, AreAnswersAloneAndNoDropoutActs) {
  Tiny tiny;
  const model::Batch batch = Pairs();
  const auto pairs = ScorePairs(*tiny.model, batch, /*training=*/true);
  const auto again = ScorePairs(*tiny.model, batch, /*training=*/false);
  ASSERT_TRUE(pairs.has_value() && again.has_value());
  ASSERT_EQ(pairs->size(), 2u);
  EXPECT_EQ((*pairs)[0].chosen.tokens, 3);
  EXPECT_EQ((*pairs)[0].rejected.tokens, 4);
  EXPECT_EQ((*pairs)[1].chosen.tokens, 2);
  EXPECT_EQ((*pairs)[1].rejected.tokens, 5);
  for (std::size_t i = 0; i < 2; ++i) {
    EXPECT_LT((*pairs)[i].chosen.log_probability, 0);
    EXPECT_NE((*pairs)[i].chosen.log_probability, (*pairs)[i].chosen.reference);
    EXPECT_FLOAT_EQ(static_cast<float>((*pairs)[i].chosen.log_probability),
                    static_cast<float>((*again)[i].chosen.log_probability));
  }
}

TEST(ScorePairs, TheReferenceIsTheBaseAndStaysWhereItIs) {
  Tiny tiny;
  tiny.params = tiny.base;
  const auto same = ScorePairs(*tiny.model, Pairs(), /*training=*/false);
  ASSERT_TRUE(same.has_value());
  EXPECT_DOUBLE_EQ((*same)[0].chosen.log_ratio(), 0);
  EXPECT_NEAR(SumPairs({}, *same).loss, 2 * std::log(2.0), 1e-12);
  Tiny adapted(/*adapts=*/true);
  const auto far = ScorePairs(*adapted.model, Pairs(), /*training=*/false);
  ASSERT_TRUE(far.has_value());
  EXPECT_NE((*far)[0].chosen.log_ratio(), 0);
  EXPECT_DOUBLE_EQ((*far)[0].chosen.reference, (*same)[0].chosen.reference);
}

}  // namespace
}  // namespace tutti::train
