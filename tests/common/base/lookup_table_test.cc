#include "common/base/lookup_table.h"

#include <gtest/gtest.h>

#include <string>

#include "common/base/ids.h"

namespace tutti {
namespace {

TEST(LookupTable, FindsWhatWasInsertedUntilItIsErased) {
  LookupTable<JobId, std::string> table;
  EXPECT_EQ(table.Find(JobId{1}), nullptr);
  table.Insert(JobId{1}, "one");
  table.Insert(JobId{2}, "two");
  ASSERT_NE(table.Find(JobId{1}), nullptr);
  EXPECT_EQ(*table.Find(JobId{1}), "one");
  EXPECT_EQ(table.size(), 2U);
  table.erase(JobId{1});
  EXPECT_FALSE(table.contains(JobId{1}));
  EXPECT_EQ(table.at(JobId{2}), "two");
}

TEST(LookupTable, AValueStaysAsItIsAndWhereItIs) {
  LookupTable<JobId, std::string> table;
  const std::string* first = &table.Insert(JobId{1}, "one");
  EXPECT_EQ(&table.Insert(JobId{1}, "another"), first);
  for (std::uint64_t i = 2; i < 1000; ++i) table.Insert(JobId{i}, "more");
  EXPECT_EQ(table.Find(JobId{1}), first);
  EXPECT_EQ(*first, "one");
}

TEST(LookupTable, IsEqualToOneThatWasFilledInAnotherOrder) {
  LookupTable<std::string, int> one;
  LookupTable<std::string, int> other;
  one.Insert("a", 1);
  one.Insert("b", 2);
  other.Insert("b", 2);
  EXPECT_NE(one, other);
  other.Insert("a", 1);
  EXPECT_EQ(one, other);
}

TEST(LookupTableDeathTest, AskedForWhatItDoesNotHaveStops) {
  const LookupTable<JobId, int> table;
  EXPECT_DEATH(table.at(JobId{7}), "no such key");
}

}  // namespace
}  // namespace tutti
