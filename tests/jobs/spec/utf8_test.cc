#include "jobs/spec/utf8.h"

#include <gtest/gtest.h>

namespace tutti::spec {
namespace {

TEST(Utf8, AcceptsWhatRfc3629Has) {
  for (const std::string_view text :
       {std::string_view(""), std::string_view("a"), std::string_view("\0", 1),
        std::string_view("ä€𝄞"),
        std::string_view("\u0080\u07FF\u0800\uFFFF\U00010000\U0010FFFF")}) {
    EXPECT_TRUE(IsUtf8(text));
  }
}

TEST(Utf8, RefusesEverythingElse) {
  for (const std::string_view text :
       {"\x80", "\xbf", "\xc0\x80", "\xc1\xbf", "\xc3", "\xc3(", "\xe0\x9f\xbf", "\xe2\x82",
        "\xed\xa0\x80", "\xed\xbf\xbf", "\xf0\x8f\xbf\xbf", "\xf4\x90\x80\x80", "\xf5\x80\x80\x80",
        "\xfe", "\xff", "a\xe2\x82z"}) {
    EXPECT_FALSE(IsUtf8(text)) << testing::PrintToString(text);
  }
}

TEST(Utf8, CountsCodePoints) { EXPECT_EQ(CountCharacters("aä€𝄞"), 4U); }

}  // namespace
}  // namespace tutti::spec
