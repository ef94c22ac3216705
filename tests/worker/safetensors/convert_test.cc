#include "worker/safetensors/convert.h"

#include <gtest/gtest.h>

#include <array>
#include <bit>
#include <cmath>
#include <cstdint>
#include <cstring>
#include <limits>
#include <vector>

namespace tutti::safetensors {
namespace {

TEST(Convert, EveryHalfSurvivesTheWayThroughFloat) {
  for (std::uint32_t bits = 0; bits < 0x10000; ++bits) {
    const auto half = static_cast<std::uint16_t>(bits);
    const float value = HalfToFloat(half);
    if (std::isnan(value)) {
      EXPECT_TRUE(std::isnan(HalfToFloat(FloatToHalf(value))));
    } else {
      ASSERT_EQ(FloatToHalf(value), half) << bits;
    }
    const float brain = BrainToFloat(half);
    if (!std::isnan(brain)) {
      ASSERT_EQ(FloatToBrain(brain), half) << bits;
    }
  }
}

TEST(Convert, KnownHalves) {
  EXPECT_EQ(HalfToFloat(0x3c00), 1.0F);
  EXPECT_EQ(HalfToFloat(0xc000), -2.0F);
  EXPECT_EQ(HalfToFloat(0x7bff), 65504.0F);
  EXPECT_EQ(HalfToFloat(0x0001), 0x1p-24F);
  EXPECT_EQ(HalfToFloat(0x0400), 0x1p-14F);
  EXPECT_TRUE(std::isinf(HalfToFloat(0x7c00)));
  EXPECT_TRUE(std::signbit(HalfToFloat(0x8000)));
}

TEST(Convert, RoundsToNearestTiesToEven) {
  EXPECT_EQ(FloatToHalf(1.0F + 0x1p-11F), 0x3c00);             // a tie: down to even
  EXPECT_EQ(FloatToHalf(1.0F + 3 * 0x1p-11F), 0x3c02);         // a tie: up to even
  EXPECT_EQ(FloatToHalf(1.0F + 0x1p-11F + 0x1p-20F), 0x3c01);  // above the tie
  EXPECT_EQ(FloatToHalf(65519.9F), 0x7bff);
  EXPECT_EQ(FloatToHalf(65520.0F), 0x7c00);
  EXPECT_EQ(FloatToHalf(0x1p-25F), 0x0000);
  EXPECT_EQ(FloatToHalf(0x1.8p-25F), 0x0001);
  EXPECT_EQ(FloatToBrain(1.0F + 0x1p-8F), 0x3f80);
  EXPECT_EQ(FloatToBrain(1.0F + 3 * 0x1p-8F), 0x3f82);
  EXPECT_EQ(FloatToBrain(std::numeric_limits<float>::max()), 0x7f80);
  EXPECT_TRUE(std::isnan(BrainToFloat(FloatToBrain(std::bit_cast<float>(0x7f800001U)))));
}

TEST(Convert, ReadsUnalignedDataAndChecksSizes) {
  std::array<std::byte, 9> bytes{};
  const std::array<float, 2> values = {1.5F, -3.0F};
  std::memcpy(bytes.data() + 1, values.data(), 8);
  const std::vector<std::int64_t> shape = {2};
  const Tensor tensor{
      .name = "t", .dtype = DType::kF32, .shape = shape, .data = std::span(bytes).subspan(1)};
  std::array<float, 2> out{};
  ASSERT_TRUE(ToFloat32(tensor, out).has_value());
  EXPECT_EQ(out, values);
  std::array<float, 3> three{};
  EXPECT_EQ(ToFloat32(tensor, three).error().code, ErrorCode::kInvalid);
  std::array<std::int64_t, 2> ints{};
  EXPECT_EQ(ToInt64(tensor, ints).error().code, ErrorCode::kUnsupported);
}

}  // namespace
}  // namespace tutti::safetensors
