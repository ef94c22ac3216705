#include "common/base/time.h"

#include <gtest/gtest.h>

namespace tutti {
namespace {

using std::chrono::hours;
using std::chrono::milliseconds;
using std::chrono::minutes;
using std::chrono::seconds;

TEST(ParseDuration, ReadsSumsOfUnits) {
  EXPECT_EQ(ParseDuration("90s"), seconds(90));
  EXPECT_EQ(ParseDuration("1.5h"), minutes(90));
  EXPECT_EQ(ParseDuration("6h30m"), hours(6) + minutes(30));
  EXPECT_EQ(ParseDuration("250ms"), milliseconds(250));
  EXPECT_EQ(ParseDuration("2d"), hours(48));
}

TEST(ParseDuration, RefusesTheRest) {
  for (const char* text :
       {"", "5", "h", "-1h", "0s", "1x", "1h 30m", "nan", "inf", "1e999s", "99999d"}) {
    EXPECT_EQ(ParseDuration(text), std::nullopt) << text;
  }
}

TEST(FormatDuration, IsExactAndShort) {
  EXPECT_EQ(FormatDuration(seconds(90)), "1m30s");
  EXPECT_EQ(FormatDuration(milliseconds(250)), "250ms");
  EXPECT_EQ(FormatDuration(Duration{0}), "0s");
  EXPECT_EQ(FormatDuration(-seconds(5)), "-5s");
}

TEST(WallTime, IsRfc3339InUtc) {
  EXPECT_EQ(WallTime{0}.ToRfc3339(), "1970-01-01T00:00:00.000Z");
  EXPECT_EQ(WallTime{1'770'091'445'789}.ToRfc3339(), "2026-02-03T04:04:05.789Z");
}

TEST(MonotonicNow, NeverGoesBack) {
  const Instant first = MonotonicNow();
  EXPECT_LE(first, MonotonicNow());
}

}  // namespace
}  // namespace tutti
