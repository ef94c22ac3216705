#include "worker/text/growth.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "worker/text/tokenizer.h"

namespace tutti::text {
namespace {

using nlohmann::json;
using ::testing::HasSubstr;

json Replace(const json& pattern, const std::string& content) {
  return {{"type", "Replace"}, {"pattern", pattern}, {"content", content}};
}
json Sequence(const std::vector<json>& steps) {
  return {{"type", "Sequence"}, {"normalizers", steps}};
}
std::string Check(const json& normalizer, const char* part = "normalizer") {
  const Status status = CheckGrowth(json{{"version", "1.0"}, {part, normalizer}}.dump(), "t.json");
  return status ? "" : status.error().ToString();
}

TEST(Growth, OfRealTokenizersIsSmall) {
  // As Llama's, XLM-R's, CamemBERT's and GPT-2's are written.
  EXPECT_EQ(Check(Sequence({{{"type", "Prepend"}, {"prepend", "\u2581"}},
                            Replace({{"String", " "}}, "\u2581")})),
            "");
  EXPECT_EQ(Check(Sequence({{{"type", "NFKD"}},
                            {{"type", "Lowercase"}},
                            {{"type", "StripAccents"}},
                            Replace({{"Regex", " {2,}"}}, " "),
                            Replace({{"String", "``"}}, "\"")})),
            "");
  EXPECT_EQ(Check({{"type", "ByteLevel"}}), "");
  EXPECT_EQ(Check(nullptr), "");
}

TEST(Growth, OfChainsIsTheirProduct) {
  const json twice = Replace({{"String", "a"}}, "aa");
  EXPECT_EQ(Check(Sequence(std::vector<json>(8, twice))), "");
  EXPECT_THAT(Check(Sequence(std::vector<json>(9, twice))),
              HasSubstr("t.json: the normalizer can make a text far longer"));
  EXPECT_THAT(Check(Sequence(
                  {Sequence(std::vector<json>(5, twice)), Sequence(std::vector<json>(5, twice))})),
              HasSubstr("normalizer"));
  EXPECT_THAT(Check(Replace({{"String", "a"}}, std::string(1000, 'b'))), HasSubstr("far longer"));
  EXPECT_THAT(Check(Replace({{"Regex", "a*"}}, std::string(300, 'b'))), HasSubstr("far longer"));
  EXPECT_THAT(Check(Replace({{"String", ""}}, std::string(300, 'b'))), HasSubstr("far longer"));
  EXPECT_THAT(Check(Sequence(std::vector<json>(9, {{"type", "ByteLevel"}}))),
              HasSubstr("far longer"));
  EXPECT_THAT(Check({{"type", "Prepend"}, {"prepend", std::string(5000, 'x')}}),
              HasSubstr("far longer"));
  EXPECT_THAT(Check({{"type", "Sequence"}, {"decoders", std::vector<json>(9, twice)}}, "decoder"),
              HasSubstr("t.json: the decoder can make"));
}

TEST(Growth, EachOfSeveralKeysOfOneNameCounts) {
  const std::string bomb = Replace({{"String", "a"}}, std::string(1000, 'b')).dump();
  EXPECT_FALSE(CheckGrowth(R"({"normalizer": null, "normalizer": )" + bomb + "}", "t"));
  EXPECT_FALSE(CheckGrowth(R"({"normalizer": )" + bomb + R"(, "normalizer": null})", "t"));
}

TEST(Growth, IsCheckedBeforeATokenizerIsMade) {
  const json tokenizer = {
      {"version", "1.0"},
      {"normalizer", Sequence(std::vector<json>(40, Replace({{"String", "a"}}, "aa")))},
      {"model", {{"type", "WordLevel"}, {"vocab", {{"x", 0}}}, {"unk_token", "x"}}}};
  const auto made = Tokenizer::FromJson(tokenizer.dump(), "t.json");
  ASSERT_FALSE(made.has_value());
  EXPECT_THAT(made.error().ToString(), HasSubstr("far longer"));
}

}  // namespace
}  // namespace tutti::text
