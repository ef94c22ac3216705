#include "common/config/flags.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <chrono>

#include "common/file/file.h"

namespace tutti::config {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

struct Settings {
  std::filesystem::path data_dir;
  std::string http = "127.0.0.1:7717";
  std::int64_t slots = 1;
  bool detach = false;
  double rate = 0.5;
  Duration grace = std::chrono::seconds(30);
  Bytes cache{1 << 20};
  std::vector<std::string> labels = {"default"};
};

class Flags : public testing::Test {
 protected:
  Settings settings;

  Program TheProgram() {
    return {.name = "tutti-test",
            .summary = "Tests flags.",
            .version = "1.2.3",
            .options = {
                {.name = "data-dir", .target = &settings.data_dir, .help = "f", .required = true},
                {.name = "http", .target = &settings.http, .help = "address"},
                {.name = "slots", .target = &settings.slots, .help = "n", .min = 1, .max = 64},
                {.name = "detach", .target = &settings.detach, .help = "go to the background"},
                {.name = "rate", .target = &settings.rate, .help = "a rate"},
                {.name = "grace", .target = &settings.grace, .help = "time to stop"},
                {.name = "cache", .target = &settings.cache, .help = "size"},
                {.name = "label", .target = &settings.labels, .help = "a label"}}};
  }
  Result<std::optional<std::string>> Read(std::vector<std::string> arguments) {
    return Parse(TheProgram(), arguments);
  }
  Error ErrorOf(std::vector<std::string> arguments) {
    const auto result = Read(std::move(arguments));
    EXPECT_FALSE(result.has_value());
    return result ? Error{} : result.error();
  }
  std::string FileWith(std::string_view text) {
    const std::string path = testing::TempDir() + "flags-" + std::to_string(getpid()) + ".json";
    EXPECT_TRUE(WriteFileAtomically(path, text));
    return path;
  }
};

TEST_F(Flags, ReadsBothSpellingsOfEveryType) {
  const auto result =
      Read({"--data-dir", "/d", "--http=localhost:1", "--slots", "4", "--detach", "--rate=0.25",
            "--grace", "90s", "--cache=4MiB", "--label", "a=b", "--label=c"});
  ASSERT_TRUE(result) << result.error().ToString();
  EXPECT_FALSE(result->has_value());
  EXPECT_EQ(settings.data_dir, "/d");
  EXPECT_EQ(settings.http, "localhost:1");
  EXPECT_EQ(settings.slots, 4);
  EXPECT_TRUE(settings.detach);
  EXPECT_EQ(settings.rate, 0.25);
  EXPECT_EQ(settings.grace, std::chrono::seconds(90));
  EXPECT_EQ(settings.cache, Bytes{4 << 20});
  EXPECT_THAT(settings.labels, ElementsAre("a=b", "c"));
}

TEST_F(Flags, WhatIsLeftOutKeepsItsDefault) {
  ASSERT_TRUE(Read({"--data-dir=/d"}));
  EXPECT_EQ(settings.http, "127.0.0.1:7717");
  EXPECT_THAT(settings.labels, ElementsAre("default"));
}

TEST_F(Flags, UnknownOptionsSuggestTheNearest) {
  const Error error = ErrorOf({"--data-dri", "/d"});
  EXPECT_EQ(error.code, ErrorCode::kInvalid);
  EXPECT_THAT(error.message, HasSubstr("--data-dri"));
  EXPECT_THAT(error.hint, HasSubstr("--data-dir"));
  EXPECT_THAT(ErrorOf({"words"}).message, HasSubstr("words"));
}

TEST_F(Flags, BadValuesNameTheOption) {
  EXPECT_EQ(ErrorOf({"--slots", "four"}).where, "--slots");
  EXPECT_EQ(ErrorOf({"--slots", "65"}).where, "--slots");
  EXPECT_EQ(ErrorOf({"--slots=4x"}).where, "--slots");
  EXPECT_EQ(ErrorOf({"--detach=yes"}).where, "--detach");
  EXPECT_EQ(ErrorOf({"--grace=3"}).where, "--grace");
  EXPECT_EQ(ErrorOf({"--cache=big"}).where, "--cache");
  EXPECT_EQ(ErrorOf({"--rate=fast"}).where, "--rate");
  EXPECT_EQ(ErrorOf({"--data-dir="}).where, "--data-dir");
}

TEST_F(Flags, MissingValuesRepetitionsAndMissingOptionsAreErrors) {
  EXPECT_EQ(ErrorOf({"--http"}).message, "needs a value");
  EXPECT_EQ(ErrorOf({"--http=a", "--http=b"}).message, "is given twice");
  EXPECT_EQ(ErrorOf({"--http=a"}).where, "--data-dir");
}

TEST_F(Flags, TheFileSetsAndTheCommandLineWins) {
  const std::string path = FileWith(
      R"({"data-dir": "/file", "slots": 8, "detach": true, "label": ["x", "y"], "grace": "1m"})");
  ASSERT_TRUE(Read({"--slots=2", "--config", path}));
  EXPECT_EQ(settings.data_dir, "/file");
  EXPECT_EQ(settings.slots, 2);
  EXPECT_TRUE(settings.detach);
  EXPECT_EQ(settings.grace, std::chrono::minutes(1));
  EXPECT_THAT(settings.labels, ElementsAre("x", "y"));
}

TEST_F(Flags, TheFilesErrorsNameFileAndKey) {
  const std::string path = FileWith(R"({"slots": "many"})");
  EXPECT_EQ(ErrorOf({"--config", path}).where, path + ": slots");
  FileWith(R"({"solts": 2})");
  EXPECT_THAT(ErrorOf({"--config", path}).hint, HasSubstr("--slots"));
  FileWith("[1]");
  EXPECT_THAT(ErrorOf({"--config", path}).message, HasSubstr("object"));
  FileWith("{");
  EXPECT_THAT(ErrorOf({"--config", path}).message, HasSubstr("JSON"));
  EXPECT_EQ(ErrorOf({"--config", "/nowhere/x.json"}).code, ErrorCode::kNotFound);
}

TEST_F(Flags, HelpVersionAndConfigArePrinted) {
  EXPECT_THAT(Read({"--help"})->value(), HasSubstr("--data-dir PATH"));
  EXPECT_EQ(Read({"--version"})->value(), "tutti-test 1.2.3\n");
  const std::string printed = Read({"--slots=3", "--print-config"})->value();
  EXPECT_THAT(printed, HasSubstr("\"slots\": 3"));
  // What it prints is a file it reads.
  settings.slots = 1;
  ASSERT_TRUE(Read({"--config", FileWith(printed), "--data-dir=/d"}));
  EXPECT_EQ(settings.slots, 3);
}

TEST(HostPortText, TakesNamesNumbersAndBrackets) {
  EXPECT_EQ(ParseHostPort("127.0.0.1:7717", "--http").value(), (HostPort{"127.0.0.1", 7717}));
  EXPECT_EQ(ParseHostPort("[::1]:0", "--http").value(), (HostPort{"::1", 0}));
  for (const char* bad : {"7717", ":1", "a:", "a:70000", "::1:4", "a:1x", "[]:1"}) {
    EXPECT_EQ(ParseHostPort(bad, "--http").error().where, "--http") << bad;
  }
}

}  // namespace
}  // namespace tutti::config
