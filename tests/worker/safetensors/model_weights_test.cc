#include "worker/safetensors/model_weights.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <array>
#include <filesystem>

#include "common/file/file.h"
#include "worker/safetensors/writer.h"

namespace tutti::safetensors {
namespace {

namespace fs = std::filesystem;
using testing::ElementsAre;
using testing::HasSubstr;

class ModelWeightsTest : public testing::Test {
 protected:
  void SetUp() override {
    dir_ = fs::path(testing::TempDir()) /
           testing::UnitTest::GetInstance()->current_test_info()->name();
    ASSERT_TRUE(RemoveTree(dir_).has_value());
    ASSERT_TRUE(MakeDirectories(dir_).has_value());
  }
  void TearDown() override { ASSERT_TRUE(RemoveTree(dir_).has_value()); }

  void Shard(const std::string& file, const std::string& tensor) {
    const std::array<float, 1> f = {1};
    ASSERT_TRUE(
        Write(dir_ / file, {{.name = tensor, .shape = {1}, .data = std::as_bytes(std::span(f))}})
            .has_value());
  }
  void Index(const std::string& json) {
    ASSERT_TRUE(WriteFileAtomically(dir_ / "model.safetensors.index.json", json).has_value());
  }
  fs::path dir_;
};

TEST_F(ModelWeightsTest, ReadsOneFileOrShards) {
  Shard("s1.safetensors", "b");
  Shard("s2.safetensors", "a");
  Index(
      R"({"metadata":{"total_size":8},"weight_map":{"a":"s2.safetensors","b":"s1.safetensors"}})");
  auto weights = ModelWeights::Open(dir_);
  ASSERT_TRUE(weights.has_value()) << weights.error().ToString();
  EXPECT_THAT(weights->Names(), ElementsAre("a", "b"));
  EXPECT_EQ(weights->files().size(), 2U);
  EXPECT_TRUE(weights->Find("a").has_value());
  EXPECT_EQ(weights->Find("c").error().code, ErrorCode::kNotFound);

  Shard("model.safetensors", "whole");
  weights = ModelWeights::Open(dir_);
  ASSERT_TRUE(weights.has_value());
  EXPECT_THAT(weights->Names(), ElementsAre("whole"));
}

TEST_F(ModelWeightsTest, RefusesAnIndexThatDoesNotFit) {
  Shard("s1.safetensors", "b");
  for (const char* json :
       {"", "[]", "{}", R"({"weight_map":[]})", R"({"weight_map":{"b":1}})",
        R"({"weight_map":{"a":"s1.safetensors"}})", R"({"weight_map":{"b":"../s1.safetensors"}})",
        R"({"weight_map":{"b":"/etc/passwd"}})", R"({"weight_map":{"b":""}})",
        R"({"weight_map":{"b":"gone.safetensors"}})", R"({"weight_map":"s1.safetensors"})",
        R"({"weight_map":{"b":"s1.safetensors","b":"s1.safetensors"}})",
        R"({"weight_map":{"b":"s1.safetensors"},"weight_map":{}})",
        R"({"weight_map":{"b":["s1.safetensors"]}})", R"({"weight_map":{"b":{}}})",
        R"({"x":{"weight_map":{"b":"s1.safetensors"}}})",
        R"({"weight_map":{"b":"s1.safetensors"}})"
        "x"}) {
    Index(json);
    EXPECT_FALSE(ModelWeights::Open(dir_).has_value()) << json;
  }
}

TEST_F(ModelWeightsTest, RefusesAnIndexThatIsABomb) {
  const auto problem = [&](const std::string& json) {
    Index(json);
    const auto weights = ModelWeights::Open(dir_);
    return weights.has_value() ? "" : weights.error().message;
  };
  EXPECT_EQ(problem(R"({"x":)" + std::string(1 << 20, '[')), "nested too deep");
  EXPECT_EQ(problem(R"({"x":)" + std::string(1 << 20, '{')), "not JSON at byte 7");
  std::string many = R"({"weight_map":{)";
  for (int i = 0; i <= 200'000; ++i) many += "\"" + std::to_string(i) + R"(":"s",)";
  EXPECT_EQ(problem(many), "more than 200,000 tensors");
  std::string shards = R"({"weight_map":{)";
  for (int i = 0; i <= 4'096; ++i) shards += R"("a":")" + std::to_string(i) + R"(",)";
  EXPECT_EQ(problem(shards), "too many shards");
}

TEST_F(ModelWeightsTest, MissingWeightsAreNotFound) {
  EXPECT_EQ(ModelWeights::Open(dir_).error().code, ErrorCode::kNotFound);
}

}  // namespace
}  // namespace tutti::safetensors
