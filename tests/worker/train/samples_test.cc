#include "worker/train/samples.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <numeric>
#include <set>

namespace tutti::train {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;

TEST(EpochOrder, EachEpochDrawsEveryRowOnceInAnOrderOfItsOwn) {
  EpochOrder order(50, 16, 42);
  EXPECT_EQ(order.steps_per_epoch(), 4);
  std::vector<std::vector<std::int64_t>> epochs(2);
  for (std::int64_t step = 0; step < 8; ++step) {
    const auto rows = order.RowsOf(step);
    EXPECT_EQ(rows.size(), step % 4 == 3 ? 2u : 16u);
    auto& epoch = epochs[static_cast<std::size_t>(step / 4)];
    epoch.insert(epoch.end(), rows.begin(), rows.end());
  }
  EXPECT_NE(epochs[0], epochs[1]);
  for (auto& epoch : epochs) {
    EXPECT_FALSE(std::ranges::is_sorted(epoch));
    EXPECT_EQ(std::set<std::int64_t>(epoch.begin(), epoch.end()).size(), 50u);
  }
}

TEST(EpochOrder, AnyStepCanBeAskedForFirst) {
  EpochOrder from_start(50, 16, 42), from_middle(50, 16, 42), other_seed(50, 16, 43);
  for (std::int64_t step = 0; step < 6; ++step) from_start.RowsOf(step);
  const auto expected = from_start.RowsOf(6);
  EXPECT_TRUE(std::ranges::equal(from_middle.RowsOf(6), expected));
  EXPECT_FALSE(std::ranges::equal(other_seed.RowsOf(6), expected));
}

TEST(Deal, ShardsShareABatchInOrder) {
  std::vector<std::int64_t> rows(16);
  std::iota(rows.begin(), rows.end(), 100);
  const Deal deal{.shards = 4, .micro_batch = 2};
  EXPECT_THAT(deal.OfShard(rows, 0), ElementsAre(100, 101, 102, 103));
  EXPECT_THAT(deal.OfShard(rows, 3), ElementsAre(112, 113, 114, 115));
}

TEST(Deal, APartialBatchIsSpreadAndSomeShardsMayBeEmpty) {
  const std::vector<std::int64_t> two = {7, 8};
  const Deal deal{.shards = 4, .micro_batch = 2};
  EXPECT_THAT(deal.OfShard(two, 0), IsEmpty());
  EXPECT_THAT(deal.OfShard(two, 1), ElementsAre(7));
  EXPECT_THAT(deal.OfShard(two, 2), IsEmpty());
  EXPECT_THAT(deal.OfShard(two, 3), ElementsAre(8));
}

TEST(Deal, EveryRowGoesToOneShardWhateverTheCount) {
  const Deal deal{.shards = 8, .micro_batch = 4};
  for (std::int64_t count = 0; count < 70; ++count) {
    std::vector<std::int64_t> rows(static_cast<std::size_t>(count)), dealt;
    std::iota(rows.begin(), rows.end(), 0);
    for (std::int64_t shard = 0; shard < 8; ++shard) {
      const auto own = deal.OfShard(rows, shard);
      EXPECT_LE(std::abs(static_cast<std::int64_t>(own.size()) - count / 8), 1);
      dealt.insert(dealt.end(), own.begin(), own.end());
    }
    EXPECT_EQ(dealt, rows);
  }
}

}  // namespace
}  // namespace tutti::train
