#include "monitoring/tensorboard/event_files.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <fstream>

#include "common/file/file.h"
#include "monitoring/tensorboard/record.h"

namespace tutti::tensorboard {
namespace {

namespace fs = std::filesystem;
using testing::ElementsAre;

class EventFilesTest : public testing::Test {
 protected:
  void SetUp() override {
    fs::remove_all(directory);
    Reopen();
  }
  void TearDown() override {
    files.reset();
    fs::remove_all(directory);
  }
  // As a coordinator that starts again.
  void Reopen() {
    files.reset();
    files = std::make_unique<EventFiles>(EventFiles::Options{.directory = directory});
    files->Begin({.name = "run.j-1", .started = WallTime{1'700'000'000'000}, .markdown = "# spec"});
  }
  void Train(std::int64_t step) {
    files->Add("run.j-1", {.at = WallTime{step}, .step = step, .values = {{"train/loss", 1}}});
  }
  void Eval(std::int64_t step) {
    files->Add("run.j-1", {.at = WallTime{step}, .step = step, .values = {{"eval/loss", 1}}});
  }
  // "train/loss@3", in the file's order. The whole file has to be sound.
  std::vector<std::string> Told() {
    files->Flush();
    const std::string bytes = ReadFile(file).value_or("(no file)");
    RecordReader reader(bytes);
    std::vector<std::string> told;
    for (std::string_view record; reader.Next(record);) {
      const auto summary = SummaryOf(record);
      if (summary && summary->step > 0) {
        told.push_back(summary->tag + "@" + std::to_string(summary->step));
      }
    }
    EXPECT_EQ(reader.position(), bytes.size());
    return told;
  }

  fs::path directory = fs::path(testing::TempDir()) / ("events-" + std::to_string(::getpid()));
  fs::path file = directory / "run.j-1/events.out.tfevents.1700000000.tutti";
  std::unique_ptr<EventFiles> files;
};

TEST_F(EventFilesTest, ARunHasNoFileBeforeItsFirstStep) {
  files->Flush();
  EXPECT_FALSE(fs::exists(file));
  Train(1);
  EXPECT_THAT(Told(), ElementsAre("train/loss@1"));
}

TEST_F(EventFilesTest, StepsThatAreDoneAgainAreNotToldAgain) {
  for (const int step : {10, 20, 30}) Train(step);
  Eval(20);
  for (const int step : {20, 30, 40}) Train(step);  // from the checkpoint of step 10
  Eval(20);
  Eval(40);
  EXPECT_THAT(Told(), ElementsAre("train/loss@10", "train/loss@20", "train/loss@30", "eval/loss@20",
                                  "train/loss@40", "eval/loss@40"));
}

TEST_F(EventFilesTest, ANewWriterGoesOnWhereTheLastOneStopped) {
  for (const int step : {10, 20, 30}) Train(step);
  Eval(30);
  Reopen();
  for (const int step : {30, 40}) Train(step);
  Eval(30);
  EXPECT_THAT(Told(), ElementsAre("train/loss@10", "train/loss@20", "train/loss@30", "eval/loss@30",
                                  "train/loss@40"));
}

TEST_F(EventFilesTest, AnUnfinishedEndIsCutOff) {
  for (const int step : {10, 20}) Train(step);
  files->Flush();
  fs::resize_file(file, fs::file_size(file) - 5);
  Reopen();
  for (const int step : {20, 30}) Train(step);
  EXPECT_THAT(Told(), ElementsAre("train/loss@10", "train/loss@20", "train/loss@30"));
}

TEST_F(EventFilesTest, WhatCannotBeWrittenStopsNothing) {
  std::ofstream(directory.string()) << "a file where the folder should be";
  Train(1);
  files->Flush();
  fs::remove(directory);
  Train(2);
  EXPECT_THAT(Told(), ElementsAre("train/loss@2"));
}

TEST_F(EventFilesTest, RunsOfAJobGo) {
  files->Begin({.name = "other.j-2", .started = {}, .markdown = ""});
  files->Add("other.j-2", {.at = {}, .step = 1, .values = {{"train/loss", 1}}});
  Train(1);
  files->Flush();
  EXPECT_TRUE(fs::exists(directory / "other.j-2"));
  files->Remove(".j-2");
  files->Flush();
  EXPECT_FALSE(fs::exists(directory / "other.j-2"));
  EXPECT_TRUE(fs::exists(file));
}

}  // namespace
}  // namespace tutti::tensorboard
