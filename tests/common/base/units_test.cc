#include "common/base/units.h"

#include <gtest/gtest.h>

namespace tutti {
namespace {

TEST(ParseBytes, ReadsBothKindsOfUnits) {
  EXPECT_EQ(ParseBytes("4GiB"), Bytes{4LL << 30});
  EXPECT_EQ(ParseBytes("1.5KB"), Bytes{1500});
  EXPECT_EQ(ParseBytes("1024"), Bytes{1024});
}

TEST(ParseBytes, RefusesTheRest) {
  for (const char* text : {"", "GiB", "-1", "1 GiB", "1gib", "nan", "inf", "99999999999TiB"}) {
    EXPECT_EQ(ParseBytes(text), std::nullopt) << text;
  }
}

TEST(FormatBytes, PicksAUnit) {
  EXPECT_EQ(FormatBytes(Bytes{512}), "512 B");
  EXPECT_EQ(FormatBytes(Bytes{1536}), "1.5 KiB");
  EXPECT_EQ(FormatBytes(Bytes{3LL << 30}), "3.0 GiB");
}

}  // namespace
}  // namespace tutti
