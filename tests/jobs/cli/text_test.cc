#include "jobs/cli/text.h"

#include <gmock/gmock.h>

namespace tutti::cli {
namespace {

TEST(Width, CountsColumnsNotBytes) {
  EXPECT_EQ(DisplayWidth("abc"), 3);
  EXPECT_EQ(DisplayWidth("äöü"), 3);
  EXPECT_EQ(DisplayWidth("e\u0301"), 1);
  EXPECT_EQ(DisplayWidth("日本"), 4);
  EXPECT_EQ(DisplayWidth("🎉"), 2);
  EXPECT_EQ(DisplayWidth("a\xff\xfe"), 3);
}

TEST(Fit, CutsOnCharactersAndSaysSo) {
  EXPECT_EQ(Fit("hello", 5), "hello");
  EXPECT_EQ(Fit("hello", 4), "hel…");
  EXPECT_EQ(Fit("äöüäöü", 3), "äö…");
  EXPECT_EQ(Fit("日本語", 4), "日…");
  EXPECT_EQ(Fit("x", 0), "");
}

TEST(Pad, GoesToEitherSide) {
  EXPECT_EQ(Pad("ä", 3), "ä  ");
  EXPECT_EQ(Pad("ä", 3, true), "  ä");
  EXPECT_EQ(Pad("long", 2), "long");
}

TEST(OneLine, LeavesNothingThatSteersATerminal) {
  EXPECT_EQ(OneLine("a\nb\tc"), "a b c");
  EXPECT_EQ(OneLine("\x1b[31mred\x07"), "?[31mred?");
  EXPECT_EQ(OneLine("\u009b31m"), "?31m");
  EXPECT_EQ(OneLine("ok ✓"), "ok ✓");
}

TEST(Numbers, AreShortForPeople) {
  EXPECT_EQ(Number(1.23456), "1.235");
  EXPECT_EQ(Number(5e-5), "5e-05");
  EXPECT_EQ(Count(0), "0");
  EXPECT_EQ(Count(1234567), "1,234,567");
  EXPECT_EQ(Count(-1234), "-1,234");
}

TEST(Durations, AreRoughOrAClock) {
  EXPECT_EQ(RoughDuration(42), "42 s");
  EXPECT_EQ(RoughDuration(185), "3 min");
  EXPECT_EQ(RoughDuration(7500), "2 h 5 min");
  EXPECT_EQ(RoughDuration(400'000), "4 d");
  EXPECT_EQ(ClockDuration(42), "0:42");
  EXPECT_EQ(ClockDuration(3723), "1:02:03");
  EXPECT_EQ(ClockDuration(-1), "?");
}

TEST(Times, ReadBackWhatWasWritten) {
  const WallTime time{1'770'091'506'789};
  EXPECT_EQ(ParseRfc3339(time.ToRfc3339()), time);
  EXPECT_EQ(ParseRfc3339("2026-02-03T04:05:06Z").value().unix_ms % 1000, 0);
  for (const char* bad : {"", "now", "2026-02-03", "2026-02-03T04:05:06"}) {
    EXPECT_FALSE(ParseRfc3339(bad).has_value()) << bad;
  }
}

TEST(Age, IsNeverNegative) {
  const WallTime now{1'770'091'506'000};
  EXPECT_EQ(Age(WallTime{now.unix_ms - 61'000}.ToRfc3339(), now), "1 min");
  EXPECT_EQ(Age(WallTime{now.unix_ms + 5'000}.ToRfc3339(), now), "0 s");
  EXPECT_EQ(Age("", now), "");
}

}  // namespace
}  // namespace tutti::cli
