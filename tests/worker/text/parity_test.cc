#include "worker/text/parity.h"

#include <gtest/gtest.h>

#include <cstdlib>
#include <filesystem>
#include <string>
#include <vector>

namespace tutti::text {
namespace {

namespace fs = std::filesystem;

// The vendored subset, and all of the reference folder where TUTTI_PARITY_DIR names it.
std::vector<fs::path> Folders(const std::string& name) {
  std::vector<fs::path> folders = {fs::path("tests/parity/cases") / name};
  if (const char* all = std::getenv("TUTTI_PARITY_DIR")) folders.push_back(fs::path(all) / name);
  return folders;
}

struct Counts {
  int ok = 0;
  int skipped = 0;
  std::vector<std::string> failures;
};

ParitySink Counting(Counts& counts) {
  return [&counts](const ParityCase& c) {
    switch (c.outcome) {
      case ParityCase::Outcome::kOk:
        ++counts.ok;
        break;
      case ParityCase::Outcome::kSkip:
        ++counts.skipped;
        break;
      case ParityCase::Outcome::kFail:
        counts.failures.push_back(c.name + " " + c.detail);
        break;
    }
  };
}

void ExpectAllOk(const Counts& counts, int at_least) {
  EXPECT_GE(counts.ok, at_least);
  EXPECT_EQ(counts.failures.size(), 0U);
  for (std::size_t i = 0; i < counts.failures.size() && i < 10; ++i) {
    ADD_FAILURE() << counts.failures[i];
  }
}

TEST(TextParity, IdsAndDecodingsAreThoseOfTheReference) {
  for (const fs::path& folder : Folders("tokenizers")) {
    SCOPED_TRACE(folder);
    Counts counts;
    ASSERT_EQ(TextParityKindOf(folder), TextParityKind::kTokenizers);
    const Status status = RunTokenizerParity(folder, Counting(counts));
    ASSERT_TRUE(status.has_value()) << status.error().ToString();
    ExpectAllOk(counts, 1000);
  }
}

TEST(TextParity, ChatsAreRenderedAsTheReference) {
  for (const fs::path& folder : Folders("chat")) {
    SCOPED_TRACE(folder);
    Counts counts;
    ASSERT_EQ(TextParityKindOf(folder), TextParityKind::kChat);
    const Status status = RunChatParity(folder, Counting(counts));
    ASSERT_TRUE(status.has_value()) << status.error().ToString();
    ExpectAllOk(counts, 200);
    EXPECT_EQ(counts.skipped, 0);
  }
}

TEST(TextParity, KnowsOnlyItsFolders) {
  EXPECT_EQ(TextParityKindOf("tests/worker/text"), TextParityKind::kNone);
  EXPECT_EQ(TextParityKindOf("no/such/folder"), TextParityKind::kNone);
}

}  // namespace
}  // namespace tutti::text
