// Room that is set aside for a start on a full disk.
#include "scheduler/store/reserve.h"

#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/file/file.h"

namespace tutti::store {
namespace {

namespace fs = std::filesystem;

class Reserve : public testing::Test {
 protected:
  void SetUp() override { ASSERT_TRUE(MakeDirectories(folder)); }
  void TearDown() override { ASSERT_TRUE(RemoveTree(folder)); }
  // Bytes that the files in the folder take of the disk.
  std::int64_t Taken() const {
    std::int64_t bytes = 0;
    for (const auto& entry : fs::directory_iterator(folder)) {
      struct stat about = {};
      if (::stat(entry.path().c_str(), &about) == 0) bytes += about.st_blocks * 512;
    }
    return bytes;
  }
  const fs::path folder = fs::path(testing::TempDir()) / ("reserve-" + std::to_string(::getpid()));
};

TEST_F(Reserve, TakesRoomOnceAndGivesItBack) {
  KeepReserve(folder);
  EXPECT_GE(Taken(), kReserve.count);
  const std::int64_t once = Taken();
  KeepReserve(folder);
  EXPECT_EQ(Taken(), once);
  EXPECT_TRUE(ReleaseReserve(folder));
  EXPECT_EQ(Taken(), 0);
  EXPECT_FALSE(ReleaseReserve(folder));
}

TEST_F(Reserve, AFolderThatIsGoneIsLeftAlone) {
  KeepReserve(folder / "none");
  EXPECT_FALSE(fs::exists(folder / "none"));
}

}  // namespace
}  // namespace tutti::store
