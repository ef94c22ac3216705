#include "jobs/cli/table.h"

#include <gmock/gmock.h>

#include <sstream>

#include "jobs/cli/text.h"

namespace tutti::cli {
namespace {

std::vector<std::string> Lines(const std::string& text) {
  std::vector<std::string> lines;
  std::istringstream in(text);
  for (std::string line; std::getline(in, line);) lines.push_back(line);
  return lines;
}

const std::vector<Column> kColumns = {
    {"JOB"}, {"NAME", false, 6}, {"STEP", true, 0, 2}, {"QUEUE", false, 0, 1}};
const std::vector<Row> kRows = {{{"j-1"}, {"a-rather-long-name"}, {"10"}, {"default"}},
                                {{"j-22"}, {"short"}, {"1000"}, {"default"}}};

TEST(Table, AlignsColumns) {
  EXPECT_EQ(RenderTable(kColumns, kRows, 0, false),
            "JOB   NAME                STEP  QUEUE\n"
            "j-1   a-rather-long-name    10  default\n"
            "j-22  short               1000  default\n");
}

TEST(Table, NeverIsWiderThanTheTerminal) {
  for (int width = 12; width < 60; ++width) {
    for (const std::string& line : Lines(RenderTable(kColumns, kRows, width, false))) {
      EXPECT_LE(DisplayWidth(line), width) << line;
    }
  }
}

TEST(Table, CutsTheFlexibleColumnFirst) {
  const std::string text = RenderTable(kColumns, kRows, 30, false);
  EXPECT_THAT(text, testing::HasSubstr("QUEUE"));
  EXPECT_THAT(text, testing::HasSubstr("a-rath"));
  EXPECT_THAT(text, testing::HasSubstr("…"));
}

TEST(Table, ThenDropsTheLeastImportant) {
  const std::string text = RenderTable(kColumns, kRows, 20, false);
  EXPECT_THAT(text, testing::Not(testing::HasSubstr("QUEUE")));
  EXPECT_THAT(text, testing::HasSubstr("STEP"));
  EXPECT_THAT(text, testing::HasSubstr("j-22"));
}

TEST(Table, ColourDoesNotCountAsWidth) {
  const std::vector<Row> rows = {{{"j-1"}, Cell("ab", Paint::kRed), {"1"}, {"q"}}};
  EXPECT_THAT(RenderTable(kColumns, rows, 0, true),
              testing::HasSubstr("\x1b[31mab\x1b[0m       1"));
}

TEST(Fields, AlignValuesAndLeaveOutEmptyOnes) {
  EXPECT_EQ(RenderFields({{"a", "1"}, {"none", ""}, {"long", "2"}}, false), "a     1\nlong  2\n");
}

}  // namespace
}  // namespace tutti::cli
