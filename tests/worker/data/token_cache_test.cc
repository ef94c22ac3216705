#include "worker/data/token_cache.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <limits>
#include <string>

#include "tests/worker/data/files.h"
#include "worker/text/tokenizer.h"

namespace tutti::data {
namespace {

using testing::ElementsAre;

constexpr const char* kTokenizers = "tests/parity/cases/tokenizers/";

class TokenCache : public DataTest {
 protected:
  std::filesystem::path CacheFile() const {
    std::filesystem::path found;
    for (const auto& entry : std::filesystem::directory_iterator(folder_ / "cache")) {
      found = entry.path();
    }
    return found;
  }
  std::size_t CacheFiles() const {
    const std::filesystem::directory_iterator files(folder_ / "cache");
    return static_cast<std::size_t>(std::distance(begin(files), end(files)));
  }
};

DatasetParts Parts() {
  return {.offsets = {0, 2, 5},
          .ids = {1, 2, 3, 4, 5},
          .label_index = {1, -1},
          .label_texts = {"a", "ä\n"},
          .integers = false,
          .cut_rows = 1};
}

TEST_F(TokenCache, GivesBackWhatWasWritten) {
  const Digest key = Sha256Of("key");
  EXPECT_FALSE(ReadTokens(folder_ / "cache", key).has_value());
  ASSERT_TRUE(WriteTokens(folder_ / "cache", key, Parts()).has_value());
  const auto parts = ReadTokens(folder_ / "cache", key);
  ASSERT_TRUE(parts.has_value());
  EXPECT_EQ(parts->offsets, Parts().offsets);
  EXPECT_EQ(parts->ids, Parts().ids);
  EXPECT_EQ(parts->label_index, Parts().label_index);
  EXPECT_EQ(parts->label_texts, Parts().label_texts);
  EXPECT_EQ(parts->cut_rows, 1);
  EXPECT_FALSE(ReadTokens(folder_ / "cache", Sha256Of("other")).has_value());
  EXPECT_EQ(CacheFiles(), 1U);
}

TEST_F(TokenCache, AnyChangedOrMissingByteMakesItNothing) {
  const Digest key = Sha256Of("key");
  ASSERT_TRUE(WriteTokens(folder_ / "cache", key, Parts()).has_value());
  const std::string good = ReadFile(CacheFile()).value();
  const auto read = [&](const std::string& content) {
    EXPECT_TRUE(WriteFileAtomically(CacheFile(), content, {.durable = false}).has_value());
    return ReadTokens(folder_ / "cache", key).has_value();
  };
  for (std::size_t at = 0; at < good.size(); ++at) {
    std::string bad = good;
    bad[at] = static_cast<char>(bad[at] ^ 0x80);
    EXPECT_FALSE(read(bad)) << at;
    EXPECT_FALSE(read(good.substr(0, at))) << at;
  }
  EXPECT_FALSE(read(good + "x"));
  EXPECT_TRUE(read(good));
}

TEST_F(TokenCache, PartsThatDoNotFitTogetherAreRefused) {
  EXPECT_TRUE(DatasetBuilder::Build(Parts()).has_value());
  const auto refused = [](auto change) {
    DatasetParts parts = Parts();
    change(parts);
    return !DatasetBuilder::Build(std::move(parts)).has_value();
  };
  EXPECT_TRUE(refused([](DatasetParts& p) { p.offsets = {}; }));
  EXPECT_TRUE(refused([](DatasetParts& p) { p.offsets = {0, 6, 5}; }));
  EXPECT_TRUE(refused([](DatasetParts& p) { p.offsets = {1, 2, 5}; }));
  EXPECT_TRUE(refused([](DatasetParts& p) { p.offsets.back() = 6; }));
  EXPECT_TRUE(refused([](DatasetParts& p) { p.label_index[0] = 2; }));
  EXPECT_TRUE(refused([](DatasetParts& p) { p.label_index[0] = -2; }));
  EXPECT_TRUE(refused([](DatasetParts& p) { p.label_index.push_back(0); }));
}

TEST_F(TokenCache, TheKeyDependsOnEverythingTheTokensFollowFrom) {
  const TokenSource base{.data = Sha256Of("d"), .tokenizer = Sha256Of("t"), .max_length = 10};
  const auto differs = [&](auto change) {
    TokenSource source = base;
    change(source);
    return KeyOf(source) != KeyOf(base);
  };
  EXPECT_EQ(KeyOf(base), KeyOf(base));
  EXPECT_TRUE(differs([](TokenSource& s) { s.data = Sha256Of("e"); }));
  EXPECT_TRUE(differs([](TokenSource& s) { s.tokenizer = Sha256Of("u"); }));
  EXPECT_TRUE(differs([](TokenSource& s) { s.kind.format = FileFormat::kCsv; }));
  EXPECT_TRUE(differs([](TokenSource& s) { s.kind.gzip = true; }));
  EXPECT_TRUE(differs([](TokenSource& s) { s.columns.text = "body"; }));
  EXPECT_TRUE(differs([](TokenSource& s) { s.columns.label = "y"; }));
  EXPECT_TRUE(differs([](TokenSource& s) { s.max_length = 11; }));
  EXPECT_TRUE(differs([](TokenSource& s) { s.require_labels = false; }));
}

TEST_F(TokenCache, LoadUsesItForTheSameContentAlone) {
  const auto bert = text::Tokenizer::Load(std::string(kTokenizers) + "bert-tiny/tokenizer.json");
  const auto gpt2 = text::Tokenizer::Load(std::string(kTokenizers) + "gpt2-tiny/tokenizer.json");
  LoadOptions options{.path = Put("a.csv", "text,label\nHello world,b\n"),
                      .shown_name = {},
                      .columns = {},
                      .cache_dir = folder_ / "cache"};
  const auto tokens = [&](const text::Tokenizer& tokenizer) {
    const auto data = Dataset::Load(options, tokenizer);
    EXPECT_TRUE(data.has_value());
    return std::vector<std::int32_t>(data->Tokens(0).begin(), data->Tokens(0).end());
  };
  const auto first = tokens(*bert);
  ASSERT_EQ(CacheFiles(), 1U);
  // A cache with other tokens under this key shows that it is used.
  const Digest key = KeyOf({.data = *Sha256OfFile(options.path),
                            .tokenizer = bert->digest(),
                            .kind = {.format = FileFormat::kCsv},
                            .max_length = 512});
  DatasetParts planted = *ReadTokens(options.cache_dir, key);
  planted.ids.assign(planted.ids.size(), 7);
  ASSERT_TRUE(WriteTokens(options.cache_dir, key, planted).has_value());
  EXPECT_THAT(tokens(*bert), testing::Each(7));
  EXPECT_THAT(tokens(*gpt2), testing::Not(testing::Contains(7)));
  EXPECT_EQ(CacheFiles(), 2U);
  options.max_length = 511;
  EXPECT_EQ(tokens(*bert), first);
  options.max_length = 512;
  // A corrupt one is made again.
  planted.offsets.back() += 1;
  ASSERT_TRUE(WriteTokens(options.cache_dir, key, planted).has_value());
  EXPECT_EQ(tokens(*bert), first);
  EXPECT_EQ(ReadTokens(options.cache_dir, key)->ids.size(), first.size());
}

TEST_F(TokenCache, ACacheThatCannotBeWrittenIsNoError) {
  const auto bert = text::Tokenizer::Load(std::string(kTokenizers) + "bert-tiny/tokenizer.json");
  const LoadOptions options{.path = Put("a.csv", "text,label\nHello world,b\n"),
                            .shown_name = {},
                            .columns = {},
                            .cache_dir = Put("file", "x") / "cache"};
  EXPECT_TRUE(Dataset::Load(options, *bert).has_value());
}

}  // namespace
}  // namespace tutti::data
