#include "worker/train/adamw.h"

#include <gtest/gtest.h>

#include <cmath>
#include <vector>

#include "worker/model/random.h"
#include "worker/train/decay.h"
#include "worker/train/norm.h"

namespace tutti::train {
namespace {

using Floats = std::vector<float>;

Floats Draw(std::uint64_t seed, std::size_t count, double deviation = 1) {
  Floats values(count);
  model::FillNormal(seed, deviation, values);
  return values;
}

struct Buffers {
  Floats params, first, second;
  explicit Buffers(std::size_t size) : params(Draw(1, size)), first(size), second(size) {}

  AdamWSlice Slice(std::int64_t begin, std::int64_t end, const Floats& grads) {
    return {.begin = begin,
            .end = end,
            .params = params.data(),
            .grads = grads.data(),
            .first = first.data(),
            .second = second.data()};
  }
};

// torch.optim.AdamW's single-tensor step, in doubles.
struct Reference {
  double param, first = 0, second = 0;

  void Step(const AdamWOptions& o, double grad, bool decay) {
    if (decay) param *= 1 - o.learning_rate * o.weight_decay;
    grad *= o.grad_scale;
    first = o.beta1 * first + (1 - o.beta1) * grad;
    second = o.beta2 * second + (1 - o.beta2) * grad * grad;
    const auto t = static_cast<double>(o.step);
    const double root = std::sqrt(1 - std::pow(o.beta2, t));
    param -= o.learning_rate / (1 - std::pow(o.beta1, t)) * first /
             (std::sqrt(second) / root + o.epsilon);
  }
};

TEST(AdamW, StepsAreThoseOfPyTorch) {
  constexpr std::size_t kCount = 100;
  const std::vector<DecaySegment> segments = {{0, 40, true}, {40, 100, false}};
  Buffers buffers(kCount);
  std::vector<Reference> want;
  for (const float param : buffers.params) want.push_back({static_cast<double>(param)});
  for (std::int64_t step = 1; step <= 20; ++step) {
    const AdamWOptions options{.learning_rate = 0.01 * static_cast<double>(step % 5),
                               .weight_decay = 0.1,
                               .step = step,
                               .grad_scale = step % 3 == 0 ? 0.25 : 1.0};
    const Floats grads = Draw(static_cast<std::uint64_t>(step), kCount);
    AdamWStep(options, segments, buffers.Slice(0, kCount, grads));
    for (std::size_t i = 0; i < kCount; ++i) {
      want[i].Step(options, static_cast<double>(grads[i]), i < 40);
      ASSERT_NEAR(static_cast<double>(buffers.params[i]), want[i].param, 1e-5) << step << " " << i;
    }
  }
}

TEST(AdamW, ARateOfZeroMovesMomentsOnly) {
  Buffers buffers(10);
  const Floats start = buffers.params, grads = Draw(2, 10);
  AdamWStep({.learning_rate = 0, .weight_decay = 0.1}, std::vector<DecaySegment>{{0, 10, true}},
            buffers.Slice(0, 10, grads));
  EXPECT_EQ(buffers.params, start);
  for (std::size_t i = 0; i < 10; ++i) EXPECT_FLOAT_EQ(buffers.first[i], 0.1F * grads[i]);
}

TEST(AdamW, SlicesCutAnywhereGiveTheSameBits) {
  constexpr std::size_t kCount = 1000;
  const std::vector<DecaySegment> segments = {{0, 333, true}, {333, 700, false}, {700, 1000, true}};
  const AdamWOptions options{.learning_rate = 0.01, .weight_decay = 0.1};
  const Floats grads = Draw(2, kCount);
  Buffers whole(kCount);
  AdamWStep(options, segments, whole.Slice(0, kCount, grads));
  Buffers cut(kCount);
  for (const auto& [begin, end] :
       {std::pair{0, 17}, {17, 333}, {333, 334}, {334, 999}, {999, 1000}}) {
    AdamWStep(options, segments, cut.Slice(begin, end, grads));
  }
  EXPECT_EQ(cut.params, whole.params);
  EXPECT_EQ(cut.first, whole.first);
  EXPECT_EQ(cut.second, whole.second);
}

TEST(DecaySegments, NeighboursOfOneKindAreOneAndCoverTheBuffer) {
  model::ParameterLayout layout;
  layout.Add("a.weight", {20});
  layout.Add("b.weight", {16});
  layout.Add("b.bias", {5});
  layout.Add("c.LayerNorm.weight", {16}, {.norm = true});
  layout.Add("d.weight", {16});
  const std::vector<DecaySegment> want = {
      {0, 48, true}, {48, 80, false}, {80, layout.total(), true}};
  EXPECT_EQ(DecaySegments(layout), want);
  EXPECT_TRUE(DecaySegments(model::ParameterLayout()).empty());
}

TEST(Norm, IsTheRootOfAllSquares) {
  const auto block = static_cast<std::size_t>(kNormBlock);
  const Floats values = Draw(3, 3 * block, 2);
  double square = 0;
  for (const float x : values) square += static_cast<double>(x) * static_cast<double>(x);
  std::vector<double> sums(3);
  BlockSquareSums(values, sums);
  EXPECT_NEAR(NormOfBlocks(sums), std::sqrt(square), 1e-9 * std::sqrt(square));
}

TEST(Norm, SlicesOfBlocksGiveTheSameBits) {
  const auto block = static_cast<std::size_t>(kNormBlock);
  const Floats values = Draw(3, 4 * block);
  std::vector<double> whole(4), cut(4);
  BlockSquareSums(values, whole);
  const std::span<const float> all = values;
  BlockSquareSums(all.subspan(0, block), std::span(cut).subspan(0, 1));
  BlockSquareSums(all.subspan(block), std::span(cut).subspan(1));
  EXPECT_EQ(cut, whole);
}

TEST(Norm, IsNotFiniteExactlyWhenSomeElementIsNot) {
  Floats values(static_cast<std::size_t>(kNormBlock), 3e38F);
  std::vector<double> sums(1);
  BlockSquareSums(values, sums);
  EXPECT_TRUE(std::isfinite(NormOfBlocks(sums)));
  values[60'000] = INFINITY;
  BlockSquareSums(values, sums);
  EXPECT_TRUE(std::isinf(NormOfBlocks(sums)));
  values[7] = NAN;
  BlockSquareSums(values, sums);
  EXPECT_TRUE(std::isnan(NormOfBlocks(sums)));
}

TEST(Norm, ClippingOnlyShrinks) {
  EXPECT_EQ(ClipScale(0.5, 1), 1);
  EXPECT_DOUBLE_EQ(ClipScale(4, 1), 1 / (4 + 1e-6));
  EXPECT_EQ(ClipScale(1e9, 0), 1);  // off
}

}  // namespace
}  // namespace tutti::train
