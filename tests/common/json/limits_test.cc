#include "common/json/limits.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace tutti {
namespace {

using ::testing::HasSubstr;

std::string Check(std::string_view json, const JsonLimits& limits) {
  const Status status = CheckJsonLimits(json, limits, "f.json");
  return status ? "" : status.error().ToString();
}

TEST(JsonLimits, CountDepthOfBracketsOutsideOfStrings) {
  const JsonLimits two{.depth_max = 2};
  EXPECT_EQ(Check(R"({"a": [1, 2], "b": [3]})", two), "");
  EXPECT_EQ(Check(R"(["[[[[", "\"[[[", "\\", []])", two), "");
  EXPECT_THAT(Check("[[[]]]", two), HasSubstr("f.json: JSON nested deeper than 2 levels"));
  EXPECT_THAT(Check(std::string(1 << 20, '['), {}), HasSubstr("deeper than 64"));
}

TEST(JsonLimits, CountValues) {
  const JsonLimits four{.values_max = 4};
  EXPECT_EQ(Check("[1,2,3]", four), "");
  EXPECT_EQ(Check(R"(",,,,,,,,")", four), "");
  EXPECT_THAT(Check("[1,2,3,4,5]", four), HasSubstr("f.json: JSON with more than 4 values"));
  EXPECT_THAT(Check("[],[],[]", four), HasSubstr("more than 4 values"));
}

TEST(JsonLimits, CountTheMembersOfEachObject) {
  const JsonLimits two{.members_max = 2};
  EXPECT_EQ(Check(R"([{"a": 1, "b": {"c": 1, "d": [1, 2, 3]}}, {"e": 1, "f": ",,,"}, 1, 2])", two),
            "");
  EXPECT_THAT(Check(R"([{"a": 1, "b": [1], "c": 1}])", two),
              HasSubstr("f.json: JSON with an object of more than 2 members"));
  EXPECT_EQ(Check("}]1,2,3,4", two), "") << "no JSON, and no object";
}

TEST(JsonLimits, TakeWhatIsCutAnywhere) {
  const std::string json = R"({"a\"": ["\\", "\u0041"]})";
  for (std::size_t size = 0; size <= json.size(); ++size) {
    EXPECT_EQ(Check(json.substr(0, size), {}), "") << size;
  }
}

TEST(MembersNamed, GivesTheValuesOfAnObjectsOwnKeys) {
  const std::string json =
      R"({"a": {"b": 1}, "x": "b", "b" : [1, {"b": 2}], "c": "\"b\": 3", "b": "t,}", "d": {}})";
  EXPECT_THAT(MembersNamed(json, "b"), testing::ElementsAre(R"( [1, {"b": 2}])", R"( "t,}")"));
  EXPECT_THAT(MembersNamed(json, "d"), testing::ElementsAre(" {}"));
  EXPECT_THAT(MembersNamed(R"(["b", {"b": 1}])", "b"), testing::IsEmpty());
  EXPECT_THAT(MembersNamed(R"({"\u0062": 1, "bb": 2})", "b"), testing::ElementsAre(" 1"));
  EXPECT_THAT(MembersNamed(R"({"b": )", "b"), testing::IsEmpty());
}

}  // namespace
}  // namespace tutti
