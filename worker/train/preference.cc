#include "worker/train/preference.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <string_view>

#include "common/base/check.h"
#include "worker/model/language_model.h"

namespace tutti::train {
namespace {

struct LossName {
  std::string_view name;
  PreferenceLoss loss;
};
constexpr std::array kLossNames = {
    LossName{"sigmoid", PreferenceLoss::kSigmoid},
    LossName{"hinge", PreferenceLoss::kHinge},
    LossName{"ipo", PreferenceLoss::kIpo},
    LossName{"robust", PreferenceLoss::kRobust},
    LossName{"sigmoid_smoothed", PreferenceLoss::kSigmoidSmoothed},
};

double Sigmoid(double x) { return 1 / (1 + std::exp(-x)); }

// Without overflow on either side.
double LogSigmoid(double x) { return std::min(x, 0.0) - std::log1p(std::exp(-std::fabs(x))); }

// A loss of the margin and its derivative by it.
struct OfMargin {
  double loss = 0, slope = 0;
};

// −a · log σ(m) − b · log σ(−m).
OfMargin SigmoidLoss(double margin, double a, double b) {
  return {-a * LogSigmoid(margin) - b * LogSigmoid(-margin),
          -a * Sigmoid(-margin) + b * Sigmoid(margin)};
}

OfMargin LossOfMargin(const PreferenceOptions& options, double margin) {
  const double epsilon = options.label_smoothing;
  switch (options.loss) {
    case PreferenceLoss::kHinge:
      return margin < 1 ? OfMargin{1 - margin, -1} : OfMargin{};
    case PreferenceLoss::kRobust:
      return SigmoidLoss(margin, (1 - epsilon) / (1 - 2 * epsilon), -epsilon / (1 - 2 * epsilon));
    case PreferenceLoss::kSigmoidSmoothed:
      return SigmoidLoss(margin, 1 - epsilon, epsilon);
    case PreferenceLoss::kSigmoid:
    case PreferenceLoss::kIpo:
      break;
  }
  return SigmoidLoss(margin, 1, 0);
}

}  // namespace

PreferenceOptions PreferenceOf(const spec::DpoSpec& spec) {
  const auto found = std::ranges::find(kLossNames, spec.loss_type, &LossName::name);
  TUTTI_CHECK(found != kLossNames.end(), "loss_type ", spec.loss_type);
  return {.loss = found->loss, .beta = spec.beta, .label_smoothing = spec.label_smoothing};
}

PairLoss LossOfPair(const PreferenceOptions& options, const PairScore& pair) {
  const AnswerScore& chosen = pair.chosen;
  const AnswerScore& rejected = pair.rejected;
  PairLoss result{.chosen_reward = options.beta * chosen.log_ratio(),
                  .rejected_reward = options.beta * rejected.log_ratio()};
  if (options.loss == PreferenceLoss::kIpo) {
    // An answer that was cut off has no tokens and a log ratio of 0.
    const double n_chosen = std::max(chosen.tokens, 1.0);
    const double n_rejected = std::max(rejected.tokens, 1.0);
    const double error =
        chosen.log_ratio() / n_chosen - rejected.log_ratio() / n_rejected - 1 / (2 * options.beta);
    result.loss = error * error;
    result.by_chosen = 2 * error / n_chosen;
    result.by_rejected = -2 * error / n_rejected;
    return result;
  }
  const OfMargin of = LossOfMargin(options, result.chosen_reward - result.rejected_reward);
  result.loss = of.loss;
  result.by_chosen = options.beta * of.slope;
  result.by_rejected = -options.beta * of.slope;
  return result;
}

Result<std::vector<PairScore>> ScorePairs(model::Model& model, const model::Batch& batch,
                                          bool training) {
  TUTTI_CHECK(model.language() != nullptr, "pairs are a language model's");
  model::LanguageModel& language = *model.language();
  TUTTI_RETURN_IF_ERROR(language.ForwardTokens(batch, {.base_alone = true}));
  const model::TokenScores reference = language.Score({});
  TUTTI_RETURN_IF_ERROR(language.ForwardTokens(batch, {.training = training, .dropout = false}));
  const model::TokenScores own = language.Score({.gradient = false});
  TUTTI_CHECK(own.documents.size() == 2 * static_cast<std::size_t>(batch.rows),
              own.documents.size(), " documents in ", batch.rows, " pairs");
  const auto answer = [&](std::size_t at) {
    return AnswerScore{.log_probability = -own.documents[at].loss,
                       .reference = -reference.documents[at].loss,
                       .tokens = own.documents[at].weight};
  };
  std::vector<PairScore> pairs;
  for (std::size_t at = 0; at < own.documents.size(); at += 2) {
    pairs.push_back({.chosen = answer(at), .rejected = answer(at + 1)});
  }
  return pairs;
}

PairSums SumPairs(const PreferenceOptions& options, std::span<const PairScore> pairs) {
  PairSums sums;
  for (const PairScore& pair : pairs) {
    const PairLoss one = LossOfPair(options, pair);
    sums.loss += one.loss;
    sums.chosen_reward += one.chosen_reward;
    sums.rejected_reward += one.rejected_reward;
    if (one.chosen_reward > one.rejected_reward) ++sums.right;
  }
  return sums;
}

// A document's score is −log p, so its factor is the other sign of the derivative.
Result<double> LearnPairs(model::Model& model, const model::Batch& batch,
                          const PreferenceOptions& options, double scale) {
  TUTTI_ASSIGN_OR_RETURN(const std::vector<PairScore> pairs,
                         ScorePairs(model, batch, /*training=*/true));
  double loss = 0;
  std::vector<double> by_document;
  for (const PairScore& pair : pairs) {
    const PairLoss one = LossOfPair(options, pair);
    loss += one.loss;
    by_document.push_back(-one.by_chosen);
    by_document.push_back(-one.by_rejected);
  }
  model.language()->Score({.scale = scale, .by_document = by_document});
  return loss;
}

}  // namespace tutti::train
