// Output of ranks: kept on disk in order, sent within a window, sent again until it arrived.
#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>

#include "worker/agent/log_shipper.h"

namespace tutti::agent {
namespace {

namespace fs = std::filesystem;
using namespace std::chrono_literals;

class Logs : public testing::Test {
 protected:
  void SetUp() override {
    char name[] = "/tmp/tutti-logs-XXXXXX";
    folder_ = mkdtemp(name);
  }
  void TearDown() override { fs::remove_all(folder_); }

  LogShipper Make(std::uint64_t keep_bytes = RankLog::kKeepBytes) {
    return LogShipper({.directory = folder_,
                       .send =
                           [this](const wire::LogChunk& chunk) {
                             if (connected_) chunks_.push_back(chunk);
                             return connected_;
                           },
                       .keep_bytes = keep_bytes});
  }
  // As a coordinator does: takes each chunk that goes on where the last one ended.
  void AcknowledgeAll(LogShipper& shipper) {
    while (!chunks_.empty()) {
      const wire::LogChunk chunk = chunks_.front();
      chunks_.erase(chunks_.begin());
      std::string& text = arrived_[chunk.rank()];
      if (chunk.offset() == text.size()) text += chunk.data();
      wire::LogAck ack;
      ack.set_job(chunk.job());
      ack.set_attempt(chunk.attempt());
      ack.set_rank(chunk.rank());
      ack.set_up_to_offset(text.size());
      shipper.Acknowledge(ack, now_);
    }
  }
  std::size_t Bytes() const {
    std::size_t bytes = 0;
    for (const auto& chunk : chunks_) bytes += chunk.data().size();
    return bytes;
  }

  static constexpr std::uint64_t kWindow = 1 << 20;
  fs::path folder_;
  Instant now_{1h};
  bool connected_ = true;
  std::vector<wire::LogChunk> chunks_;
  std::map<std::uint32_t, std::string> arrived_;
};

const LogShipper::Key kRank0{"j-00000001", 1, 0}, kRank1{"j-00000001", 1, 1};

std::string Pattern(std::size_t size) {
  std::string text;
  for (std::size_t i = 0; text.size() < size; ++i) text += "line " + std::to_string(i) + "\n";
  text.resize(size);
  return text;
}

TEST_F(Logs, ArriveWholeWithinTheWindowOfAJob) {
  LogShipper shipper = Make();
  ASSERT_TRUE(shipper.Open(kRank0));
  ASSERT_TRUE(shipper.Open(kRank1));
  shipper.Restart(kWindow, now_);
  const std::string zero = Pattern(5 << 20), one = Pattern(3 << 20);
  shipper.Append(kRank0, zero);
  shipper.Append(kRank1, one);
  shipper.Tick(now_);
  EXPECT_LE(Bytes(), kWindow);
  EXPECT_GT(Bytes(), 0u);
  AcknowledgeAll(shipper);
  EXPECT_EQ(arrived_[0], zero);
  EXPECT_EQ(arrived_[1], one);
}

TEST_F(Logs, WhatIsNotAcknowledgedIsSentAgain) {
  LogShipper shipper = Make();
  ASSERT_TRUE(shipper.Open(kRank0));
  shipper.Restart(kWindow, now_);
  shipper.Append(kRank0, "hello");
  shipper.Tick(now_);
  ASSERT_EQ(chunks_.size(), 1u);
  chunks_.clear();  // lost
  shipper.Append(kRank0, " world");
  shipper.Tick(now_);
  now_ = now_ + LogShipper::kAgain;
  shipper.Tick(now_);
  AcknowledgeAll(shipper);
  EXPECT_EQ(arrived_[0], "hello world");
}

TEST_F(Logs, ANewCoordinatorGetsWhatTheOldOneDidNotAcknowledge) {
  LogShipper shipper = Make();
  ASSERT_TRUE(shipper.Open(kRank0));
  shipper.Append(kRank0, "hello");
  shipper.Tick(now_);
  EXPECT_TRUE(chunks_.empty());  // nobody listens yet
  shipper.Restart(kWindow, now_);
  EXPECT_EQ(chunks_.size(), 1u);
  chunks_.clear();
  shipper.Restart(kWindow, now_);
  AcknowledgeAll(shipper);
  EXPECT_EQ(arrived_[0], "hello");
}

TEST_F(Logs, FilesGoOnceAllHasArrived) {
  LogShipper shipper = Make();
  ASSERT_TRUE(shipper.Open(kRank0));
  EXPECT_TRUE(fs::exists(folder_ / "j-00000001.1.0.log"));
  shipper.Restart(kWindow, now_);
  shipper.Append(kRank0, "hello");
  shipper.Close(kRank0);
  EXPECT_FALSE(fs::is_empty(folder_));
  shipper.Tick(now_);
  AcknowledgeAll(shipper);
  EXPECT_TRUE(fs::is_empty(folder_));
}

TEST_F(Logs, TheEndWaitsForThemButNotForEver) {
  LogShipper shipper = Make();
  ASSERT_TRUE(shipper.Open(kRank0));
  shipper.Restart(kWindow, now_);
  int called = 0;
  shipper.WhenArrived(kRank0.job, 1, now_, 3s, [&] { ++called; });
  EXPECT_EQ(called, 1);  // nothing to wait for
  shipper.Append(kRank0, "hello");
  shipper.WhenArrived(kRank0.job, 1, now_, 3s, [&] { ++called; });
  EXPECT_EQ(called, 1);
  AcknowledgeAll(shipper);
  EXPECT_EQ(called, 2);
  shipper.Append(kRank0, "more");
  shipper.WhenArrived(kRank0.job, 1, now_, 3s, [&] { ++called; });
  now_ = now_ + Duration(3s);
  shipper.Tick(now_);
  EXPECT_EQ(called, 3);
}

TEST_F(Logs, TheNewestOutputIsKeptAndOffsetsStay) {
  connected_ = false;
  constexpr std::uint64_t kKeep = 100'000;
  LogShipper shipper = Make(kKeep);
  ASSERT_TRUE(shipper.Open(kRank0));
  const std::string text = Pattern(1'000'000);
  for (std::size_t at = 0; at < text.size(); at += 999) {
    shipper.Append(kRank0, std::string_view(text).substr(at, 999));
  }
  std::uintmax_t on_disk = 0;
  for (const auto& entry : fs::directory_iterator(folder_)) on_disk += entry.file_size();
  EXPECT_LE(on_disk, kKeep);
  connected_ = true;
  shipper.Restart(kWindow, now_);
  // A coordinator asks once for what is missing, then takes what there is.
  std::uint64_t end = 0, gap_at = 0;
  while (!chunks_.empty()) {
    const wire::LogChunk chunk = chunks_.front();
    chunks_.erase(chunks_.begin());
    const auto offset = static_cast<std::size_t>(chunk.offset());
    ASSERT_EQ(chunk.data(), text.substr(offset, chunk.data().size()));
    if (offset > end && gap_at != offset) {
      EXPECT_GE(text.size() - offset, kKeep / 2);
      gap_at = offset;
    } else {
      end = offset + chunk.data().size();
    }
    wire::LogAck ack;
    ack.set_job(kRank0.job);
    ack.set_attempt(1);
    ack.set_up_to_offset(end);
    shipper.Acknowledge(ack, now_);
  }
  EXPECT_GT(gap_at, 0u);
  EXPECT_EQ(end, text.size());
}

TEST_F(Logs, WhatAnEarlierProcessLeftIsPruned) {
  for (int i = 0; i < 4; ++i) {
    const fs::path path = folder_ / std::to_string(i);
    std::ofstream(path) << std::string(10, 'x');
    fs::last_write_time(path, fs::file_time_type::clock::now() + std::chrono::hours(i));
  }
  LogShipper::Prune(folder_, tutti::Bytes{25});
  EXPECT_FALSE(fs::exists(folder_ / "1"));
  EXPECT_TRUE(fs::exists(folder_ / "2"));
  EXPECT_TRUE(fs::exists(folder_ / "3"));
}

}  // namespace
}  // namespace tutti::agent
