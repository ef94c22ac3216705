// Reads the rows of a data file and says which are wrong. One pass, memory of one row and one
// block. Free functions.
#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <functional>
#include <map>
#include <nlohmann/json.hpp>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "common/base/result.h"

namespace tutti::data {

inline constexpr std::size_t kRowBytesMax = std::size_t{1} << 20;
inline constexpr std::int64_t kRowsMax = 50'000'000;
inline constexpr std::int64_t kIntegerLabelMax = 65'535;
inline constexpr int kProblemsShown = 20;

enum class FileFormat { kJsonLines, kCsv, kTsv };
struct FileKind {
  FileFormat format = FileFormat::kJsonLines;
  bool gzip = false;
};
// By the extension of `path`, else of `shown_name`. kUnsupported names the known ones.
Result<FileKind> FileKindOf(const std::filesystem::path& path, const std::string& shown_name);

// What a row is made of.
enum class RowFormat {
  kTextLabel,         // text, label
  kText,              // text
  kPromptCompletion,  // prompt, completion
  kChat,              // messages [, tools]
  kAlpaca,            // instruction [, input], output
  kShareGpt,          // conversations [, system, tools]
  kPreference,        // [prompt,] chosen, rejected
};
std::string_view ToString(RowFormat format);
// Whether rows are whole JSON objects, not one or two texts: JSONL alone has them.
bool IsStructured(RowFormat format);
// Whether rows are conversations, written by a chat template.
bool IsConversation(RowFormat format);
// The roles of a format and whether a row must have them. What tells formats apart.
struct RoleOf {
  std::string_view name;
  bool required = true;
};
std::span<const RoleOf> RolesOf(RowFormat format);

// The column of a row's text (or prompt), and of its label (or completion): their names are those
// of the roles unless data.columns has others.
struct Columns {
  std::string text = "text";
  std::string label = "label";
  std::map<std::string, std::string, std::less<>> by_role{};  // of structured rows: all roles
};
// kInvalid for a role that the format does not have.
Result<Columns> ColumnsOf(const std::map<std::string, std::string>& by_role,
                          RowFormat format = RowFormat::kTextLabel);

struct Label {
  std::string text;  // as the file has it
  bool integer = false;
};

struct Row {
  std::int64_t line = 0;            // where it begins, from 1
  std::string text;                 // UTF-8
  std::optional<Label> label{};     // of prompt and completion: the completion
  nlohmann::ordered_json object{};  // of a structured format
};

struct RowsRequest {
  std::filesystem::path path;
  std::string shown_name;  // names the file in errors
  FileKind kind{};
  RowFormat format = RowFormat::kTextLabel;
  Columns columns{};
  bool require_labels = true;

  // Whether the second column counts, and must be there.
  bool takes_label() const { return format != RowFormat::kText && !IsStructured(format); }
  bool needs_label() const {
    return format == RowFormat::kPromptCompletion ||
           (format == RowFormat::kTextLabel && require_labels);
  }
};

// The names of a file's columns: the first row's keys, or the header. kInvalid: it has no rows, or
// the first cannot be read.
Result<std::vector<std::string>> ColumnNames(const RowsRequest& request);

// The first row of a JSONL file that can be read; null where it has none.
Result<nlohmann::ordered_json> FirstObject(const RowsRequest& request);

// Calls `take` for each good row; what it fails with is one more problem of that row. Goes on after
// a bad row, so that all are counted; gives up where the rest cannot be read. kInvalid: `where` is
// "file:line" of the first bad row; with several, the message lists the first 20 and their number.
// kTooLarge: a row above 1 MiB, more than 50 million rows, a gzip bomb.
Status ReadRows(const RowsRequest& request, const std::function<Status(const Row&)>& take);

}  // namespace tutti::data
