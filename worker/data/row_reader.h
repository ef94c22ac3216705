// Cuts a data file into rows: JSON objects a line, or separated fields. For worker/data; each
// reader belongs to one thread and borrows its request.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "common/base/result.h"
#include "worker/data/characters.h"
#include "worker/data/rows.h"

namespace tutti::data {

enum class Taken {
  kRow,
  kBadRow,  // `problem` says what is wrong with it; the next may be good
  kEnd,     // of the file, or an error: status() tells
};

// Blank lines are skipped. Fields other than the wanted ones may hold anything.
class JsonLinesReader {
 public:
  JsonLinesReader(Characters& characters, const RowsRequest& request)
      : characters_(characters), request_(request) {}
  Taken Next(Row& row, std::string& problem);
  // The keys of the first object; empty where there is none: status() tells why.
  std::vector<std::string> Keys();

 private:
  // The next line that is not blank, into line_, and what is wrong with its bytes; false: kEnd.
  bool NextLine(Row& row, std::string& problem);
  Taken NextObject(Row& row, std::string& problem, bool first);

  Characters& characters_;
  const RowsRequest& request_;
  std::string line_;
  bool any_ = false;
};

// RFC 4180 with `separator`: the first record names the columns; quoted fields may hold separators,
// line ends and doubled quotes; a quote inside an unquoted field is a character like others. Blank
// lines are skipped.
class SeparatedReader {
 public:
  SeparatedReader(Characters& characters, const RowsRequest& request, char separator)
      : characters_(characters), request_(request), separator_(separator) {}
  Taken Next(Row& row, std::string& problem);
  // The names of the columns; empty at the end of the file, or after an error.
  std::vector<std::string> Header();

 private:
  Taken TakeRecord(std::string& problem);
  bool TakeField(std::string& field, std::string& problem);
  bool TakeQuoted(std::string& field, std::string& problem);
  void Append(std::string& field, int c);
  bool ReadHeader();
  std::optional<std::size_t> IndexOf(const std::string& column, std::string_view role);

  Characters& characters_;
  const RowsRequest& request_;
  int separator_;
  std::vector<std::string> fields_;
  std::size_t bytes_ = 0;         // of the record so far
  std::int64_t record_line_ = 0;  // where it begins
  std::size_t columns_ = 0;       // 0: the header is still to come
  std::optional<std::size_t> text_at_, label_at_;
};

// "no column 'text'; the columns are: body, section", and which one may be meant.
struct MissingColumn {
  std::string message;
  std::string hint;
};
MissingColumn DescribeMissing(const std::string& column, std::string_view role,
                              const std::vector<std::string>& found);

// "'body', 'section'", as many as one wants to read.
std::string ListColumns(const std::vector<std::string>& found);

// What is wrong with a row's bytes as text; empty when nothing is.
std::string TextProblem(std::string_view bytes);

}  // namespace tutti::data
