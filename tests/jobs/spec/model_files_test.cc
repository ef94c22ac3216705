#include "jobs/spec/model_files.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace tutti::spec {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using Names = std::vector<std::string>;

Names PlacesOf(const Names& adapter, const Names& base) {
  Names places;
  for (const PlacedFile& file : PlaceAdapter(adapter, base)) {
    places.push_back(file.place + (file.of_base ? " of base" : ""));
  }
  return places;
}

const Names kBase = {"config.json",
                     "generation_config.json",
                     "model-00001-of-00002.safetensors",
                     "model.safetensors.index.json",
                     "pytorch_model.bin",
                     "tokenizer.json",
                     "tokenizer_config.json"};

TEST(PlaceAdapter, ABareAdapterReadsAsItsBaseDoes) {
  EXPECT_THAT(
      PlacesOf({"README.md", "adapter_config.json", "adapter_model.safetensors"}, kBase),
      ElementsAre("adapter_config.json", "adapter_model.safetensors", "base/config.json of base",
                  "base/model-00001-of-00002.safetensors of base",
                  "base/model.safetensors.index.json of base", "generation_config.json of base",
                  "tokenizer.json of base", "tokenizer_config.json of base"));
}

TEST(PlaceAdapter, AnAdaptersOwnTokenizerIsNotMixedWithTheBases) {
  EXPECT_THAT(
      PlacesOf({"adapter_config.json", "adapter_model.safetensors", "optimizer.pt", "vocab.json"},
               {"chat_template.jinja", "config.json", "generation_config.json", "merges.txt",
                "model.safetensors", "vocab.json"}),
      ElementsAre("adapter_config.json", "adapter_model.safetensors", "base/config.json of base",
                  "base/model.safetensors of base", "generation_config.json of base",
                  "vocab.json"));
}

TEST(BaseNamed, IsANameOrNone) {
  EXPECT_EQ(BaseNamed(R"({"base_model_name_or_path": "../llama"})", "a"), "../llama");
  EXPECT_EQ(BaseNamed(R"({"base_model_name_or_path": null})", "a"), "");
  EXPECT_EQ(BaseNamed("{}", "a"), "");
  for (const char* wrong : {"[]", "{", R"({"base_model_name_or_path": 3})",
                            "{\"base_model_name_or_path\": \"a\\u0000b\"}"}) {
    const auto name = BaseNamed(wrong, "adapter_config.json");
    ASSERT_FALSE(name.has_value()) << wrong;
    EXPECT_THAT(name.error().ToString(), HasSubstr("adapter_config.json"));
  }
  EXPECT_FALSE(BaseNamed(std::string(1000, '[') + std::string(1000, ']'), "a").has_value());
}

}  // namespace
}  // namespace tutti::spec
