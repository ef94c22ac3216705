// Expected ids are what Transformers 5.24 gives for the same files.
#include "worker/text/token_files.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <cstdint>
#include <filesystem>
#include <fstream>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "worker/text/tokenizer.h"

namespace tutti::text {
namespace {

namespace fs = std::filesystem;
using testing::HasSubstr;
using Ids = std::vector<std::uint32_t>;

constexpr std::string_view kSaid = "say <tool> archive [PAD]<|endoftext|> end";
const Ids kUnchanged = {83, 448, 2251, 1768, 30, 3859, 3118, 48, 1787, 61, 0, 2169};

// A model's folder with the tokenizer of gpt2-tiny, whose vocabulary ends with 8191.
class TokensBesideTokenizerJson : public testing::Test {
 protected:
  TokensBesideTokenizerJson()
      : folder_(fs::temp_directory_path() / ("tutti-token-files-" + std::to_string(getpid()))) {
    fs::remove_all(folder_);
    fs::create_directories(folder_);
    fs::copy_file("tests/parity/cases/tokenizers/gpt2-tiny/tokenizer.json",
                  folder_ / "tokenizer.json");
  }
  ~TokensBesideTokenizerJson() override { fs::remove_all(folder_); }

  void Put(const char* name, std::string_view text) { std::ofstream(folder_ / name) << text; }
  Result<Tokenizer> Load() const { return Tokenizer::Load(folder_); }
  Ids Said() const { return Load()->Encode(kSaid)->ids; }

  fs::path folder_;
};

TEST_F(TokensBesideTokenizerJson, ListedOnesAreAddedInTheOrderOfTheirIds) {
  const Digest before = Load()->digest();
  Put("tokenizer_config.json", R"({"pad_token": "[PAD]", "added_tokens_decoder": {
      "9001": {"content": "[PAD]", "special": true}, "9000": {"content": "<tool>", "rstrip": true}}})");
  EXPECT_EQ(Said(), (Ids{83, 448, 221, 8192, 965, 518, 221, 8193, 0, 2169}));
  const Tokenizer tokenizer = *Load();
  EXPECT_EQ(tokenizer.special().pad, std::optional<std::uint32_t>(8193));
  EXPECT_EQ(*tokenizer.Decode(Said(), /*skip_special=*/true), "say <tool>archive  end");
  EXPECT_EQ(tokenizer.VocabSize(), 8194U);
  EXPECT_NE(tokenizer.digest(), before);
}

TEST_F(TokensBesideTokenizerJson, AListedOneChangesHowItsTokenIsFound) {
  Put("tokenizer_config.json", R"({"added_tokens_decoder": {"0": {"content": "<|endoftext|>",
      "lstrip": true, "rstrip": true, "normalized": false, "special": true}}})");
  Ids without_space = kUnchanged;
  without_space.back() = 385;
  EXPECT_EQ(Said(), without_space);
}

TEST_F(TokensBesideTokenizerJson, NamedOnesAreAdded) {
  Put("tokenizer_config.json", R"({"pad_token": "[PAD]"})");
  EXPECT_EQ(Said(), (Ids{83, 448, 2251, 1768, 30, 3859, 221, 8192, 0, 2169}));
  EXPECT_EQ(Load()->special().pad, std::optional<std::uint32_t>(8192));
  Put("tokenizer_config.json", R"({"additional_special_tokens": ["archive"]})");
  EXPECT_EQ(Said(), (Ids{83, 448, 2251, 1768, 30, 221, 8192, 3118, 48, 1787, 61, 0, 2169}));
}

TEST_F(TokensBesideTokenizerJson, OlderFilesCountWithoutAListOfTheNewerOne) {
  Put("added_tokens.json", R"({"<tool>": 8193, "[PAD]": 8192})");
  Put("special_tokens_map.json", R"({"pad_token": {"content": "[PAD]", "lstrip": true}})");
  EXPECT_EQ(Said(), (Ids{83, 448, 221, 8193, 3859, 221, 8192, 0, 2169}));
  Put("tokenizer_config.json", R"({"added_tokens_decoder": {}})");
  EXPECT_EQ(Said(), kUnchanged);
}

TEST_F(TokensBesideTokenizerJson, WhatIsNoTokenIsRefusedWithItsFile) {
  for (const char* config : {R"({"added_tokens_decoder": {"one": {"content": "<tool>"}}})",
                             R"({"added_tokens_decoder": {"9000": "<tool>"}})",
                             R"({"added_tokens_decoder": {"9000": {"content": 1}}})",
                             R"({"added_tokens_decoder": [{"content": "<tool>"}]})", "[]"}) {
    Put("tokenizer_config.json", config);
    const auto loaded = Load();
    ASSERT_FALSE(loaded.has_value()) << config;
    EXPECT_EQ(loaded.error().code, ErrorCode::kInvalid);
    EXPECT_THAT(loaded.error().ToString(), HasSubstr("tokenizer_config.json"));
  }
  Put("tokenizer_config.json", "{}");
  Put("added_tokens.json", R"({"<tool>": "8192"})");
  EXPECT_THAT(Load().error().ToString(), HasSubstr("added_tokens.json"));
}

TEST_F(TokensBesideTokenizerJson, AConfigurationMayHaveManyLabels) {
  std::string labels;
  for (int i = 0; i < 65'536; ++i) labels += "\"" + std::to_string(i) + "\": \"\", ";
  Put("config.json", R"({"pad_token_id": 7, "id2label": {)" + labels + R"("-1": ""}})");
  const auto loaded = Load();
  ASSERT_TRUE(loaded.has_value()) << loaded.error().ToString();
  EXPECT_EQ(loaded->special().pad, std::optional<std::uint32_t>(7));
  Put("config.json", "[]");
  EXPECT_THAT(Load().error().ToString(), HasSubstr("not a JSON object"));
}

}  // namespace
}  // namespace tutti::text
