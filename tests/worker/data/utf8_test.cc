#include "worker/data/utf8.h"

#include <gtest/gtest.h>

#include <cstdint>
#include <string>

namespace tutti::data {
namespace {

std::string Encode(std::uint32_t c) {
  std::string out;
  const auto put = [&](std::uint32_t byte) { out += static_cast<char>(byte); };
  if (c < 0x80) {
    put(c);
  } else if (c < 0x800) {
    put(0xC0 | c >> 6);
    put(0x80 | (c & 63));
  } else if (c < 0x10000) {
    put(0xE0 | c >> 12);
    put(0x80 | (c >> 6 & 63));
    put(0x80 | (c & 63));
  } else {
    put(0xF0 | c >> 18);
    put(0x80 | (c >> 12 & 63));
    put(0x80 | (c >> 6 & 63));
    put(0x80 | (c & 63));
  }
  return out;
}

TEST(Utf8, TakesEveryCharacterButSurrogates) {
  for (std::uint32_t c = 0; c <= 0x10FFFF; ++c) {
    const std::string text = Encode(c);
    const bool surrogate = c >= 0xD800 && c <= 0xDFFF;
    ASSERT_EQ(FirstBadByte(text), surrogate ? 0 : text.size()) << c;
  }
  EXPECT_EQ(FirstBadByte(Encode(0x110000)), 0U);
}

TEST(Utf8, TakesNoOverlongForms) {
  for (const char* text : {"\xC0\x80", "\xC1\xBF", "\xE0\x80\x80", "\xE0\x9F\xBF",
                           "\xF0\x80\x80\x80", "\xF0\x8F\xBF\xBF"}) {
    EXPECT_EQ(FirstBadByte(text), 0U) << text;
  }
}

TEST(Utf8, SaysWhereTheFirstBadByteIs) {
  for (std::size_t before = 0; before < 20; ++before) {
    const std::string good(before, 'x');
    for (const char* bad : {"\x80", "\xFF", "\xE4 ", "\xC3", "\xE2\x82", "\xF0\x9F\x98"}) {
      EXPECT_EQ(FirstBadByte(good + bad), before);
      EXPECT_EQ(FirstBadByte(good + "\xC3\xA4" + bad), before + 2);
    }
  }
}

}  // namespace
}  // namespace tutti::data
