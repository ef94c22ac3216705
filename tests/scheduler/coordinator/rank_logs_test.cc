#include "scheduler/coordinator/rank_logs.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <future>

#include "common/file/file.h"

namespace tutti::coordinator {
namespace {

namespace fs = std::filesystem;
using testing::HasSubstr;

class RankLogsTest : public testing::Test {
 protected:
  fs::path directory = fs::path(testing::TempDir()) / ("rank-logs-" + std::to_string(::getpid()));
  LogKey key{JobId(1), Attempt{1}, 0};

  void SetUp() override { fs::remove_all(directory); }
  void TearDown() override { fs::remove_all(directory); }

  static std::uint64_t Append(RankLogs& logs, LogKey to, std::uint64_t offset, std::string data) {
    std::promise<std::uint64_t> acknowledged;
    logs.Append({.key = to,
                 .offset = offset,
                 .data = std::move(data),
                 .acknowledge = [&](std::uint64_t up_to) { acknowledged.set_value(up_to); }});
    auto future = acknowledged.get_future();
    EXPECT_EQ(future.wait_for(std::chrono::seconds(10)), std::future_status::ready);
    return future.get();
  }
  static std::string All(const RankLogs& logs, LogKey of) {
    return logs.Read(of, 0, 1 << 20)->text;
  }
};

TEST_F(RankLogsTest, RepeatsAreWrittenOnceAndGapsSentBack) {
  RankLogs logs(directory);
  EXPECT_EQ(Append(logs, key, 0, "abc"), 3U);
  EXPECT_EQ(Append(logs, key, 1, "bcd"), 4U);
  EXPECT_EQ(Append(logs, key, 9, "later"), 4U);
  EXPECT_EQ(Append(logs, key, 4, "efghi"), 9U);
  EXPECT_EQ(Append(logs, key, 9, "later"), 14U);
  EXPECT_EQ(All(logs, key), "abcdefghilater");
}

TEST_F(RankLogsTest, APieceThatOnlyExistsBeyondAGapIsTakenTheSecondTime) {
  RankLogs logs(directory);
  EXPECT_EQ(Append(logs, key, 4, "rest"), 0U);
  EXPECT_EQ(Append(logs, key, 4, "rest"), 8U);
  EXPECT_EQ(logs.Read(key, 4, 100)->text, "rest");
}

TEST_F(RankLogsTest, AnotherLifeGoesOnWhereTheFileEnds) {
  { EXPECT_EQ(Append(*std::make_unique<RankLogs>(directory), key, 0, "abc"), 3U); }
  RankLogs logs(directory);
  EXPECT_EQ(Append(logs, key, 0, "abc"), 3U);
  EXPECT_EQ(Append(logs, key, 3, "def"), 6U);
  EXPECT_EQ(All(logs, key), "abcdef");
}

TEST_F(RankLogsTest, AFullJobSaysSoAcknowledgesAndKeepsNoMore) {
  LogKey other = key;
  other.rank = 1;
  {
    RankLogs logs(directory, Bytes{10});
    EXPECT_EQ(Append(logs, key, 0, "12345678"), 8U);
    EXPECT_EQ(Append(logs, other, 0, "abcdef"), 6U);
    EXPECT_THAT(All(logs, other), testing::StartsWith("ab\n[tutti]"));
    EXPECT_EQ(Append(logs, key, 8, "9"), 9U);
    EXPECT_EQ(All(logs, key), "12345678");
  }
  RankLogs again(directory, Bytes{10});
  EXPECT_EQ(Append(again, key, 9, "0"), 10U);
  EXPECT_EQ(All(again, key), "12345678");
}

TEST_F(RankLogsTest, ARemovedJobLeavesNothing) {
  LogKey other = key;
  other.job = JobId(2);
  RankLogs logs(directory);
  Append(logs, key, 0, "abc");
  Append(logs, other, 0, "def");
  logs.Remove(key.job);
  Append(logs, other, 3, "ghi");  // behind the removal
  EXPECT_FALSE(fs::exists(directory / key.job.ToString()));
  EXPECT_EQ(All(logs, other), "defghi");
}

TEST_F(RankLogsTest, ReadsPiecesAndSaysWhereToGoOn) {
  RankLogs logs(directory);
  Append(logs, key, 0, "0123456789");
  const auto slice = logs.Read(key, 3, 4);
  ASSERT_TRUE(slice);
  EXPECT_EQ(slice->text, "3456");
  EXPECT_EQ(slice->next_offset, 7U);
  EXPECT_EQ(logs.Read(key, 50, 4)->next_offset, 50U);
  EXPECT_EQ(logs.Read({JobId(9), Attempt{1}, 0}, 0, 4)->text, "");
}

}  // namespace
}  // namespace tutti::coordinator
