#include "worker/generate/processors.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <map>
#include <vector>

namespace tutti::generate {
namespace {

using ::testing::ElementsAre;
using ::testing::FloatNear;

constexpr float kNever = -std::numeric_limits<float>::infinity();

std::vector<float> Processed(const Options& options, const std::vector<std::int64_t>& ids,
                             std::int64_t generated, std::vector<float> scores) {
  ApplyProcessors(options, ids, generated, scores);
  return scores;
}

TEST(Processors, NothingIsChangedByDefault) {
  EXPECT_THAT(Processed({}, {0, 1, 0, 1}, 2, {1, -2, 3}), ElementsAre(1, -2, 3));
}

TEST(Processors, RepetitionPenaltyWeakensEachIdOnceOnItsSideOfZero) {
  EXPECT_THAT(Processed({.repetition_penalty = 2}, {0, 1, 0, 0}, 2, {1, -2, 3}),
              ElementsAre(0.5F, -4, 3));
}

TEST(Processors, AnNgramIsNotRepeatedWhetherInPromptOrAnswer) {
  EXPECT_THAT(Processed({.no_repeat_ngram_size = 2}, {0, 2, 0, 1, 0}, 1, {1, 1, 1}),
              ElementsAre(1, kNever, kNever));
  EXPECT_THAT(Processed({.no_repeat_ngram_size = 3}, {0}, 0, {1, 1, 1}), ElementsAre(1, 1, 1));
  EXPECT_THAT(Processed({.no_repeat_ngram_size = 1}, {2}, 0, {1, 1, 1}), ElementsAre(1, 1, kNever));
}

TEST(Processors, EndTokensWaitForTheSmallestLength) {
  const Options options{.min_new_tokens = 2, .end_tokens = {1, 2}};
  EXPECT_THAT(Processed(options, {0}, 1, {1, 1, 1}), ElementsAre(1, kNever, kNever));
  EXPECT_THAT(Processed(options, {0}, 2, {1, 1, 1}), ElementsAre(1, 1, 1));
}

TEST(Processors, LogSoftmaxSumsToOneAndBearsInfinities) {
  std::vector<float> scores = {1000, 1000, kNever};
  LogSoftmax(scores);
  EXPECT_THAT(scores, ElementsAre(FloatNear(std::log(0.5F), 1e-6F),
                                  FloatNear(std::log(0.5F), 1e-6F), kNever));
}

// How often each of 3 tokens is drawn in a thousand even draws.
std::map<std::int64_t, int> Shares(const Options& options) {
  const std::vector<float> scores = {std::log(0.2F), std::log(0.5F), std::log(0.3F)};
  std::map<std::int64_t, int> counts;
  for (int i = 0; i < 1000; ++i) ++counts[Draw(options, scores, (i + 0.5) / 1000)];
  return counts;
}

TEST(Draw, FollowsTheProbabilities) {
  EXPECT_EQ(Shares({}), (std::map<std::int64_t, int>{{0, 200}, {1, 500}, {2, 300}}));
}

TEST(Draw, TopKKeepsTheMostLikely) {
  EXPECT_EQ(Shares({.top_k = 1}), (std::map<std::int64_t, int>{{1, 1000}}));
  EXPECT_EQ(Shares({.top_k = 2}), (std::map<std::int64_t, int>{{1, 625}, {2, 375}}));
}

TEST(Draw, TopPKeepsAsFewAsHoldIt) {
  EXPECT_EQ(Shares({.top_p = 0.45}), (std::map<std::int64_t, int>{{1, 1000}}));
  EXPECT_EQ(Shares({.top_p = 0.75}), (std::map<std::int64_t, int>{{1, 625}, {2, 375}}));
}

TEST(Draw, LowTemperatureApproachesTheLargest) {
  EXPECT_EQ(Shares({.temperature = 0.01}), (std::map<std::int64_t, int>{{1, 1000}}));
}

TEST(Options, WhatMakesNoSearchIsRefusedByName) {
  EXPECT_TRUE(Check({}).has_value());
  EXPECT_THAT(Check({.temperature = 0}).error().message, ::testing::HasSubstr("temperature"));
  EXPECT_THAT(Check({.top_p = 0}).error().message, ::testing::HasSubstr("top_p"));
  EXPECT_THAT(Check({.num_beams = 2, .num_return_sequences = 3}).error().message,
              ::testing::HasSubstr("num_return_sequences"));
  EXPECT_EQ(Check({.do_sample = true, .num_beams = 2}).error().code, ErrorCode::kUnsupported);
}

}  // namespace
}  // namespace tutti::generate
