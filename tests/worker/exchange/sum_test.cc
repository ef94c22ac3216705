#include "worker/exchange/sum.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <random>
#include <vector>

namespace tutti::exchange {
namespace {

std::vector<float> Random(std::size_t n, unsigned seed) {
  std::mt19937 generator(seed);
  std::normal_distribution<float> normal(0, 1);
  std::vector<float> values(n);
  for (float& value : values) value = normal(generator);
  return values;
}

// The definition, one element at a time.
float Tree(const std::vector<std::vector<float>>& terms, std::size_t from, std::size_t n,
           std::size_t i) {
  if (n == 1) return terms[from][i];
  return Tree(terms, from, n / 2, i) + Tree(terms, from + n / 2, n / 2, i);
}

TEST(Sum, EveryElementFollowsTheTree) {
  for (const std::size_t count : {1u, 2u, 4u, 8u, 16u}) {
    std::vector<std::vector<float>> terms;
    for (unsigned i = 0; i < count; ++i) terms.push_back(Random(5003, i));
    std::vector<float> expected(5003);
    for (std::size_t i = 0; i < 5003; ++i) expected[i] = Tree(terms, 0, count, i);
    std::vector<const float*> pointers;
    for (const auto& term : terms) pointers.push_back(term.data());
    TreeSum(pointers, terms[0].data(), 5003);  // over a term
    EXPECT_EQ(terms[0], expected) << count << " terms";
  }
}

TEST(Sum, CarryAddsTheNewestFirst) {
  const auto a = Random(3000, 1);
  const auto b = Random(3000, 2);
  auto newest = Random(3000, 3);
  std::vector<float> expected(3000);
  for (std::size_t i = 0; i < 3000; ++i) expected[i] = b[i] + (a[i] + newest[i]);
  const std::vector<const float*> stored = {a.data(), b.data()};
  CarrySum(stored, newest.data(), newest.data(), 3000);
  EXPECT_EQ(newest, expected);

  std::vector<float> copy(3000);
  CarrySum({}, a.data(), copy.data(), 3000);
  EXPECT_EQ(copy, a);
}

TEST(Sum, SquaresFollowSixteenLanes) {
  const auto values = Random(kBlockElements - 5, 4);
  double lanes[16] = {};
  for (std::size_t i = 0; i < values.size(); ++i) {
    lanes[i % 16] += static_cast<double>(values[i]) * static_cast<double>(values[i]);
  }
  for (std::size_t width = 8; width > 0; width /= 2) {
    for (std::size_t j = 0; j < width; ++j) lanes[j] += lanes[j + width];
  }
  EXPECT_EQ(BlockSumOfSquares(values), lanes[0]);
}

TEST(Sum, SquaresShowWhatIsNotFinite) {
  std::vector<float> values(100, std::numeric_limits<float>::max());
  EXPECT_TRUE(std::isfinite(BlockSumOfSquares(values)));
  values[57] = std::numeric_limits<float>::infinity();
  EXPECT_TRUE(std::isinf(BlockSumOfSquares(values)));
  values[57] = std::numeric_limits<float>::quiet_NaN();
  EXPECT_TRUE(std::isnan(BlockSumOfSquares(values)));
}

}  // namespace
}  // namespace tutti::exchange
