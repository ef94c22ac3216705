#include "worker/text/tokenizer.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/wait.h>
#include <unistd.h>

#include <filesystem>
#include <string>
#include <thread>
#include <vector>

#include "common/file/file.h"

namespace tutti::text {
namespace {

namespace fs = std::filesystem;
using testing::ElementsAre;
using testing::HasSubstr;

const fs::path kCases = "tests/parity/cases/tokenizers";

Tokenizer LoadOrDie(const fs::path& path) {
  Result<Tokenizer> tokenizer = Tokenizer::Load(path);
  EXPECT_TRUE(tokenizer.has_value()) << tokenizer.error().ToString();
  return *std::move(tokenizer);
}

int ThreadsOfThisProcess() {
  int count = 0;
  for ([[maybe_unused]] const auto& entry : fs::directory_iterator("/proc/self/task")) ++count;
  return count;
}

TEST(Tokenizer, StartsNoThreadAndWorksInForkedChildren) {
  for (const char* name : {"bert-tiny", "llama2-bpe", "xlmr-unigram"}) {
    const Tokenizer tokenizer = LoadOrDie(kCases / name);
    const Result<Encoding> before = tokenizer.Encode("Tools for the archive, version 2.0");
    ASSERT_TRUE(before.has_value());
    ASSERT_EQ(ThreadsOfThisProcess(), 1);
    const pid_t child = fork();
    ASSERT_GE(child, 0);
    if (child == 0) {
      const Result<Encoding> after = tokenizer.Encode("Tools for the archive, version 2.0");
      const bool same = after.has_value() && after->ids == before->ids &&
                        tokenizer.Decode(after->ids, true).has_value();
      _exit(same && ThreadsOfThisProcess() == 1 ? 0 : 1);
    }
    int status = 0;
    ASSERT_EQ(waitpid(child, &status, 0), child);
    EXPECT_EQ(status, 0) << name;
  }
}

TEST(Tokenizer, ThreadsMayShareOneWithDifferentLengths) {
  const Tokenizer tokenizer = LoadOrDie(kCases / "bert-tiny");
  std::vector<std::thread> threads;
  std::vector<int> wrong(4, 0);
  for (std::size_t t = 0; t < wrong.size(); ++t) {
    threads.emplace_back([&, t] {
      for (std::size_t i = 0; i < 50; ++i) {
        const std::size_t length = 3 + (t + i) % 4;
        const auto encoding =
            tokenizer.Encode("one two three four five six", {.max_length = length});
        if (!encoding.has_value() || encoding->ids.size() != length) ++wrong[t];
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_THAT(wrong, testing::Each(0));
}

TEST(Tokenizer, TruncationLeavesSpecialTokens) {
  const Tokenizer tokenizer = LoadOrDie(kCases / "bert-tiny");
  const auto cut = tokenizer.Encode("a b c d e f", {.max_length = 4});
  ASSERT_TRUE(cut.has_value());
  ASSERT_EQ(cut->ids.size(), 4U);
  EXPECT_EQ(cut->ids.front(), tokenizer.IdOf("[CLS]"));
  EXPECT_EQ(cut->ids.back(), tokenizer.IdOf("[SEP]"));
}

TEST(Tokenizer, RefusesALengthWithoutRoomForSpecialTokens) {
  const Tokenizer tokenizer = LoadOrDie(kCases / "bert-tiny");
  for (const std::size_t length : {0U, 1U}) {
    EXPECT_FALSE(tokenizer.Encode("text", {.max_length = length}).has_value()) << length;
  }
  // Right after a refusal it works.
  EXPECT_TRUE(tokenizer.Encode("text").has_value());
}

TEST(Tokenizer, AnEmptyPairIsAPair) {
  const Tokenizer tokenizer = LoadOrDie(kCases / "bert-tiny");
  const auto alone = tokenizer.Encode("text");
  const auto paired = tokenizer.Encode("text", {.pair = std::string_view()});
  ASSERT_TRUE(alone.has_value() && paired.has_value());
  EXPECT_EQ(paired->ids.size(), alone->ids.size() + 1);
}

TEST(Tokenizer, RefusesTextThatIsNotUtf8) {
  const Tokenizer tokenizer = LoadOrDie(kCases / "bert-tiny");
  const auto encoding = tokenizer.Encode("abc\xff");
  ASSERT_FALSE(encoding.has_value());
  EXPECT_THAT(encoding.error().message, HasSubstr("not UTF-8 at byte 3"));
}

TEST(Tokenizer, DecodeLeavesOutUnknownIds) {
  const Tokenizer tokenizer = LoadOrDie(kCases / "bert-tiny");
  const std::vector<std::uint32_t> ids = {4'000'000'000U};
  const auto text = tokenizer.Decode(ids, false);
  ASSERT_TRUE(text.has_value());
  EXPECT_EQ(*text, "");
}

TEST(Tokenizer, RefusesHostileFilesWithoutFalling) {
  const std::string deep(100'000, '[');
  for (const std::string& file :
       {std::string(), std::string("{}"), std::string("[]"), std::string("null"), deep,
        std::string(R"({"version":"1.0","model":{"type":"BPE","vocab":{"a":0},"merges":["a b"]}})"),
        std::string(R"({"version":"1.0","model":{"type":"Unigram","vocab":[],"unk_id":7}})"),
        std::string(R"({"version":"1.0","pre_tokenizer":{"type":"Split","pattern":)"
                    R"({"Regex":"(((("},"behavior":"Isolated","invert":false},)"
                    R"("model":{"type":"WordLevel","vocab":{},"unk_token":"x"}})")}) {
    const auto tokenizer = Tokenizer::FromJson(file, "bad.json");
    ASSERT_FALSE(tokenizer.has_value()) << file.substr(0, 80);
    EXPECT_EQ(tokenizer.error().code, ErrorCode::kInvalid);
    EXPECT_EQ(tokenizer.error().where, "bad.json");
  }
}

TEST(Tokenizer, ReadsSpecialTokensOfAModelDirectory) {
  const fs::path dir = fs::path(testing::TempDir()) / "tokenizer_special";
  ASSERT_TRUE(MakeDirectories(dir).has_value());
  fs::copy_file(kCases / "bert-tiny/tokenizer.json", dir / "tokenizer.json",
                fs::copy_options::overwrite_existing);
  ASSERT_TRUE(WriteFileAtomically(dir / "tokenizer_config.json",
                                  R"({"pad_token": "[PAD]", "cls_token": {"content": "[CLS]"},
                                      "model_max_length": 256, "unk_token": 7})")
                  .has_value());
  ASSERT_TRUE(WriteFileAtomically(dir / "config.json", R"({"eos_token_id": 3})").has_value());
  const Tokenizer tokenizer = LoadOrDie(dir);
  EXPECT_EQ(tokenizer.special().pad, tokenizer.IdOf("[PAD]"));
  EXPECT_EQ(tokenizer.special().cls, tokenizer.IdOf("[CLS]"));
  EXPECT_EQ(tokenizer.special().eos, 3U);
  EXPECT_EQ(tokenizer.special().unk, std::nullopt);
  EXPECT_EQ(tokenizer.model_max_length(), 256U);
  EXPECT_TRUE(RemoveTree(dir).has_value());
}

TEST(Tokenizer, MissingFileIsNotFound) {
  const auto tokenizer = Tokenizer::Load("no/such/model");
  ASSERT_FALSE(tokenizer.has_value());
  EXPECT_EQ(tokenizer.error().code, ErrorCode::kNotFound);
}

}  // namespace
}  // namespace tutti::text
