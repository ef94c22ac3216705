#include "worker/safetensors/header.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>

namespace tutti::safetensors {
namespace {

using testing::HasSubstr;

std::string Problem(const std::string& json, std::size_t data_size) {
  const Result<Header> header = ParseHeader(json, data_size, "m.safetensors");
  if (header.has_value()) return "";
  EXPECT_EQ(header.error().where, "m.safetensors");
  return header.error().message;
}

std::string Entry(const std::string& name, const std::string& rest) {
  return "\"" + name + "\":{" + rest + "}";
}

TEST(Header, TakesWhatTheFormatAllows) {
  const auto header = ParseHeader(
      R"({"__metadata__":{"format":"pt"},"b":{"dtype":"F32","shape":[2,1],"data_offsets":[2,10]},)"
      R"("a":{"shape":[],"dtype":"BF16","data_offsets":[0,2]},)"
      R"("empty":{"dtype":"I64","shape":[0,3],"data_offsets":[10,10]}}   )",
      10, "m");
  ASSERT_TRUE(header.has_value()) << header.error().ToString();
  ASSERT_EQ(header->tensors.size(), 3U);
  EXPECT_EQ(header->tensors[0].name, "a");
  EXPECT_EQ(header->tensors[1].from, 2U);
  EXPECT_EQ(header->tensors[2].shape, (std::vector<std::int64_t>{0, 3}));
  EXPECT_EQ(header->metadata.at("format"), "pt");
}

TEST(Header, RefusesTensorsThatDoNotCoverTheDataExactly) {
  const std::string a = Entry("a", R"("dtype":"F32","shape":[1],"data_offsets":[0,4])");
  EXPECT_EQ(Problem("{" + a + "}", 4), "");
  EXPECT_THAT(Problem("{" + a + "}", 3), HasSubstr("tensor a lies at bytes 0 to 4 of 3"));
  EXPECT_THAT(Problem("{" + a + "}", 5), HasSubstr("bytes after the last tensor"));
  EXPECT_THAT(
      Problem("{" + a + "," + Entry("b", R"("dtype":"F32","shape":[1],"data_offsets":[2,6])") + "}",
              6),
      HasSubstr("overlaps"));
  EXPECT_THAT(Problem("{" + a + "," +
                          Entry("b", R"("dtype":"F32","shape":[1],"data_offsets":[8,12])") + "}",
                      12),
              HasSubstr("hole"));
  EXPECT_THAT(Problem("{" + a + "," + a + "}", 4), HasSubstr("'a' twice"));
}

TEST(Header, RefusesShapesThatOverflow) {
  for (const char* shape :
       {"[4611686018427387904,4]", "[4294967296,4294967296]", "[-1]", "[1.5]",
        "[18446744073709551615]", "[99999999999999999999]", "[1,1,1,1,1,1,1,1,1]"}) {
    EXPECT_NE(Problem("{" +
                          Entry("a", std::string(R"("dtype":"F32","data_offsets":[0,4],"shape":)") +
                                         shape) +
                          "}",
                      4),
              "")
        << shape;
  }
}

TEST(Header, RefusesOtherJson) {
  for (const char* json :
       {"", "[]", "{", "null", "{}x", " {}", R"({"a":1})", R"({"a":{}})",
        R"({"a":{"dtype":"F32"}})", R"({"a":{"dtype":"F32","shape":[1],"data_offsets":[0]}})",
        R"({"a":{"dtype":"F33","shape":[1],"data_offsets":[0,4]}})",
        R"({"a":{"dtype":"F32","dtype":"F32","shape":[1],"data_offsets":[0,4]}})",
        R"({"a":{"dtype":"F32","shape":[[1]],"data_offsets":[0,4]}})",
        R"({"a":{"dtype":"F32","shape":[1],"data_offsets":[0,4],"x":{}}})",
        R"({"__metadata__":{"a":1}})", R"({"__metadata__":{"a":{}}})",
        R"({"__metadata__":{"a":"b","a":"c"}})", R"({"__metadata__":[]})",
        R"({"__metadata__":"x"})"}) {
    EXPECT_NE(Problem(json, 4), "") << json;
  }
  EXPECT_EQ(Problem("{}", 0), "");
}

TEST(Header, RefusesBombs) {
  EXPECT_NE(Problem(std::string(1 << 20, '{'), 0), "");
  EXPECT_NE(Problem("{\"a\":" + std::string(1 << 20, '['), 0), "");
  EXPECT_NE(Problem("{\"" + std::string(1 << 20, 'x') + "\":{}}", 0), "");
  EXPECT_EQ(Problem(std::string(kHeaderBytesMax + 1, ' '), 0), "a header of 8388609 bytes");
  EXPECT_EQ(Problem(R"({"a":{"shape":[)" + std::string(kHeaderBytesMax - 100, '1') + "]}}", 0),
            "header: a number of more than 20 digits");
  const std::string metadata = R"({"__metadata__":{"a":")";
  EXPECT_EQ(Problem(metadata + std::string((1 << 20) + 1, 'x') + "\"}}", 0),
            "header: a text above 1 MiB");
  EXPECT_EQ(Problem(metadata + std::string(1 << 20, 'x') + "\"}}", 0), "");
  EXPECT_NE(Problem(metadata + "x\\", 0), "");
  std::string many = "{";
  for (std::size_t i = 0; i <= kTensorsMax; ++i) {
    many += Entry(std::to_string(i), R"("dtype":"U8","shape":[0],"data_offsets":[0,0])") + ",";
  }
  many.back() = '}';
  EXPECT_EQ(Problem(many, 0), "header: more than 32,768 tensors");
}

TEST(Header, IsWrittenPaddedAndReadBack) {
  const Header header{
      .metadata = {{"format", "pt"}},
      .tensors = {{.name = "a\"ä", .dtype = DType::kF16, .shape = {3}, .from = 0, .to = 6}}};
  const std::string text = FormatHeader(header);
  EXPECT_EQ(text.size() % 8, 0U);
  EXPECT_THAT(text, testing::StartsWith(
                        R"({"__metadata__":{"format":"pt"},"a\"ä":{"dtype":"F16","shape":[3],)"
                        R"("data_offsets":[0,6]}})"));
  const auto back = ParseHeader(text, 6, "m");
  ASSERT_TRUE(back.has_value());
  EXPECT_EQ(back->tensors[0].name, "a\"ä");
}

}  // namespace
}  // namespace tutti::safetensors
