#include "worker/agent/token_files.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <stdlib.h>

#include <chrono>
#include <fstream>
#include <set>
#include <string>

namespace tutti::agent {
namespace {

namespace fs = std::filesystem;

class TokenFiles : public testing::Test {
 protected:
  TokenFiles() {
    std::string pattern = testing::TempDir() + "tokens-XXXXXX";
    dir = ::mkdtemp(pattern.data());
  }
  ~TokenFiles() override { fs::remove_all(dir); }

  void Make(const std::string& name, int size, std::chrono::minutes age) {
    std::ofstream(dir / name) << std::string(static_cast<std::size_t>(size), 'x');
    fs::last_write_time(dir / name, fs::file_time_type::clock::now() - age);
  }
  std::set<std::string> Left() const {
    std::set<std::string> names;
    for (const auto& entry : fs::directory_iterator(dir)) names.insert(entry.path().filename());
    return names;
  }

  fs::path dir;
};

TEST_F(TokenFiles, ThoseUsedLongestAgoGoUntilTheRestFits) {
  Make("old.tokens", 100, std::chrono::minutes(30));
  Make("new.tokens", 100, std::chrono::minutes(1));
  Make("older.tokens", 100, std::chrono::minutes(60));
  BoundTokenFiles(dir, Bytes{300});
  EXPECT_EQ(Left().size(), 3U);
  BoundTokenFiles(dir, Bytes{299});
  EXPECT_THAT(Left(), testing::ElementsAre("new.tokens", "old.tokens"));
  BoundTokenFiles(dir, Bytes{100});
  EXPECT_THAT(Left(), testing::ElementsAre("new.tokens"));
  BoundTokenFiles(dir, Bytes{0});
  EXPECT_TRUE(Left().empty());
}

TEST_F(TokenFiles, WhatADeadEngineLeftGoesAndWhatIsBeingWrittenStays) {
  Make("a.tokens.tmp-1", 100, std::chrono::minutes(61));
  Make("b.tokens.tmp-2", 100, std::chrono::minutes(5));
  BoundTokenFiles(dir, Bytes{1000});
  EXPECT_THAT(Left(), testing::ElementsAre("b.tokens.tmp-2"));
}

TEST_F(TokenFiles, AFolderThatIsNotThereIsNoError) {
  BoundTokenFiles(dir / "none", Bytes{0});
  EXPECT_TRUE(Left().empty());
}

}  // namespace
}  // namespace tutti::agent
