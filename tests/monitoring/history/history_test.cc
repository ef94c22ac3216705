#include "monitoring/history/history.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <atomic>
#include <fstream>

namespace tutti::history {
namespace {

namespace fs = std::filesystem;
using namespace std::chrono_literals;

constexpr std::int64_t kHour = 3600 * 1000;
constexpr std::int64_t kDay = 24 * kHour;

class HistoryTest : public testing::Test {
 protected:
  void SetUp() override {
    fs::remove_all(directory);
    fs::create_directories(directory);
    Open();
  }
  void TearDown() override {
    history.reset();
    fs::remove_all(directory);
  }
  // The timer never comes: tests say when.
  void Open(Limits limits = {}) {
    history.reset();
    limits.write_every = 1h;
    history = History::Open(
        {.path = path, .limits = limits, .now = [this] { return WallTime{now_ms.load()}; }});
  }
  void Add(std::int64_t step, double loss, const std::string& subject = "j-1") {
    history->Add({.subject = subject,
                  .at = {now_ms.load()},
                  .step = step,
                  .values = {{"loss", loss}, {"learning_rate", 0.5}}});
  }
  std::vector<Series> Read(Request request = {.subject = "j-1"}) {
    history->Flush();
    auto series = history->Read(request);
    EXPECT_TRUE(series) << series.error().ToString();
    return series ? std::move(*series) : std::vector<Series>();
  }
  std::vector<Point> Loss(std::size_t points = 100'000) {
    auto series = Read({.subject = "j-1", .names = {"loss"}, .points = points});
    return series.empty() ? std::vector<Point>() : std::move(series[0].points);
  }

  fs::path directory = fs::path(testing::TempDir()) / ("history-" + std::to_string(::getpid()));
  fs::path path = directory / "history.db";
  std::atomic<std::int64_t> now_ms = 1'700'000'000'000;
  std::unique_ptr<History> history;
};

TEST_F(HistoryTest, CurvesOutliveARestart) {
  Add(1, 3.0);
  Add(2, 2.0);
  history->Remember("j-1", "{\"step\":2}");
  Open();
  const auto series = Read();
  ASSERT_EQ(series.size(), 2U);
  EXPECT_EQ(series[0].name, "learning_rate");
  EXPECT_EQ(series[1].name, "loss");
  ASSERT_EQ(series[1].points.size(), 2U);
  EXPECT_EQ(series[1].points[1].step, 2);
  EXPECT_EQ(series[1].points[1].last, 2.0);
  EXPECT_EQ(series[1].points[1].at.unix_ms, now_ms);
  EXPECT_EQ(*history->Remembered(), (std::map<std::string, std::string>{{"j-1", "{\"step\":2}"}}));
  Add(3, 1.0);
  EXPECT_EQ(Loss().size(), 3U) << "after a restart it goes on behind what is there";
}

TEST_F(HistoryTest, NotesOutliveARestartTheNewestOfAStepAndTheNewestSteps) {
  Open({.notes_per_subject = 3});
  for (const std::int64_t step : {4, 1, 2, 3, 3}) {
    now_ms += 1000;
    history->AddNote("j-1", {step, {now_ms.load()}, "note at " + std::to_string(now_ms)});
  }
  const std::string newest = "note at " + std::to_string(now_ms);
  history->AddNote("j-2", {1, {now_ms.load()}, "another's"});
  Open();
  const auto notes = history->Notes("j-1", 10);
  ASSERT_TRUE(notes) << notes.error().ToString();
  ASSERT_EQ(notes->size(), 3U);
  EXPECT_EQ((*notes)[0].step, 2);
  EXPECT_EQ((*notes)[1], (Note{3, {now_ms.load()}, newest}));
  EXPECT_EQ((*notes)[2].step, 4);
  EXPECT_EQ(history->Notes("j-1", 1)->at(0).step, 4);
  history->AddNote("j-1", {5, {now_ms.load()}, "waits"});
  history->Forget("j-1");
  history->Flush();
  EXPECT_EQ(history->Notes("j-1", 10)->size(), 0U);
  EXPECT_EQ(history->Notes("j-2", 10)->size(), 1U);
}

TEST_F(HistoryTest, NotesThatAreOldOrTooManyBytesGo) {
  Open({.note_bytes_max = 250, .note_bytes_waiting_max = 1000});
  const auto add = [this](std::int64_t step) {
    history->AddNote("j-1", {step, {now_ms.load()}, std::string(100, 'x')});
    history->Flush();
  };
  const auto steps = [this] {
    std::vector<std::int64_t> all;
    const auto notes = history->Notes("j-1", 10);
    for (const Note& note : *notes) all.push_back(note.step);
    return all;
  };
  for (std::int64_t step = 1; step <= 3; ++step) {
    now_ms += 1000;
    add(step);
  }
  history->Tidy();
  EXPECT_EQ(steps(), (std::vector<std::int64_t>{2, 3}));
  now_ms += 31 * kDay;
  add(4);
  history->Tidy();
  EXPECT_EQ(steps(), std::vector<std::int64_t>{4});
  history->AddNote("j-1", {5, {now_ms.load()}, std::string(1001, 'x')});
  history->Flush();
  EXPECT_EQ(steps(), std::vector<std::int64_t>{4});
}

TEST_F(HistoryTest, ReadsByNameStepAndTime) {
  for (int step = 1; step <= 10; ++step) {
    Add(step, step);
    now_ms += 1000;
  }
  EXPECT_EQ(Read({.subject = "j-1", .names = {"loss"}, .from_step = 8})[0].points.size(), 3U);
  EXPECT_EQ(Read({.subject = "j-1", .from = WallTime{now_ms - 2000}})[0].points.size(), 2U);
  EXPECT_EQ(Read({.subject = "j-1", .to = WallTime{now_ms - 9000}})[0].points.size(), 2U);
  EXPECT_EQ(Read({.subject = "j-1", .points = 4})[0].points.size(), 4U);
  EXPECT_TRUE(Read({.subject = "j-1", .names = {"no such"}}).empty());
  EXPECT_TRUE(Read({.subject = "j-2"}).empty());
}

TEST_F(HistoryTest, NotANumberIsLeftOut) {
  history->Add({.subject = "j-1", .at = {1}, .values = {{"loss", std::nan("")}, {"norm", 1.0}}});
  const auto series = Read();
  ASSERT_EQ(series.size(), 1U);
  EXPECT_EQ(series[0].name, "norm");
}

TEST_F(HistoryTest, OldPointsAreMergedAndKeepSmallestLargestAndLast) {
  const Limits limits{.points_per_series = 50, .points_a_second = 1000};
  Open(limits);
  for (int step = 1; step <= 400; ++step) {
    Add(step, step == 7 ? 100 : step == 9 ? -100 : 1);
    now_ms += 1000;
  }
  history->Flush();
  history->Tidy();
  EXPECT_EQ(Loss().size(), 400U) << "the newest hours are whole";

  now_ms += 7 * kHour;
  Add(401, 5);
  history->Flush();
  history->Tidy();
  const std::vector<Point> points = Loss();
  EXPECT_LE(points.size(), 52U);
  EXPECT_GE(points.size(), 20U);
  EXPECT_EQ(std::ranges::max(points, {}, &Point::max).max, 100);
  EXPECT_EQ(std::ranges::min(points, {}, &Point::min).min, -100);
  EXPECT_EQ(points.back().last, 5);
  EXPECT_EQ(points[points.size() - 2].step, 400);
  history->Tidy();
  EXPECT_EQ(Loss(), points) << "what was merged stays whole";
}

TEST_F(HistoryTest, AnHourOfManyPointsIsBounded) {
  Open({.points_per_series = 20, .points_a_second = 1000});
  for (int step = 1; step <= 1000; ++step) {
    Add(step, step);
    now_ms += 100;
  }
  history->Flush();
  history->Tidy();
  EXPECT_LE(Loss().size(), 101U);
  EXPECT_EQ(Loss().back().last, 1000);
}

TEST_F(HistoryTest, WhatComesTooFastIsMergedBeforeItIsWritten) {
  Open({.points_a_second = 1});  // the timer is an hour: 3600 points a write
  for (int step = 1; step <= 10'000; ++step) Add(step, step);
  EXPECT_EQ(Loss().size(), 3600U);
  EXPECT_EQ(Loss().back().step, 10'000);
}

TEST_F(HistoryTest, NothingIsKeptLongerThanThirtyDays) {
  Add(1, 1);
  history->Remember("j-1", "old");
  history->Flush();
  now_ms += 20 * kDay;
  Add(2, 2);
  history->Flush();
  now_ms += 9 * kDay;
  history->Tidy();
  EXPECT_EQ(Loss().size(), 2U);
  now_ms += 2 * kDay;
  history->Tidy();
  EXPECT_EQ(Loss().size(), 1U);
  EXPECT_TRUE(history->Remembered()->empty());
  now_ms += 30 * kDay;
  history->Tidy();
  EXPECT_TRUE(Loss().empty());
}

TEST_F(HistoryTest, BeyondTheBoundTheSeriesSilentForLongestGo) {
  Open({.points_a_second = 1000, .points_max = 300});
  for (int step = 1; step <= 100; ++step) Add(step, 1, "j-1");
  now_ms += 1000;
  for (int step = 1; step <= 100; ++step) Add(step, 1, "j-2");
  history->Flush();
  history->Tidy();
  EXPECT_EQ(Read({.subject = "j-2"}).size(), 2U);
  EXPECT_LE(Read({.subject = "j-1"}).size(), 1U);
}

TEST_F(HistoryTest, WhatWaitsIsBounded) {
  Open({.values_waiting_max = 10});
  for (int step = 1; step <= 100; ++step) Add(step, step);
  EXPECT_EQ(Loss().size(), 5U);
}

TEST_F(HistoryTest, AForgottenSubjectIsGone) {
  Add(1, 1);
  history->Remember("j-1", "text");
  history->Flush();
  Add(2, 2);
  history->Forget("j-1");
  EXPECT_TRUE(Read().empty());
  EXPECT_TRUE(history->Remembered()->empty());
  Add(3, 3);
  EXPECT_EQ(Loss().size(), 1U);
}

TEST_F(HistoryTest, ADamagedFileIsMovedAsideAndBegunAnew) {
  Add(1, 1);
  history.reset();
  std::ofstream(path, std::ios::binary | std::ios::trunc) << std::string(100'000, 'x');
  Open();
  EXPECT_TRUE(fs::exists(directory / "history.db.damaged"));
  EXPECT_TRUE(Read().empty());
  Add(2, 2);
  EXPECT_EQ(Loss().size(), 1U);
}

TEST_F(HistoryTest, DamageFoundWhileItRunsIsMovedAsideToo) {
  Open({.points_a_second = 1000});
  for (int step = 1; step <= 5000; ++step) Add(step, step);
  history.reset();  // all of it is in the file now
  {
    std::fstream file(path, std::ios::binary | std::ios::in | std::ios::out);
    file.seekp(2 * 4096);
    file << std::string(static_cast<std::size_t>(fs::file_size(path)) - 2 * 4096, 'x');
  }
  Open();
  EXPECT_FALSE(history->Read({.subject = "j-1"}));
  EXPECT_TRUE(fs::exists(directory / "history.db.damaged"));
  Add(1, 1);
  EXPECT_EQ(Loss().size(), 1U);
}

TEST_F(HistoryTest, AFolderThatCannotBeWrittenStopsNothing) {
  path = directory / "missing" / "history.db";
  Open();
  Add(1, 1);
  history->Flush();
  EXPECT_EQ(history->Read({.subject = "j-1"}).error().code, ErrorCode::kUnavailable);
  fs::create_directories(directory / "missing");
  Add(2, 2);
  EXPECT_EQ(Loss().size(), 1U) << "it is opened once it can be";
}

}  // namespace
}  // namespace tutti::history
