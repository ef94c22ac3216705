#include "worker/train/samples.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <filesystem>
#include <memory>
#include <numeric>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "common/file/file.h"
#include "worker/text/tokenizer.h"

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

// Rows of text, tokenised by words, with an end token each.
std::shared_ptr<const data::Dataset> TextRows(const std::vector<int>& words) {
  const auto folder = std::filesystem::path(testing::TempDir()) / "samples-rows";
  EXPECT_TRUE(MakeDirectories(folder).has_value());
  std::string text = "text\n";
  for (const int count : words) {
    for (int i = 0; i < count; ++i) text += "one ";
    text += "\n";
  }
  EXPECT_TRUE(WriteFileAtomically(folder / "rows.csv", text).has_value());
  const auto tokenizer =
      text::Tokenizer::Load("tests/parity/cases/tokenizers/bert-tiny/tokenizer.json");
  auto loaded = data::Dataset::Load({.path = folder / "rows.csv",
                                     .shown_name = {},
                                     .columns = {},
                                     .max_length = 512,
                                     .cache_dir = {},
                                     .format = data::RowFormat::kText},
                                    *tokenizer);
  EXPECT_TRUE(loaded.has_value()) << loaded.error().ToString();
  return std::make_shared<const data::Dataset>(*std::move(loaded));
}

TEST(Pack, RowsShareSamplesWithoutBeingCut) {
  const Samples rows = AllRows(TextRows({8, 3, 5, 1, 2}));  // and two special tokens each
  const Samples packed = Pack(rows, 12);
  EXPECT_EQ(packed.size(), 3);
  std::multiset<std::int64_t> all;
  double items = 0;
  for (std::int64_t sample = 0; sample < packed.size(); ++sample) {
    EXPECT_LE(CountTokens(packed, {&sample, 1}), 12);
    for (const std::int64_t row : packed.RowsOf(sample)) all.insert(row);
    items += packed.ItemsOf(sample);
  }
  EXPECT_THAT(all, ElementsAre(0, 1, 2, 3, 4));
  EXPECT_EQ(items, 8 + 3 + 5 + 1 + 2 + 5);  // all but each row's first token
}

TEST(Pack, ABatchSaysWhichDocumentATokenBelongsTo) {
  const Samples packed = Pack(AllRows(TextRows({2, 1})), 12);
  ASSERT_EQ(packed.size(), 1);
  const std::int64_t sample = 0;
  const model::Batch batch = MakeBatch(packed, {&sample, 1});
  EXPECT_THAT(batch.documents, ElementsAre(0, 0, 0, 0, 1, 1, 1));
  EXPECT_EQ(batch.labels, batch.input_ids);
  EXPECT_THAT(batch.weights, testing::Each(1.0F));
}

}  // namespace
}  // namespace tutti::train
