#include "worker/model/linear.h"

#include <gtest/gtest.h>

#include <bit>
#include <cmath>
#include <limits>
#include <string>
#include <vector>

#include "worker/model/kernels.h"
#include "worker/model/random.h"

namespace tutti::model {
namespace {

using Floats = std::vector<float>;
using Halves = std::vector<std::uint16_t>;

TEST(Bf16, RoundsToTheNearestAndKeepsWhatIsNoNumber) {
  const float infinity = std::numeric_limits<float>::infinity();
  const float nan = std::nanf("");
  const float below = std::nextafter(1.00390625F, 0.0F), above = std::nextafter(1.00390625F, 2.0F);
  // 1 + 2^-8 lies between 1 and 1 + 2^-7: ties go to the even one.
  const Floats from = {1,     1.00390625F, below,     above, 1.01171875F,
                       -2.5F, infinity,    -infinity, nan,   std::numeric_limits<float>::max()};
  const Floats want = {1, 1, 1, 1.0078125F, 1.015625F, -2.5F, infinity, -infinity, nan, infinity};
  Floats rounded(from.size()), wide(from.size());
  Halves narrow(from.size());
  RoundToBf16(from, rounded.data());
  NarrowToBf16(from, narrow.data());
  WidenBf16(narrow, wide.data());
  for (std::size_t i = 0; i < from.size(); ++i) {
    if (std::isnan(want[i])) {
      EXPECT_TRUE(std::isnan(rounded[i]) && std::isnan(wide[i]));
    } else {
      EXPECT_EQ(rounded[i], want[i]) << from[i];
      EXPECT_EQ(wide[i], want[i]) << from[i];
    }
  }
}

TEST(Bf16, EveryInstructionSetConvertsAlike) {
  const std::int64_t count = 1003;
  Floats from(count);
  for (std::size_t i = 0; i < from.size(); ++i) {
    from[i] = std::bit_cast<float>(static_cast<std::uint32_t>(MixBits(i)));  // NaN, too
  }
  const auto bits = [](const Floats& values) {
    std::vector<std::uint32_t> all;
    for (const float value : values) all.push_back(std::bit_cast<std::uint32_t>(value));
    return all;
  };
  Floats want(from.size());
  Halves want_halves(from.size());
  const Kernels& plain = *RunnableKernels().front();
  plain.round_bf16(count, from.data(), want.data());
  plain.narrow_bf16(count, from.data(), want_halves.data());
  for (const Kernels* kernels : RunnableKernels()) {
    Floats rounded(from.size()), wide(from.size());
    Halves narrow(from.size());
    kernels->round_bf16(count, from.data(), rounded.data());
    kernels->narrow_bf16(count, from.data(), narrow.data());
    kernels->widen_bf16(count, narrow.data(), wide.data());
    EXPECT_EQ(bits(rounded), bits(want)) << kernels->isa;
    EXPECT_EQ(narrow, want_halves) << kernels->isa;
    EXPECT_EQ(bits(wide), bits(want)) << kernels->isa;
  }
}

struct Case {
  bool input_major, halves;
  Products products;
  std::int64_t in, out;
};
std::ostream& operator<<(std::ostream& out, const Case& c) {
  return out << (c.input_major ? "[in, out]" : "[out, in]") << (c.halves ? ", halves" : "")
             << (c.products == Products::kFloat32   ? ", float32"
                 : c.products == Products::kRounded ? ", rounded"
                                                    : ", bf16")
             << ", " << c.in << "x" << c.out;
}

std::vector<Case> Cases() {
  std::vector<Case> cases;
  for (const bool input_major : {false, true}) {
    for (const bool halves : {false, true}) {
      for (const Products products : {Products::kFloat32, Products::kRounded, Products::kBf16}) {
        cases.push_back({input_major, halves, products, 24, 40});
      }
      cases.push_back({input_major, halves, Products::kRounded, 2100, 2100});  // in several panels
    }
  }
  return cases;
}

class EveryLinear : public testing::TestWithParam<Case> {};
INSTANTIATE_TEST_SUITE_P(Modes, EveryLinear, testing::ValuesIn(Cases()));

Floats Normal(std::uint64_t seed, std::int64_t count) {
  Floats values(static_cast<std::size_t>(count));
  FillNormal(seed, 1, values);
  return values;
}

// Sums of products in double, at some places.
void CheckProducts(const Case& c, std::int64_t rows) {
  constexpr std::int64_t kGap = 5;  // between rows
  const std::int64_t xs = c.in + kGap, ys = c.out + kGap;
  const Floats x = Normal(1, rows * xs), dy = Normal(2, rows * ys);
  Floats w = Normal(3, c.in * c.out);
  Halves halves(w.size());
  if (c.halves) {
    NarrowToBf16(w, halves.data());
    WidenBf16(halves, w.data());
  }
  const WeightPlace place = c.halves ? WeightPlace(halves.data()) : WeightPlace(w.data());
  Arena arena;
  const LinearMode mode{.products = c.products, .scratch = &arena};
  const LinearShape shape{rows, c.in, c.out, c.input_major};
  Floats y(dy.size(), 7), dx(x.size(), 7), dw(w.size(), 1);
  LinearForward(shape, x.data(), xs, place, y.data(), ys, mode);
  LinearInputGradient(shape, dy.data(), ys, place, dx.data(), xs, /*add=*/false, mode);
  LinearInputGradient(shape, dy.data(), ys, place, dx.data(), xs, /*add=*/true, mode);
  LinearWeightGradient(shape, dy.data(), ys, x.data(), xs, dw.data(), mode);
  const auto at = [](const Floats& v, std::int64_t i) {
    return static_cast<double>(v[static_cast<std::size_t>(i)]);
  };
  const auto weight = [&](std::int64_t o, std::int64_t i) {
    return at(w, c.input_major ? i * c.out + o : o * c.in + i);
  };
  const double error =
      c.products == Products::kFloat32 ? 1e-5 : 0.02;  // of a factor; sums grow as their root
  for (std::int64_t o = 0; o < c.out; o += c.out / 7) {
    for (std::int64_t i = 0; i < c.in; i += c.in / 7) {
      double forward = 0, input = 0, gradient = 1;
      for (std::int64_t k = 0; k < c.in; ++k) forward += at(x, xs + k) * weight(o, k);
      for (std::int64_t k = 0; k < c.out; ++k) input += 2 * at(dy, ys + k) * weight(k, i);
      for (std::int64_t r = 0; r < rows; ++r) gradient += at(dy, r * ys + o) * at(x, r * xs + i);
      EXPECT_NEAR(at(y, ys + o), forward, error * std::sqrt(c.in));
      EXPECT_NEAR(at(dx, xs + i), input, 2 * error * std::sqrt(c.out));
      EXPECT_NEAR(at(dw, c.input_major ? i * c.out + o : o * c.in + i), gradient, 4 * error);
    }
  }
  EXPECT_EQ(y[static_cast<std::size_t>(c.out)], 7) << "between rows nothing is written";
  EXPECT_EQ(dx[static_cast<std::size_t>(c.in)], 7);
}

TEST_P(EveryLinear, ProductsAreThoseOfTheFactors) {
  for (const std::int64_t rows : {std::int64_t{3}, kFewRows + 1}) CheckProducts(GetParam(), rows);
}

}  // namespace
}  // namespace tutti::model
