#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/resource.h>

#include <random>
#include <string>

#include "tests/worker/data/files.h"
#include "worker/data/byte_source.h"
#include "worker/data/rows.h"

namespace tutti::data {
namespace {

using testing::HasSubstr;

class Hostile : public DataTest {
 protected:
  // Bytes given to rows before the error.
  std::string Problem(const std::string& name, std::string_view content) {
    RowsRequest request{.path = Put(name, content), .shown_name = name};
    request.kind = FileKindOf(request.path, "").value();
    taken_ = 0;
    const Status status = ReadRows(request, [&](const Row& row) -> Status {
      taken_ += row.text.size() + row.label->text.size();
      return {};
    });
    return status ? "" : status.error().ToString();
  }
  std::size_t taken_ = 0;
};

// `text` over and over to `bytes`, as a gzip file that is made in pieces.
std::string Bomb(std::string_view text, std::size_t bytes) {
  std::string piece;
  while (piece.size() < (std::size_t{4} << 20)) piece += text;
  const std::string member = Gzip(piece);
  std::string bomb;
  for (std::size_t at = 0; at < bytes; at += piece.size()) bomb += member;
  return bomb;
}

// Under ASan what is freed stays for a while.
#ifdef __SANITIZE_ADDRESS__
constexpr long kGrowthKib = 512 << 10;
#else
constexpr long kGrowthKib = 64 << 10;
#endif

TEST_F(Hostile, GzipBombsAreRefusedEarlyInBoundedMemory) {
  constexpr std::size_t kTwoGigabytes = std::size_t{2} << 30;
  rusage before{};
  getrusage(RUSAGE_SELF, &before);
  for (const char* text : {"\n", " ", "[", "{\"text\": \"a\", \"label\": \"b\"}\n"}) {
    EXPECT_THAT(Problem("a.jsonl.gz", Bomb(text, kTwoGigabytes)),
                HasSubstr("expands to more than 200 times its size"));
    EXPECT_LT(taken_, std::size_t{8} << 20);
  }
  EXPECT_THAT(Problem("a.csv.gz", Bomb(",", kTwoGigabytes)), HasSubstr("more than 4,096 fields"));
  EXPECT_THAT(Problem("a.csv.gz", Bomb("a", kTwoGigabytes)), HasSubstr("expands"));
  rusage after{};
  getrusage(RUSAGE_SELF, &after);
  EXPECT_LT(after.ru_maxrss - before.ru_maxrss, kGrowthKib);
}

TEST_F(Hostile, RowsHaveABound) {
  const std::string fits(kRowBytesMax - 40, 'a');
  EXPECT_EQ(Problem("a.jsonl", R"({"text": ")" + fits + R"(", "label": "b"})"), "");
  EXPECT_THAT(Problem("a.jsonl", R"({"text": ")" + fits + fits + R"(", "label": "b"})"),
              HasSubstr("a.jsonl:1: a row above 1048576 bytes"));
  EXPECT_EQ(Problem("a.csv", "text,label\n\"" + fits + "\",b\n"), "");
  EXPECT_THAT(Problem("a.csv", "text,label\na,b\n\"" + fits + fits + "\",b\n"),
              HasSubstr("a.csv:3: a row above 1048576 bytes"));
  EXPECT_THAT(Problem("a.csv", "text,label\na,b\nc,\"d\n" + fits + fits),
              HasSubstr("a.csv:3: a row above 1048576 bytes (is a quote left open there?)"));
  EXPECT_THAT(Problem("a.csv", "text,label\na,b\nc,\"d\n"), HasSubstr("never closed"));
}

TEST_F(Hostile, DeepJsonIsReadWithoutRecursion) {
  const std::string deep(500'000, '[');
  const std::string closed = deep + std::string(500'000, ']');
  EXPECT_EQ(Problem("a.jsonl", R"({"text": "a", "label": "b", "x": )" + closed + "}"), "");
  EXPECT_THAT(Problem("a.jsonl", R"({"text": "a", "label": "b", "x": )" + deep + "}"),
              HasSubstr("not JSON"));
  std::string objects;
  for (int i = 0; i < 100'000; ++i) objects += "{\"a\":";
  EXPECT_THAT(Problem("a.jsonl", objects), HasSubstr("not JSON"));
  std::string keys = "{\"k\": 1";
  for (int i = 0; i < 50'000; ++i) keys += ",\"k" + std::to_string(i) + "\": 1";
  EXPECT_THAT(Problem("a.jsonl", keys + "}"), HasSubstr("no column 'text'"));
}

TEST_F(Hostile, PrettyJsonIsExplained) {
  EXPECT_THAT(Problem("a.json", "[\n  {\"text\": \"a\", \"label\": \"b\"}\n]\n"),
              HasSubstr("a.json:1: a JSON array, not one JSON object a line (write each object"));
}

// Whatever bytes come, the answer is rows or an error.
TEST_F(Hostile, RandomChangesNeverCrash) {
  const std::pair<const char*, std::string> seeds[] = {
      {"a.jsonl",
       "{\"text\": \"one \\u00e4\", \"label\": \"x\"}\n{\"text\": \"b\", \"label\": 1}\n"},
      {"a.csv", "text,label\n\"a \"\"b\"\" c\nd\",x\r\ne,f\n"},
      {"a.tsv", "text\tlabel\n\"a\tb\"\t1\n"},
      {"a.csv.gz", Gzip("text,label\n\"a \"\"b\"\" c\nd\",x\r\ne,f\n")},
  };
  std::mt19937 random(7);
  int errors = 0;
  for (const auto& [name, seed] : seeds) {
    for (int round = 0; round < 150; ++round) {
      std::string text = seed;
      for (unsigned change = 0; change <= random() % 4; ++change) {
        const std::size_t at = random() % text.size();
        switch (random() % 3) {
          case 0:
            text[at] = static_cast<char>(random());
            break;
          case 1:
            text.erase(at, random() % 4);
            break;
          default:
            text.insert(at, 1, "\"\n\r,\t{}[]\\:"[random() % 11]);
        }
        if (text.empty()) text = "x";
      }
      errors += Problem(name, text).empty() ? 0 : 1;
    }
  }
  EXPECT_GT(errors, 100);  // and not all: good rows are among them
  EXPECT_LT(errors, 600);
}

}  // namespace
}  // namespace tutti::data
