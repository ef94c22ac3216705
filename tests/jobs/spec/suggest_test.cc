#include "jobs/spec/suggest.h"

#include <gtest/gtest.h>

#include <array>

namespace tutti::spec {
namespace {

constexpr std::array<std::string_view, 4> kKnown = {"learning_rate", "shards", "seed", "bf16"};

TEST(EditDistance, CountsEditsAndSwaps) {
  EXPECT_EQ(EditDistance("", ""), 0U);
  EXPECT_EQ(EditDistance("abc", ""), 3U);
  EXPECT_EQ(EditDistance("kitten", "sitting"), 3U);
  EXPECT_EQ(EditDistance("sede", "seed"), 1U);
  EXPECT_EQ(EditDistance("Learning-Rate", "learning_rate"), 0U);
}

TEST(EditDistance, ComparesTheFirst64Letters) {
  EXPECT_EQ(EditDistance(std::string(1000, 'a'), std::string(2000, 'a')), 0U);
  EXPECT_EQ(EditDistance(std::string(1000, 'a'), "a"), 63U);
}

TEST(Nearest, FindsTyposOnly) {
  EXPECT_EQ(Nearest("learning_rte", kKnown), "learning_rate");
  EXPECT_EQ(Nearest("learningRate", kKnown), "learning_rate");
  EXPECT_EQ(Nearest("shard", kKnown), "shards");
  EXPECT_EQ(Nearest("optimizer", kKnown), "");
  EXPECT_EQ(Nearest("x", {}), "");
}

TEST(Suggestion, ListsFewWordsWhenNoneIsNear) {
  EXPECT_EQ(Suggestion("sed", kKnown), "did you mean seed?");
  EXPECT_EQ(Suggestion("optimizer", kKnown), "one of learning_rate, shards, seed, bf16");
  EXPECT_EQ(Suggestion("optimizer", {}), "");
}

TEST(Quoted, EscapesAndCutsOnABorder) {
  EXPECT_EQ(Quoted("a\n\x01"), "'a\\x0a\\x01'");
  EXPECT_EQ(Quoted(std::string(59, 'a') + "äb"), "'" + std::string(59, 'a') + "…'");
  EXPECT_EQ(Quoted("ä\xff"), "'\\xc3\\xa4\\xff'");
  EXPECT_EQ(Quoted(std::string(60, 'a')), "'" + std::string(60, 'a') + "'");
}

}  // namespace
}  // namespace tutti::spec
