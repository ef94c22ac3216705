#include "worker/generate/beam_search.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <functional>
#include <vector>

namespace tutti::generate {
namespace {

using ::testing::ElementsAre;

constexpr std::int64_t kV = 4;
constexpr std::int64_t kEnd = 3;

// Log-probabilities of the next token after `last`.
using Chain = std::function<std::vector<double>(std::int64_t last)>;

std::vector<Answer> Search(const Options& options, const Chain& chain) {
  BeamSearch search(options, {0});
  std::vector<std::int64_t> last(static_cast<std::size_t>(options.num_beams), 0);
  for (int step = 0; step < 100; ++step) {
    std::vector<float> logits;
    for (const std::int64_t token : last) {
      for (const double p : chain(token)) logits.push_back(static_cast<float>(std::log(p)));
    }
    if (!search.Step(logits)) break;
    for (std::int64_t beam = 0; beam < options.num_beams; ++beam) {
      last[static_cast<std::size_t>(beam)] = search.TokenOf(beam);
    }
  }
  return search.Best();
}

// Greedy takes 1 (0.6) and then is lost; 2 (0.4) leads to a sure end.
std::vector<double> Garden(std::int64_t last) {
  if (last == 0) return {1e-6, 0.6, 0.4, 1e-6};
  if (last == 1) return {0.3, 0.3, 0.1, 0.3};
  if (last == 2) return {1e-6, 1e-6, 1e-6, 1 - 3e-6};
  return std::vector<double>(kV, 0.25);
}

TEST(BeamSearch, FindsWhatGreedySearchMisses) {
  const Options options{.max_new_tokens = 5,
                        .end_tokens = {kEnd},
                        .num_beams = 2,
                        .early_stopping = EarlyStopping::kYes};
  const std::vector<Answer> best = Search(options, Garden);
  ASSERT_EQ(best.size(), 1u);
  EXPECT_THAT(best[0].tokens, ElementsAre(2, kEnd));
  EXPECT_TRUE(best[0].ended);
  EXPECT_NEAR(best[0].score, std::log(0.4) / 2, 1e-5);
}

TEST(BeamSearch, LengthPenaltyDividesByTheLengthToItsPower) {
  Options options{.max_new_tokens = 2, .end_tokens = {kEnd}, .num_beams = 2, .length_penalty = 2};
  EXPECT_NEAR(Search(options, Garden)[0].score, std::log(0.4) / 4, 1e-5);
  options.length_penalty = 0;
  EXPECT_NEAR(Search(options, Garden)[0].score, std::log(0.4), 1e-5);
}

TEST(BeamSearch, AtTheLengthLimitUnfinishedOnesCompete) {
  const Options options{.max_new_tokens = 3, .num_beams = 2, .num_return_sequences = 2};
  const std::vector<Answer> best = Search(options, Garden);
  ASSERT_EQ(best.size(), 2u);
  for (const Answer& answer : best) {
    EXPECT_EQ(answer.tokens.size(), 3u);
    EXPECT_FALSE(answer.ended);
  }
  EXPECT_GE(best[0].score, best[1].score);
}

TEST(BeamSearch, TheBeamsOfAStepFollowTheirSources) {
  const Options options{.max_new_tokens = 5, .num_beams = 2};
  BeamSearch search(options, {0});
  std::vector<float> logits;
  for (int beam = 0; beam < 2; ++beam) {
    for (const double p : Garden(0)) logits.push_back(static_cast<float>(std::log(p)));
  }
  ASSERT_TRUE(search.Step(logits));
  EXPECT_THAT(search.sources(), ElementsAre(0, 0));  // the second started without a chance
  EXPECT_EQ(search.TokenOf(0), 1);
  EXPECT_EQ(search.TokenOf(1), 2);
}

}  // namespace
}  // namespace tutti::generate
