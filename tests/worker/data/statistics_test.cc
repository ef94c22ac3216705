#include "worker/data/statistics.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <numeric>
#include <vector>

namespace tutti::data {
namespace {

using testing::ElementsAre;
using testing::FieldsAre;
using testing::IsEmpty;

TEST(Statistics, NoRowsAreAllZero) {
  const LengthStatistics none = Describe({});
  EXPECT_EQ(none.rows, 0);
  EXPECT_EQ(none.longest, 0);
  EXPECT_THAT(none.histogram, IsEmpty());
}

TEST(Statistics, BucketsDoubleAndHoldTheirBound) {
  EXPECT_THAT(Describe({8, 9, 16, 17, 100, 128, 2}).histogram,
              ElementsAre(FieldsAre(8, 2), FieldsAre(16, 2), FieldsAre(32, 1), FieldsAre(64, 0),
                          FieldsAre(128, 2)));
  EXPECT_THAT(Describe({50, 60}).histogram, ElementsAre(FieldsAre(64, 2)));
}

TEST(Statistics, QuantilesAreLengthsOfRows) {
  std::vector<std::int64_t> lengths(100);
  std::iota(lengths.rbegin(), lengths.rend(), 1);
  const LengthStatistics all = Describe(lengths);
  EXPECT_EQ(all.tokens, 5'050);
  EXPECT_EQ(all.shortest, 1);
  EXPECT_EQ(all.longest, 100);
  EXPECT_EQ(all.half, 50);
  EXPECT_EQ(all.nine_tenths, 90);
  EXPECT_EQ(all.ninety_nine_hundredths, 99);
  EXPECT_EQ(Describe({7}).half, 7);
  EXPECT_EQ(Describe({7, 9}).ninety_nine_hundredths, 9);
}

}  // namespace
}  // namespace tutti::data
