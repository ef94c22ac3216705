#include "common/join/join_string.h"

#include <gtest/gtest.h>

#include "common/curve/keys.h"

namespace tutti {
namespace {

JoinString Example() {
  return {.http = "https://10.0.0.1:7717",
          .pin = "sha256:" + std::string(64, 'a'),
          .zmq = "tcp://10.0.0.1:7718",
          .key = curve::MakeKeyPair()->public_key,
          .secret = "0123456789abcdef0123456789abcdef",
          .name = "node-7"};
}

TEST(JoinString, ComesBackAsItWasWritten) {
  JoinString join = Example();
  EXPECT_EQ(ParseJoin(FormatJoin(join)).value(), join);
  EXPECT_EQ(ParseJoin(" \n" + FormatJoin(join) + "\r\n").value(), join);
  join.pin.clear();
  join.name.clear();
  EXPECT_EQ(ParseJoin(FormatJoin(join)).value(), join);
  EXPECT_TRUE(FormatJoin(join).starts_with("tutti-join-1:"));
  EXPECT_EQ(FormatJoin(join).find_first_of("+/= \n"), std::string::npos);
}

TEST(JoinString, WhatIsNoneIsRefusedWithoutQuotingIt) {
  const std::string good = FormatJoin(Example());
  for (const std::string& bad :
       {std::string(), std::string("hello"), good.substr(0, good.size() / 2), good + "*",
        good.substr(1), std::string("tutti-join-1:"), "tutti-join-1:" + EncodeBase64Url("[1]"),
        "tutti-join-1:" + EncodeBase64Url(R"({"http": 5})"),
        "tutti-join-1:" + std::string(100'000, 'A')}) {
    const auto read = ParseJoin(bad);
    ASSERT_FALSE(read) << bad.substr(0, 80);
    EXPECT_EQ(read.error().code, ErrorCode::kInvalid);
    EXPECT_EQ(read.error().ToString().find(Example().secret), std::string::npos);
    EXPECT_FALSE(read.error().hint.empty());
  }
}

TEST(JoinString, AnotherVersionSaysSo) {
  const auto read = ParseJoin("tutti-join-2:abcd");
  ASSERT_FALSE(read);
  EXPECT_NE(read.error().ToString().find("version"), std::string::npos);
}

TEST(JoinString, EveryFieldIsChecked) {
  for (const auto& spoil : std::initializer_list<void (*)(JoinString&)>{
           [](JoinString& join) { join.http = "ftp://10.0.0.1"; },
           [](JoinString& join) { join.zmq = "ipc:///tmp/x"; },
           [](JoinString& join) { join.key = "short"; },
           [](JoinString& join) { join.secret = "123"; },
           [](JoinString& join) { join.pin = "sha256:zz"; }}) {
    JoinString join = Example();
    spoil(join);
    EXPECT_FALSE(ParseJoin(FormatJoin(join)));
  }
}

TEST(Base64Url, IsThatOfTheStandard) {
  EXPECT_EQ(EncodeBase64Url(""), "");
  EXPECT_EQ(EncodeBase64Url("f"), "Zg");
  EXPECT_EQ(EncodeBase64Url("fo"), "Zm8");
  EXPECT_EQ(EncodeBase64Url("foobar"), "Zm9vYmFy");
  EXPECT_EQ(EncodeBase64Url("\xfb\xff"), "-_8");
  for (const std::string text : {"", "f", "fo", "foo", "foob", "\xff\xfe\x01"}) {
    EXPECT_EQ(DecodeBase64Url(EncodeBase64Url(text)).value(), text);
  }
  for (const char* bad : {"A", "Zh", "Zm9=", "Zm 9"}) EXPECT_FALSE(DecodeBase64Url(bad)) << bad;
}

}  // namespace
}  // namespace tutti
