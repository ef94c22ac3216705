#include "common/file/file.h"

#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <fstream>

namespace tutti {
namespace {

namespace fs = std::filesystem;

class FileTest : public testing::Test {
 protected:
  void SetUp() override {
    folder_ = fs::path(testing::TempDir()) / ("file_test-" + std::to_string(::getpid()));
    ASSERT_TRUE(MakeDirectories(folder_ / "a" / "b"));
  }
  void TearDown() override { ASSERT_TRUE(RemoveTree(folder_)); }

  std::size_t EntryCount() const {
    return static_cast<std::size_t>(std::distance(fs::directory_iterator(folder_), {}));
  }

  fs::path folder_;
};

TEST_F(FileTest, WritesWholeFilesAndLeavesNoTemporary) {
  ASSERT_TRUE(WriteFileAtomically(folder_ / "x", "one"));
  ASSERT_TRUE(WriteFileAtomically(folder_ / "x", "two", {.mode = 0600}));
  EXPECT_EQ(ReadFile(folder_ / "x").value(), "two");
  EXPECT_EQ(EntryCount(), 2u);
  struct stat stat {};
  ASSERT_EQ(::stat((folder_ / "x").c_str(), &stat), 0);
  EXPECT_EQ(stat.st_mode & 0777, 0600u);
}

TEST_F(FileTest, FailedWriteLeavesNothingBehind) {
  EXPECT_EQ(WriteFileAtomically(folder_ / "missing" / "x", "one").error().code,
            ErrorCode::kNotFound);
  EXPECT_FALSE(WriteFileAtomically(folder_ / "a", "a folder is in the way"));
  EXPECT_EQ(EntryCount(), 1u);
}

TEST_F(FileTest, ReadRefusesFilesOverTheCap) {
  ASSERT_TRUE(WriteFileAtomically(folder_ / "x", "12345"));
  EXPECT_EQ(ReadFile(folder_ / "x", Bytes{4}).error().code, ErrorCode::kTooLarge);
  EXPECT_EQ(ReadFile(folder_ / "x", Bytes{5}).value(), "12345");
  EXPECT_EQ(ReadFile(folder_ / "y").error().code, ErrorCode::kNotFound);
}

TEST_F(FileTest, LinkOrCopyReplacesTheTarget) {
  ASSERT_TRUE(WriteFileAtomically(folder_ / "from", "new"));
  ASSERT_TRUE(WriteFileAtomically(folder_ / "to", "old"));
  ASSERT_TRUE(LinkOrCopy(folder_ / "from", folder_ / "to"));
  ASSERT_TRUE(LinkOrCopy(folder_ / "from", folder_ / "to"));
  EXPECT_EQ(ReadFile(folder_ / "to").value(), "new");
  EXPECT_EQ(EntryCount(), 3u);
}

TEST_F(FileTest, MakeDirectoriesSaysWhatIsInTheWay) {
  ASSERT_TRUE(WriteFileAtomically(folder_ / "x", ""));
  EXPECT_TRUE(MakeDirectories(folder_ / "a" / "b"));
  EXPECT_FALSE(MakeDirectories(folder_ / "x"));
  EXPECT_FALSE(MakeDirectories(folder_ / "x" / "y"));
}

TEST(JoinBeneath, RefusesEscapes) {
  EXPECT_EQ(JoinBeneath("/r", "a/b.json").value(), "/r/a/b.json");
  for (const char* bad :
       {"", "/etc/passwd", "..", "a/../b", "a/./b", "a//b", "a\\b", "a\nb", "a/"}) {
    EXPECT_FALSE(JoinBeneath("/r", bad)) << bad;
  }
  EXPECT_FALSE(JoinBeneath("/r", std::string_view("a\0b", 3)));
}

TEST(UniqueFd, ClosesOnce) {
  int ends[2];
  ASSERT_EQ(::pipe(ends), 0);
  {
    UniqueFd in(ends[0]);
    UniqueFd moved(std::move(in));
    EXPECT_FALSE(in);  // NOLINT: moved-from on purpose
    EXPECT_TRUE(moved);
  }
  EXPECT_EQ(::close(ends[0]), -1);
  ::close(ends[1]);
}

}  // namespace
}  // namespace tutti
