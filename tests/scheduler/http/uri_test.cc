#include "scheduler/http/uri.h"

#include <gtest/gtest.h>

#include <nlohmann/json.hpp>
#include <string>

#include "scheduler/http/json.h"
#include "scheduler/http/range.h"

namespace tutti::http {
namespace {

TEST(PercentDecode, DecodesEscapesAndKeepsTheRest) {
  EXPECT_EQ(PercentDecode("a%20b%2Fc+d").value(), "a b/c+d");
  EXPECT_EQ(PercentDecode("a+b", true).value(), "a b");
  EXPECT_EQ(PercentDecode("%C3%A4").value(), "\xc3\xa4");
  EXPECT_EQ(PercentDecode("").value(), "");
}

TEST(PercentDecode, RefusesWhatIsBroken) {
  for (const char* text : {"%", "%2", "a%2", "%zz", "%0a", "%00", "%7f", "a b", "\x80", "%ff",
                           "%C3", "%C0%AF", "%ED%A0%80", "%F5%80%80%80"}) {
    EXPECT_EQ(PercentDecode(text).error().code, ErrorCode::kInvalid) << text;
  }
}

TEST(ParseQuery, GivesPairsInOrder) {
  const Fields expected = {{"a", "1"}, {"b", "x y"}, {"c", ""}, {"a", "=2"}};
  EXPECT_EQ(ParseQuery("a=1&b=x+y&&c&a==2").value(), expected);
  EXPECT_EQ(ParseQuery("").value(), Fields{});
  EXPECT_FALSE(ParseQuery("a=%"));
  std::string many;
  for (int i = 0; i < 100; ++i) many += "a&";
  EXPECT_TRUE(ParseQuery(many));
  EXPECT_FALSE(ParseQuery(many + "a"));
}

TEST(IsUtf8, KnowsTheLimits) {
  for (const char* text : {"", "a", "\xc2\x80", "\xdf\xbf", "\xe0\xa0\x80", "\xef\xbf\xbf",
                           "\xf0\x90\x80\x80", "\xf4\x8f\xbf\xbf", "\xed\x9f\xbf"}) {
    EXPECT_TRUE(IsUtf8(text)) << text;
  }
  for (const char* text :
       {"\x80", "\xc0\x80", "\xc1\xbf", "\xc2", "\xe0\x9f\xbf", "\xe2\x82", "\xf0\x8f\xbf\xbf",
        "\xf4\x90\x80\x80", "\xf8\x88\x80\x80\x80", "\xed\xa0\x80", "a\xff"}) {
    EXPECT_FALSE(IsUtf8(text)) << text;
  }
}

TEST(ParseRange, TakesOneRange) {
  const auto part = [](std::string_view header, std::int64_t size) {
    const ByteRange range = ParseRange(header, size);
    EXPECT_EQ(range.kind, ByteRange::Kind::kPart) << header;
    return std::pair(range.first, range.length);
  };
  EXPECT_EQ(part("bytes=0-0", 10), std::pair(0L, 1L));
  EXPECT_EQ(part("bytes=2-4", 10), std::pair(2L, 3L));
  EXPECT_EQ(part("bytes=2-", 10), std::pair(2L, 8L));
  EXPECT_EQ(part("bytes=2-99999999999", 10), std::pair(2L, 8L));
  EXPECT_EQ(part("bytes=-3", 10), std::pair(7L, 3L));
  EXPECT_EQ(part("bytes=-99", 10), std::pair(0L, 10L));
}

TEST(ParseRange, CountsMalformedAndSeveralRangesAsNone) {
  for (const char* header :
       {"", "bytes", "bytes=", "bytes=-", "bytes=a-b", "bytes=4-2", "bytes=1-2,4-5", "bytes= 1-2",
        "items=0-1", "bytes=--1", "bytes=1--2", "bytes=99999999999999999999-"}) {
    const ByteRange range = ParseRange(header, 10);
    EXPECT_EQ(range.kind, ByteRange::Kind::kWhole) << header;
    EXPECT_EQ(range.length, 10) << header;
  }
}

TEST(ParseRange, SaysWhenThereAreNoSuchBytes) {
  for (const char* header : {"bytes=10-", "bytes=10-20", "bytes=-0"}) {
    EXPECT_EQ(ParseRange(header, 10).kind, ByteRange::Kind::kUnsatisfiable) << header;
  }
  EXPECT_EQ(ParseRange("bytes=0-", 0).kind, ByteRange::Kind::kUnsatisfiable);
  EXPECT_EQ(ParseRange("bytes=-1", 0).kind, ByteRange::Kind::kUnsatisfiable);
}

TEST(ParseJson, SaysWhereItIsWrong) {
  EXPECT_EQ(ParseJson(R"({"a": [1, "ä"]})").value()["a"][0], 1);
  EXPECT_EQ(ParseJson("{\n  \"a\": tru\n}").error().where, "2:11");
  EXPECT_EQ(ParseJson("").error().code, ErrorCode::kInvalid);
  EXPECT_EQ(ParseJson("{} x").error().code, ErrorCode::kInvalid);
  EXPECT_EQ(ParseJson("1e999").error().code, ErrorCode::kInvalid);
  EXPECT_EQ(ParseJson("NaN").error().code, ErrorCode::kInvalid);
  EXPECT_EQ(ParseJson("\"\xff\"").error().code, ErrorCode::kInvalid);
}

TEST(ParseJson, BoundsTheDepth) {
  const auto nested = [](int depth) {
    return std::string(static_cast<std::size_t>(depth), '[') +
           std::string(static_cast<std::size_t>(depth), ']');
  };
  EXPECT_TRUE(ParseJson(nested(kJsonDepthMax)));
  EXPECT_EQ(ParseJson(nested(kJsonDepthMax + 1)).error().where, "1:65");
  std::string many = "[0";
  for (std::size_t i = 0; i < kJsonValuesMax; ++i) many += ",0";
  EXPECT_EQ(ParseJson(many + "]").error().code, ErrorCode::kTooLarge);
  EXPECT_FALSE(ParseJson(nested(1'000'000)));
  EXPECT_TRUE(ParseJson('"' + nested(1000) + "\\\"" + nested(1000) + '"'));
}

}  // namespace
}  // namespace tutti::http
