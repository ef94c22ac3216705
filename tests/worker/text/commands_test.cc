#include "worker/text/commands.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <sstream>

namespace tutti::text {
namespace {

using testing::HasSubstr;

constexpr char kModel[] = "tests/parity/cases/tokenizers/gpt2-tiny";

TEST(TokenizeCommand, EachLineIsAnsweredAndComesBack) {
  const std::string lines = "\"Hello  wörld\\n\"\n\n\"\"\n\"<|endoftext|>\"\n";
  std::istringstream texts(lines);
  std::ostringstream ids;
  Status status = RunTokenize(kModel, texts, ids);
  ASSERT_TRUE(status.has_value()) << status.error().ToString();
  std::istringstream ids_in(ids.str());
  std::ostringstream back;
  status = RunDetokenize(kModel, ids_in, back);
  ASSERT_TRUE(status.has_value()) << status.error().ToString();
  EXPECT_EQ(back.str(), "\"Hello  wörld\\n\"\n\"\"\n\"<|endoftext|>\"\n");
}

TEST(TokenizeCommand, AnErrorNamesTheLine) {
  for (const char* bad : {"\"a\"\n{}\n", "\"a\"\nnope\n", "\"a\"\n[[[[\n"}) {
    std::istringstream in(bad);
    std::ostringstream out;
    const Status status = RunTokenize(kModel, in, out);
    ASSERT_FALSE(status.has_value());
    EXPECT_EQ(status.error().where, "line 2");
    EXPECT_THAT(out.str(), HasSubstr("]\n"));  // the line before was answered
  }
  for (const char* bad : {"[1, -1]\n", "[1.5]\n", "[4294967296]\n", "\"a\"\n"}) {
    std::istringstream in(bad);
    std::ostringstream out;
    EXPECT_FALSE(RunDetokenize(kModel, in, out).has_value()) << bad;
  }
}

}  // namespace
}  // namespace tutti::text
