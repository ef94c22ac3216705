#include "common/file/beneath.h"

#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <fstream>
#include <string>
#include <thread>

namespace tutti {
namespace {

namespace fs = std::filesystem;
using testing::HasSubstr;

using Opener = Result<UniqueFd> (*)(const fs::path&, const fs::path&, int);

class Beneath : public testing::TestWithParam<Opener> {
 protected:
  Beneath() {
    std::string pattern = testing::TempDir() + "beneath-XXXXXX";
    dir_ = fs::canonical(::mkdtemp(pattern.data()));
    root_ = dir_ / "root";
    fs::create_directories(root_ / "a/b");
    fs::create_directories(dir_ / "out/b");
    std::ofstream(root_ / "a/b/file") << "inside";
    std::ofstream(dir_ / "out/b/file") << "secret";
  }
  ~Beneath() override { fs::remove_all(dir_); }

  // What is read, or the error.
  std::string Read(const fs::path& relative, int flags = O_RDONLY) const {
    const auto fd = GetParam()(root_, relative, flags);
    if (!fd) return fd.error().ToString();
    std::array<char, 64> text{};
    const ssize_t count = ::read(fd->get(), text.data(), text.size());
    return {text.data(), static_cast<std::size_t>(std::max<ssize_t>(count, 0))};
  }

  fs::path dir_;
  fs::path root_;
};

TEST_P(Beneath, OpensWhatIsThere) {
  EXPECT_EQ(Read("a/b/file"), "inside");
  EXPECT_EQ(Read("./a//b/./file"), "inside");
  EXPECT_TRUE(GetParam()(root_, "", O_RDONLY | O_DIRECTORY));
  EXPECT_TRUE(GetParam()(root_, ".", O_RDONLY | O_DIRECTORY));
  const auto none = GetParam()(root_, "a/none", O_RDONLY);
  ASSERT_FALSE(none);
  EXPECT_EQ(none.error().code, ErrorCode::kNotFound);
  EXPECT_FALSE(GetParam()(dir_ / "no-root", "a", O_RDONLY));
}

TEST_P(Beneath, NothingLeadsOut) {
  fs::create_symlink(dir_ / "out", root_ / "link");
  fs::create_symlink("../out/b/file", root_ / "file");
  fs::create_symlink("/", root_ / "a/slash");
  for (const char* path :
       {"link/b/file", "file", "../out/b/file", "a/../../out/b/file", "a/slash/etc/passwd"}) {
    const auto fd = GetParam()(root_, path, O_RDONLY);
    ASSERT_FALSE(fd) << path;
    EXPECT_EQ(fd.error().code, ErrorCode::kInvalid) << fd.error().ToString();
  }
  EXPECT_FALSE(GetParam()(root_, dir_ / "out/b/file", O_RDONLY)) << "an absolute path";
}

// Somebody puts a link where a folder was, after it was looked at.
TEST_P(Beneath, AFolderThatBecameALinkIsNotFollowed) {
  ASSERT_EQ(fs::canonical(root_ / "a/b/file"), root_ / "a/b/file");
  fs::rename(root_ / "a", root_ / "was");
  fs::create_symlink(dir_ / "out", root_ / "a");
  EXPECT_THAT(Read("a/b/file"), HasSubstr("a part of it is a link now"));
}

TEST_P(Beneath, NeverTheOthersWhileTheyAreSwappedAgainAndAgain) {
  fs::create_symlink(dir_ / "out", root_ / "other");
  std::atomic<bool> done = false;
  std::thread swapper([&] {
    while (!done) {
      ::renameat2(AT_FDCWD, (root_ / "a").c_str(), AT_FDCWD, (root_ / "other").c_str(),
                  RENAME_EXCHANGE);
    }
  });
  int inside = 0;
  for (int i = 0; i < 20'000; ++i) {
    const std::string text = Read("a/b/file");
    if (text == "secret") ADD_FAILURE() << "followed a link out of the folder";
    inside += text == "inside" ? 1 : 0;
  }
  done = true;
  swapper.join();
  EXPECT_GT(inside, 0);
}

INSTANTIATE_TEST_SUITE_P(Either, Beneath, testing::Values(OpenBeneath, OpenBeneathByParts),
                         [](const auto& about) {
                           return about.param == OpenBeneath ? "Openat2" : "ByParts";
                         });

}  // namespace
}  // namespace tutti
