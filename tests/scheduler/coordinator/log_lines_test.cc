#include "scheduler/coordinator/log_lines.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <fstream>

#include "common/file/file.h"

namespace tutti::coordinator {
namespace {

namespace fs = std::filesystem;
using testing::ElementsAre;

class LogLinesTest : public testing::Test {
 protected:
  void SetUp() override {
    fs::remove_all(folder);
    fs::create_directories(folder);
  }
  void TearDown() override { fs::remove_all(folder); }

  void Write(std::uint32_t rank, const std::string& text, std::vector<LogMark> marks = {}) {
    std::ofstream(folder / LogFileName(Attempt{2}, rank), std::ios::binary) << text;
    if (marks.empty()) return;
    std::ofstream(folder / MarksFileName(Attempt{2}, rank), std::ios::binary)
        .write(reinterpret_cast<const char*>(marks.data()),
               static_cast<std::streamsize>(marks.size() * sizeof(LogMark)));
  }
  LineRequest Request() const {
    return {.folder = folder, .attempt = Attempt{2}, .complete = true};
  }
  static LinePage Read(const LineRequest& request) {
    auto page = ReadLines(request);
    EXPECT_TRUE(page) << page.error().ToString();
    return page ? std::move(*page) : LinePage();
  }
  // "rank:number text" of each line.
  static std::vector<std::string> Said(const LinePage& page) {
    std::vector<std::string> said;
    for (const LogLine& line : page.lines) {
      said.push_back(std::to_string(line.rank) + ":" + std::to_string(line.number) + " " +
                     line.text);
    }
    return said;
  }

  fs::path folder = fs::path(testing::TempDir()) / ("log-lines-" + std::to_string(::getpid()));
};

TEST_F(LogLinesTest, LinesOfOneRankAreNumbered) {
  Write(0, "a\nb\r\n\nlast");
  EXPECT_THAT(Said(Read(Request())), ElementsAre("0:1 a", "0:2 b", "0:3 ", "0:4 last"));
}

TEST_F(LogLinesTest, ALineThatIsStillBeingWrittenWaitsForItsEnd) {
  Write(0, "a\nhal");
  LineRequest request = Request();
  request.complete = false;
  LinePage page = Read(request);
  EXPECT_THAT(Said(page), ElementsAre("0:1 a"));
  Write(0, "a\nhalf\n");
  request.after = page.next;
  EXPECT_THAT(Said(Read(request)), ElementsAre("0:2 half"));
}

TEST_F(LogLinesTest, RanksAreInTheOrderOfTime) {
  Write(0, "one\ntwo\nfive\n", {{0, 100}, {8, 500}});
  Write(1, "three\nfour\n", {{0, 300}});
  EXPECT_THAT(Said(Read(Request())),
              ElementsAre("0:1 one", "0:2 two", "1:1 three", "1:2 four", "0:3 five"));
  LineRequest request = Request();
  request.rank = 1;
  EXPECT_THAT(Said(Read(request)), ElementsAre("1:1 three", "1:2 four"));
  EXPECT_EQ(Read(request).lines[0].unix_ms, 300);
}

TEST_F(LogLinesTest, SearchKeepsTheNumbersOfLines) {
  Write(0, "loss 1\nx\nloss 2\n");
  Write(1, "loss 3\n");
  LineRequest request = Request();
  request.text = "loss";
  EXPECT_THAT(Said(Read(request)), ElementsAre("0:1 loss 1", "0:3 loss 2", "1:1 loss 3"));
  request.text = "lo.s";
  EXPECT_TRUE(Read(request).lines.empty()) << "it is text, no pattern";
}

TEST_F(LogLinesTest, PagesGoOnWhereTheLastEnded) {
  Write(0, "a\nb\nc\nd\n", {{0, 10}, {2, 30}, {4, 50}, {6, 70}});
  Write(1, "A\nB\n", {{0, 20}, {2, 40}});
  LineRequest request = Request();
  request.limit = 2;
  std::vector<std::string> all;
  bool more = true;
  for (int pages = 0; more; ++pages) {
    ASSERT_LT(pages, 5);
    const LinePage page = Read(request);
    EXPECT_LE(page.lines.size(), 2U);
    for (const std::string& line : Said(page)) all.push_back(line);
    const auto cursor = ParseLineCursor(ToText(page.next));
    ASSERT_TRUE(cursor);
    EXPECT_EQ(*cursor, page.next);
    request.after = *cursor;
    more = page.more;
  }
  EXPECT_THAT(all, ElementsAre("0:1 a", "1:1 A", "0:2 b", "1:2 B", "0:3 c", "0:4 d"));
}

TEST_F(LogLinesTest, TheLastLinesOfAllRanksTogether) {
  Write(0, "a\nb\nc\n", {{0, 10}, {2, 30}, {4, 50}});
  Write(1, "A\nB\n", {{0, 20}, {2, 40}});
  LineRequest request = Request();
  request.tail = 3;
  EXPECT_THAT(Said(Read(request)), ElementsAre("0:2 b", "1:2 B", "0:3 c"));
  request.tail = 100;
  EXPECT_EQ(Read(request).lines.size(), 5U);
  request.tail = 0;
  EXPECT_TRUE(Read(request).lines.empty());
  request.tail = 1;
  request.text = "A";
  EXPECT_THAT(Said(Read(request)), ElementsAre("1:1 A"));
}

TEST_F(LogLinesTest, SinceATimeFromTheLineThatWasBeingWritten) {
  // "three" was half there at 300.
  Write(0, "one\ntwo\nthree\nfour\n", {{0, 100}, {10, 300}});
  LineRequest request = Request();
  request.since_unix_ms = 300;
  EXPECT_THAT(Said(Read(request)), ElementsAre("0:3 three", "0:4 four"));
  request.since_unix_ms = 301;
  EXPECT_TRUE(Read(request).lines.empty());
  request.since_unix_ms = 0;
  EXPECT_EQ(Read(request).lines.size(), 4U);
}

TEST_F(LogLinesTest, LongLinesAreCutAndHolesLeftOut) {
  Write(0, std::string(1'000'000, 'x') + "\n" + std::string(5000, '\0') + "after\n");
  const LinePage page = Read(Request());
  ASSERT_EQ(page.lines.size(), 2U);
  EXPECT_EQ(page.lines[0].text.size(), kLineMax);
  EXPECT_TRUE(page.lines[0].cut);
  EXPECT_EQ(page.lines[1].text, "after");
}

TEST_F(LogLinesTest, OnePageIsBoundedInBytes) {
  std::string text;
  for (int i = 0; i < 200; ++i) text += std::string(60'000, 'x') + "\n";
  Write(0, text);
  LineRequest request = Request();
  LinePage page = Read(request);
  EXPECT_TRUE(page.more);
  EXPECT_LE(page.lines.size(), kPageBytes / 60'000 + 2);
  request.after = page.next;
  EXPECT_EQ(Read(request).lines[0].number, page.lines.back().number + 1);
  request = Request();
  request.tail = 200;
  EXPECT_LE(Read(request).lines.size(), kPageBytes / 60'000 + 1);
}

TEST_F(LogLinesTest, OtherAttemptsAndStrangeFilesAreNotRead) {
  Write(0, "mine\n");
  std::ofstream(folder / "1.0.log") << "older\n";
  std::ofstream(folder / "2.x.log") << "strange\n";
  std::ofstream(folder / MarksFileName(Attempt{2}, 0)) << "damaged";
  EXPECT_THAT(Said(Read(Request())), ElementsAre("0:1 mine"));
  LineRequest request = Request();
  request.rank = 7;
  EXPECT_TRUE(Read(request).lines.empty());
}

TEST(LineCursor, RefusesWhatIsNone) {
  for (const char* bad :
       {"x", "0", "0:1", "0:1:", "0:1:2,", "0:1:2;", "0:99999999999999999999:1"}) {
    EXPECT_FALSE(ParseLineCursor(bad)) << bad;
  }
  EXPECT_TRUE(ParseLineCursor("")->empty());
}

}  // namespace
}  // namespace tutti::coordinator
