#include "common/json/parse.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>

namespace tutti {
namespace {

using ::testing::HasSubstr;

std::string Said(const std::string& text) {
  const auto json = ParseJson(text, "c.json");
  return json ? json->dump() : json.error().ToString();
}

TEST(ParseJson, WhatIsNoJsonIsSaidWithItsLine) {
  EXPECT_EQ(Said("{\"a\": [1, null]}"), "{\"a\":[1,null]}");
  EXPECT_THAT(Said("{\n \"a\": NaN}"),
              HasSubstr("c.json: is not valid JSON at line 2: it has no NaN (Python"));
  EXPECT_THAT(Said("{\n\n\"a\": [1, -Infinity]}"), HasSubstr("at line 3: it has no -Infinity"));
  EXPECT_THAT(Said("{\"a\": Infinity,\n\"b\": 1}"), HasSubstr("at line 1: it has no Infinity"));
  EXPECT_THAT(Said("{\"a\": 1e400\n}"), HasSubstr("at line 1: 1e400 is no number, or one"));
  EXPECT_THAT(Said("{\"a\": 01}"), HasSubstr("at line 1: 01 is no number"));
  EXPECT_THAT(Said("{\"a\": True}"), HasSubstr("at line 1: near True"));
  EXPECT_THAT(Said("{\"a\": 1\n"), HasSubstr("at line 2: it ends there"));
  EXPECT_THAT(Said(""), HasSubstr("at line 1: it ends there"));
  EXPECT_THAT(Said("{\"a\" 1}"), HasSubstr("at line 1"));
  EXPECT_THAT(Said(std::string(100, '[')), HasSubstr("c.json"));
}

}  // namespace
}  // namespace tutti
