#include "worker/model/random.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <vector>

namespace tutti::model {
namespace {

std::vector<float> Draw(std::uint64_t seed, std::size_t count, double deviation = 1) {
  std::vector<float> values(count);
  FillNormal(seed, deviation, values);
  return values;
}

TEST(Random, NormalDrawsHaveTheMomentsAndTailsOfTheNormalDistribution) {
  const std::vector<float> values = Draw(3, 200'000);
  double sum = 0, square = 0, cube = 0, fourth = 0;
  std::size_t beyond_two = 0;
  for (const float value : values) {
    const auto x = static_cast<double>(value);
    sum += x;
    square += x * x;
    cube += x * x * x;
    fourth += x * x * x * x;
    if (std::fabs(x) > 2) ++beyond_two;
  }
  const auto count = static_cast<double>(values.size());
  EXPECT_NEAR(sum / count, 0, 0.01);
  EXPECT_NEAR(square / count, 1, 0.015);
  EXPECT_NEAR(cube / count, 0, 0.04);
  EXPECT_NEAR(fourth / count, 3, 0.12);
  EXPECT_NEAR(static_cast<double>(beyond_two) / count, 0.0455, 0.002);
}

TEST(Random, AShorterDrawIsTheBeginningOfALongerOne) {
  const std::vector<float> all = Draw(5, 1001);
  const std::vector<float> some = Draw(5, 314);
  EXPECT_TRUE(std::equal(some.begin(), some.end(), all.begin()));
}

TEST(Random, TheDeviationScales) {
  const std::vector<float> one = Draw(5, 100), none = Draw(5, 100, 0), small = Draw(5, 100, 0.5);
  for (std::size_t i = 0; i < one.size(); ++i) {
    EXPECT_EQ(none[i], 0.0F);
    EXPECT_FLOAT_EQ(small[i], one[i] * 0.5F);
  }
}

TEST(Random, SeedsOfNamesDifferAndOrderCounts) {
  EXPECT_NE(HashSeed(1, "a"), HashSeed(1, "b"));
  EXPECT_NE(HashSeed(1, "ab"), HashSeed(1, "ba"));
  EXPECT_NE(HashSeed(1, "a"), HashSeed(2, "a"));
  EXPECT_NE(HashSeed(HashSeed(1, 2), 3), HashSeed(HashSeed(1, 3), 2));
}

}  // namespace
}  // namespace tutti::model
