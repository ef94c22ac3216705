#include "worker/finetune/memory.h"

#include <gtest/gtest.h>

namespace tutti::finetune {
namespace {

TEST(BufferBytes, AddsUpWeightsMomentsSnapshotAndGradients) {
  // 12 bytes a parameter, 12 of the snapshot, and log2(shards) + 1 gradient buffers.
  EXPECT_EQ(BufferBytes({.parameters = 1000, .shards = 1, .ranks = 1}), 28'000);
  EXPECT_EQ(BufferBytes({.parameters = 1000, .shards = 4, .ranks = 1}), 36'000);
  // Two ranks: one level less each, and half of the other's gradient is read.
  EXPECT_EQ(BufferBytes({.parameters = 1000, .shards = 4, .ranks = 2}), 34'000);
}

TEST(ResidentMemory, IsThatOfThisProcess) {
  const auto before = ResidentMemory();
  ASSERT_TRUE(before.has_value());
  const std::vector<char> held(64 << 20, 'x');
  const auto after = ResidentMemory();
  ASSERT_TRUE(after.has_value());
  EXPECT_GE(after->count - before->count, std::int64_t{60} << 20);
  EXPECT_EQ(held.back(), 'x');
}

}  // namespace
}  // namespace tutti::finetune
