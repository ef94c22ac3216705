// Any bytes as a data file: rows that are what a data set takes, the same ones each time, or a
// bounded error with a place. The first line is the extension: "jsonl", "csv", "tsv", each maybe
// with ".gz".

#include <sys/mman.h>
#include <unistd.h>

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "common/base/check.h"
#include "common/file/file.h"
#include "tests/fuzz/fuzz_target.h"
#include "worker/data/rows.h"
#include "worker/data/utf8.h"

namespace tutti::data {
namespace {

std::vector<std::string> Read(const RowsRequest& request, Status& status) {
  std::vector<std::string> rows;
  std::int64_t line = 0;
  status = ReadRows(request, [&](const Row& row) -> Status {
    TUTTI_CHECK(row.line > line, "line ", row.line, " after ", line);
    line = row.line;
    TUTTI_CHECK(row.text.size() <= kRowBytesMax, row.text.size(), " bytes of text");
    TUTTI_CHECK(FirstBadByte(row.text) == row.text.size(), "text that is not UTF-8");
    TUTTI_CHECK(row.label && !row.label->text.empty(), "a row without a label");
    TUTTI_CHECK(FirstBadByte(row.label->text) == row.label->text.size(), "label not UTF-8");
    rows.push_back(std::to_string(row.line) + row.text + '\0' + row.label->text);
    return {};
  });
  return rows;
}

void Run(std::string_view text) {
  const std::size_t end = text.find('\n');
  if (end == std::string_view::npos) return;
  const auto kind = FileKindOf("f." + std::string(text.substr(0, end)), "");
  if (!kind) return;
  text.remove_prefix(end + 1);
  const UniqueFd file(memfd_create("rows", MFD_CLOEXEC));
  TUTTI_CHECK(file && WriteAll(file.get(), std::as_bytes(std::span(text)), "memfd").has_value());
  const RowsRequest request{
      .path = "/proc/self/fd/" + std::to_string(file.get()), .shown_name = "f", .kind = *kind};
  Status first;
  Status second;
  const auto rows = Read(request, first);
  TUTTI_CHECK(rows == Read(request, second) && first.has_value() == second.has_value(),
              "two passes differ");
  TUTTI_CHECK(!first.has_value() || !rows.empty(), "no rows and no error");
  if (first.has_value()) return;
  TUTTI_CHECK(first.error().where.starts_with("f"), "no place: ", first.error().message);
  TUTTI_CHECK(first.error().ToString().size() < 65'536, first.error().ToString().size(),
              " bytes of problem");
}

}  // namespace
}  // namespace tutti::data

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size > 0) tutti::data::Run({reinterpret_cast<const char*>(data), size});
  return 0;
}
