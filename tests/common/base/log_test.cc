#include "common/base/log.h"

#include <gtest/gtest.h>

namespace tutti {
namespace {

TEST(FormatLogLine, WritesFieldsByType) {
  EXPECT_EQ(
      FormatLogLine("job_placed", {{"job", "j-1"}, {"slots", 2}, {"rate", 0.5}, {"held", false}}),
      "job_placed job=j-1 slots=2 rate=0.5 held=false");
}

TEST(FormatLogLine, QuotesWhatCouldBreakTheLine) {
  EXPECT_EQ(FormatLogLine("e", {{"m", "two words"}, {"n", "a\nb"}, {"o", ""}, {"p", "\"\\"}}),
            R"(e m="two words" n="a\nb" o="" p="\"\\")");
  EXPECT_EQ(FormatLogLine("e", {{"m", "\x1b[2J"}}), R"(e m="\x1b[2J")");
}

}  // namespace
}  // namespace tutti
