#include "worker/data/rows.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "tests/worker/data/files.h"

namespace tutti::data {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::Not;
using testing::StartsWith;

class Rows : public DataTest {
 protected:
  // "line text|label" of each row; the error, if any, in error_.
  std::vector<std::string> Read(const std::string& name, std::string_view text) {
    RowsRequest request{.path = Put(name, text), .shown_name = name};
    request.kind = FileKindOf(request.path, "").value();
    request.columns = columns_;
    request.require_labels = require_labels_;
    std::vector<std::string> rows;
    const Status status = ReadRows(request, [&](const Row& row) -> Status {
      rows.push_back(std::to_string(row.line) + " " + row.text);
      if (row.label) rows.back() += (row.label->integer ? "#" : "|") + row.label->text;
      return {};
    });
    error_ = status ? Error{} : status.error();
    return rows;
  }
  std::string Problem(const std::string& name, std::string_view text) {
    Read(name, text);
    return error_.ToString();
  }

  Columns columns_;
  bool require_labels_ = true;
  Error error_;
};

TEST_F(Rows, JsonLines) {
  EXPECT_THAT(Read("a.jsonl",
                   "{\"text\": \"one\", \"label\": \"x\"}\n"
                   "\n  \t\r\n"
                   "{\"id\": [1, {\"text\": 2}], \"label\": \"y\", \"text\": \"\"}\r\n"
                   "{\"text\":\"\\u00e4\\n\\u0000\",\"label\":\"x\"}"),
              ElementsAre("1 one|x", "4 |y", std::string("5 ä\n\0|x", 8)));
  EXPECT_EQ(error_.message, "");
  EXPECT_THAT(Read("a.json", "{\"text\": \"a\", \"label\": 0}\n{\"text\": \"b\", \"label\": 12}"),
              ElementsAre("1 a#0", "2 b#12"));
}

TEST_F(Rows, SeparatedFieldsWithQuotes) {
  EXPECT_THAT(Read("a.csv",
                   "id,label,text\n"
                   "1,x,plain\n"
                   "2,\"y\",\"with, comma and \"\"quotes\"\"\"\n"
                   "\r\n"
                   "3,x,\"two\nlines\"\r\n"
                   "4,z,a \"quote\" inside\n"
                   "5,z,\"ends with return\r\"\r\n"
                   "6,z,"),
              ElementsAre("2 plain|x", "3 with, comma and \"quotes\"|y", "5 two\nlines|x",
                          "7 a \"quote\" inside|z", "8 ends with return\r|z", "9 |z"));
  EXPECT_EQ(error_.message, "");
  EXPECT_THAT(Read("a.tsv", "text\tlabel\na, b\t3\n\"tab\there\"\t-0\n"),
              ElementsAre("2 a, b#3", "3 tab\there#-0"));
  EXPECT_EQ(error_.message, "");
}

TEST_F(Rows, GzipInOneMemberOrSeveral) {
  const std::string a = "{\"text\": \"one\", \"label\": \"x\"}\n";
  const std::string b = "{\"text\": \"two\", \"label\": \"y\"}\n";
  EXPECT_THAT(Read("a.jsonl.gz", Gzip(a + b)), ElementsAre("1 one|x", "2 two|y"));
  EXPECT_THAT(Read("a.jsonl.gz", Gzip(a) + Gzip("") + Gzip(b)), ElementsAre("1 one|x", "2 two|y"));
  EXPECT_THAT(Read("A.CSV.GZ", Gzip("\xEF") + Gzip("\xBB") + Gzip("\xBFtext,label\na,b")),
              ElementsAre("2 a|b"));
  const std::string whole = Gzip(a + b);
  EXPECT_THAT(Problem("a.jsonl.gz", whole.substr(0, whole.size() - 3)), HasSubstr("ends early"));
  EXPECT_THAT(Problem("a.jsonl.gz", ""), HasSubstr("ends early"));
  EXPECT_THAT(Problem("a.jsonl.gz", a), HasSubstr("not gzip data"));
  EXPECT_THAT(Problem("a.jsonl.gz", whole + "more"), HasSubstr("corrupt"));
  std::string changed = whole;
  changed[changed.size() - 6] ^= 1;  // the checksum
  EXPECT_THAT(Problem("a.jsonl.gz", changed), HasSubstr("corrupt"));
}

TEST_F(Rows, AByteOrderMarkIsSkippedAtTheStart) {
  EXPECT_THAT(Read("a.csv", "\xEF\xBB\xBFtext,label\na,b\n"), ElementsAre("2 a|b"));
  EXPECT_THAT(Read("a.jsonl", "\xEF\xBB\xBF{\"text\": \"a\", \"label\": \"b\"}\n"),
              ElementsAre("1 a|b"));
  EXPECT_THAT(Read("a.csv", "text,label\n\xEF\xBB\xBF,b\n"), ElementsAre("2 \xEF\xBB\xBF|b"));
}

TEST_F(Rows, EachBadRowIsNamedWithItsLine) {
  const std::string good = "{\"text\": \"a\", \"label\": \"b\"}\n";
  const std::pair<const char*, const char*> cases[] = {
      {"{", "a.jsonl:2: not JSON at character 2"},
      {"{\"text\": \"a\", \"label\": \"b\"} x", "a.jsonl:2: not JSON at character"},
      {"[1]", "a.jsonl:2: not a JSON object"},
      {"\"a\"", "a.jsonl:2: not a JSON object"},
      {"{\"text\": 1, \"label\": \"b\"}", "a.jsonl:2: 'text' is 1, not text"},
      {"{\"text\": null, \"label\": \"b\"}", "a.jsonl:2: 'text' is null, not text"},
      {"{\"text\": [\"a\"], \"label\": \"b\"}", "a.jsonl:2: 'text' is a list, not text"},
      {"{\"text\": \"a\", \"label\": 1.5}", "'label' is 1.5, neither text nor a whole number"},
      {"{\"text\": \"a\", \"label\": true}", "'label' is true, neither"},
      {"{\"text\": \"a\", \"label\": {}}", "'label' is an object, neither"},
      {"{\"text\": \"a\", \"label\": \"\"}", "a.jsonl:2: the label is empty"},
      {"{\"text\": \"a\"}", "a.jsonl:2: no column 'label'; the columns are: 'text'"},
      {"{\"label\": \"a\", \"body\": 1}", "no column 'text'; the columns are: 'label', 'body'"},
      {"{\"text\": \"a\", \"text\": \"a\", \"label\": \"b\"}", "a.jsonl:2: 'text' twice"},
      {"{\"text\": \"\xE4\", \"label\": \"b\"}", "a.jsonl:2: not UTF-8: byte 0xE4 at 11"},
      {"{\"text\": \"\\ud800\", \"label\": \"b\"}", "a.jsonl:2: not JSON"},
  };
  for (const auto& [row, what] : cases) {
    const auto rows = Read("a.jsonl", good + row + "\n" + good);
    EXPECT_THAT(error_.ToString(), HasSubstr(what)) << row;
    EXPECT_EQ(error_.code, ErrorCode::kInvalid);
    EXPECT_EQ(rows.size(), 2U) << row;
  }
  const std::pair<const char*, const char*> separated[] = {
      {"a", "a.csv:3: 1 field, the header has 2"},
      {"a,b,c", "a.csv:3: 3 fields, the header has 2"},
      {"\"a\" b,c", "a.csv:3: characters after the closing quote of field 1"},
      {"a,", "a.csv:3: the label is empty"},
      {"a\xFF,c", "a.csv:3: not UTF-8: byte 0xFF at 2"},
  };
  for (const auto& [row, what] : separated) {
    const auto rows = Read("a.csv", "text,label\nx,y\n" + std::string(row) + "\nx,y\n");
    EXPECT_THAT(error_.ToString(), HasSubstr(what));
    EXPECT_EQ(rows.size(), 2U) << row;
  }
  EXPECT_THAT(Problem("a.csv", std::string("text,label\nx\0,y\n", 16)), HasSubstr("a NUL byte"));
}

TEST_F(Rows, LongNumbersAreCutInErrors) {
  Read("a.jsonl", "{\"text\": \"a\", \"label\": 1." + std::string(500'000, '1') + "}\n");
  EXPECT_THAT(error_.message, HasSubstr("1…, neither text nor a whole number"));
  EXPECT_LT(error_.message.size(), 200U);
}

TEST_F(Rows, TwentyBadRowsAreListedAndAllCounted) {
  std::string text = "text,label\n";
  for (int i = 0; i < 23; ++i) text += "a\nx,y\n";
  Read("a.csv", text);
  EXPECT_THAT(error_.message, StartsWith("23 bad rows, the first 20:\na.csv:2: 1 field"));
  EXPECT_EQ(error_.where, "a.csv:2");
  EXPECT_EQ(std::ranges::count(error_.message, '\n'), 20);
  EXPECT_THAT(error_.message, HasSubstr("\na.csv:40: "));
  EXPECT_THAT(error_.message, Not(HasSubstr("a.csv:42")));
}

TEST_F(Rows, WhatTakeRefusesIsAProblemOfItsRow) {
  const RowsRequest request{.path = Put("a.csv", "text,label\na,b\nc,d\n"),
                            .shown_name = "a.csv",
                            .kind = {.format = FileFormat::kCsv}};
  const Status status = ReadRows(request, [](const Row& row) -> Status {
    if (row.text == "a") return {};
    return Fail(ErrorCode::kInvalid, "too odd");
  });
  ASSERT_FALSE(status.has_value());
  EXPECT_EQ(status.error().ToString(), "a.csv:3: too odd");
}

TEST_F(Rows, LabelsOfBothKindsAreAnErrorThatNamesBothLines) {
  EXPECT_THAT(Problem("a.jsonl",
                      "{\"text\": \"a\", \"label\": 1}\n{\"text\": \"b\", \"label\": 2}\n"
                      "{\"text\": \"b\", \"label\": \"2\"}\n"),
              HasSubstr("a.jsonl:3: label '2' is text, that of line 1 is a whole number"));
  EXPECT_THAT(Problem("a.csv", "text,label\na,games\nb,2\nc,3\nd,net\n"),
              HasSubstr("a.csv:3: label '2' is a whole number, that of line 2 is text"));
}

TEST_F(Rows, WholeNumberLabelsHaveBounds) {
  EXPECT_THAT(Read("a.csv", "text,label\na,65535\n"), ElementsAre("2 a#65535"));
  for (const char* label : {"-1", "65536", "99999999999999999999"}) {
    EXPECT_THAT(Problem("a.csv", "text,label\na," + std::string(label) + "\n"),
                HasSubstr("whole numbers go from 0 to 65,535"));
  }
  EXPECT_THAT(Read("a.csv", "text,label\na,01\nb,+1\nc,1.0\n"),
              ElementsAre("2 a|01", "3 b|+1", "4 c|1.0"));
}

TEST_F(Rows, MissingColumnsAreNamedWithThoseThatAre) {
  EXPECT_EQ(Problem("a.csv", "body,section\na,b\n"),
            "a.csv:1: no column 'text'; the columns are: 'body', 'section' (did you mean "
            "data.columns: {text: body}?)");
  EXPECT_EQ(Problem("a.jsonl", "{\"text\": \"a\", \"labels\": 1}\n"),
            "a.jsonl:1: no column 'label'; the columns are: 'text', 'labels' (did you mean "
            "data.columns: {label: labels}?)");
  EXPECT_THAT(Problem("a.csv", "x1,x2\na,b\n"), HasSubstr("(name it in data.columns)"));
  columns_ = {.text = "body", .label = "section"};
  EXPECT_THAT(Read("a.csv", "body,section\na,b\n"), ElementsAre("2 a|b"));
  EXPECT_THAT(Read("a.jsonl", "{\"section\": 3, \"body\": \"b\", \"text\": 1}\n"),
              ElementsAre("1 b#3"));
  EXPECT_THAT(Problem("a.csv", "body,section,body\na,b,c\n"), HasSubstr("column 'body' twice"));
}

TEST_F(Rows, LabelsMayBeOptional) {
  require_labels_ = false;
  EXPECT_THAT(Read("a.csv", "text,x\na,b\n"), ElementsAre("2 a"));
  EXPECT_THAT(Read("a.jsonl", "{\"text\": \"a\"}\n{\"text\": \"b\", \"label\": \"c\"}\n"),
              ElementsAre("1 a", "2 b|c"));
  EXPECT_EQ(error_.message, "");
}

TEST_F(Rows, FilesWithoutRowsAreErrors) {
  for (const char* text : {"", "\n\n", "\xEF\xBB\xBF"}) {
    EXPECT_EQ(Problem("a.jsonl", text), "a.jsonl: no rows");
    EXPECT_EQ(Problem("a.csv", text), "a.csv: no rows");
  }
  EXPECT_EQ(Problem("a.csv", "text,label\n"), "a.csv: no rows");
  const RowsRequest request{.path = folder_ / "none.csv", .shown_name = "none.csv"};
  EXPECT_EQ(ReadRows(request, nullptr).error().code, ErrorCode::kNotFound);
  const RowsRequest folder{.path = folder_, .shown_name = "folder"};
  EXPECT_EQ(ReadRows(folder, nullptr).error().code, ErrorCode::kIo);
}

TEST_F(Rows, TheKindIsThatOfTheExtension) {
  EXPECT_EQ(FileKindOf("a.jsonl", "")->format, FileFormat::kJsonLines);
  EXPECT_EQ(FileKindOf("a.tsv.gz", "")->format, FileFormat::kTsv);
  EXPECT_TRUE(FileKindOf("a.TSV.GZ", "")->gzip);
  EXPECT_EQ(FileKindOf("ab/0123", "data/a.csv")->format, FileFormat::kCsv);
  EXPECT_EQ(FileKindOf("a.parquet", "").error().code, ErrorCode::kUnsupported);
  EXPECT_EQ(FileKindOf("a.gz", "").error().code, ErrorCode::kUnsupported);
}

TEST_F(Rows, RolesAreTextAndLabel) {
  EXPECT_EQ(ColumnsOf({{"text", "t"}, {"label", "l"}})->label, "l");
  EXPECT_EQ(ColumnsOf({})->text, "text");
  EXPECT_FALSE(ColumnsOf({{"txt", "t"}}).has_value());
  EXPECT_FALSE(ColumnsOf({{"text", "label"}}).has_value());
}

}  // namespace
}  // namespace tutti::data
