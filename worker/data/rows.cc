#include "worker/data/rows.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <cstdio>
#include <span>
#include <utility>
#include <vector>

#include "common/base/words.h"
#include "jobs/spec/suggest.h"
#include "worker/data/characters.h"
#include "worker/data/row_reader.h"
#include "worker/data/utf8.h"

namespace tutti::data {
namespace {

constexpr std::size_t kLabelBytesMax = 1'024;
constexpr std::size_t kColumnsShown = 20;

// Names that other data sets have for a role.
constexpr std::array<std::string_view, 10> kTextNames = {
    "sentence", "content", "body",  "review", "document",
    "input",    "query",   "title", "tweet",  "description"};
constexpr std::array<std::string_view, 10> kLabelNames = {
    "labels", "class", "category", "target", "section", "y", "tag", "intent", "topic", "sentiment"};

std::optional<FileKind> KindByName(std::string_view given) {
  std::string name = LowerCase(given);
  FileKind kind;
  if (name.ends_with(".gz")) {
    kind.gzip = true;
    name.resize(name.size() - 3);
  }
  for (const auto& [ending, format] : {std::pair(".jsonl", FileFormat::kJsonLines),
                                       {".json", FileFormat::kJsonLines},
                                       {".ndjson", FileFormat::kJsonLines},
                                       {".csv", FileFormat::kCsv},
                                       {".tsv", FileFormat::kTsv}}) {
    if (!name.ends_with(ending)) continue;
    kind.format = format;
    return kind;
  }
  return std::nullopt;
}

std::string LabelProblem(const Label& label) {
  if (label.text.empty()) return "the label is empty";
  if (label.text.size() > kLabelBytesMax) return "a label above 1,024 bytes";
  if (!label.integer) return "";
  std::int64_t value = 0;
  const auto [end, error] =
      std::from_chars(label.text.data(), label.text.data() + label.text.size(), value);
  if (error == std::errc() && value >= 0 && value <= kIntegerLabelMax) return "";
  return "label " + label.text + ": whole numbers go from 0 to 65,535";
}

// Counts bad rows and words the error.
class Problems {
 public:
  explicit Problems(std::string shown_name) : shown_name_(std::move(shown_name)) {}

  void Add(std::int64_t line, const std::string& what) {
    ++count_;
    if (count_ == 1) first_ = {.line = line, .what = what};
    if (count_ <= kProblemsShown) list_ += "\n" + Where(line) + ": " + what;
  }
  // `end`: why reading stopped early, if it did; it is the last problem.
  Status Finish(const Status& end) const {
    if (count_ == 0) return end;
    if (count_ == 1 && end) return Fail(ErrorCode::kInvalid, first_.what, Where(first_.line));
    std::string message = std::to_string(count_) + (count_ == 1 ? " bad row" : " bad rows");
    if (count_ > kProblemsShown) message += ", the first " + std::to_string(kProblemsShown);
    message += ":" + list_;
    if (!end) message += "\nand nothing more could be read: " + end.error().ToString();
    return Fail(end ? ErrorCode::kInvalid : end.error().code, message, Where(first_.line));
  }

 private:
  std::string Where(std::int64_t line) const { return shown_name_ + ":" + std::to_string(line); }

  struct First {
    std::int64_t line = 0;
    std::string what;
  };
  std::string shown_name_;
  std::int64_t count_ = 0;
  First first_;
  std::string list_;
};

// Says once that a file has labels of both kinds, naming a line of each.
class LabelKinds {
 public:
  std::string Problem(const Row& row) {
    std::int64_t& first = row.label->integer ? integer_line_ : text_line_;
    if (first != 0) return "";
    first = row.line;
    if (integer_line_ == 0 || text_line_ == 0) return "";
    const std::int64_t other = row.label->integer ? text_line_ : integer_line_;
    return "label " + spec::Quoted(row.label->text) +
           (row.label->integer ? " is a whole number, that of line " : " is text, that of line ") +
           std::to_string(other) + (row.label->integer ? " is text" : " is a whole number") +
           ": a file has labels of one kind";
  }

 private:
  std::int64_t integer_line_ = 0;
  std::int64_t text_line_ = 0;
};

template <typename Reader>
Status Drain(Characters& characters, Reader reader, const RowsRequest& request,
             const std::function<Status(const Row&)>& take) {
  Problems problems(request.shown_name);
  LabelKinds kinds;
  Row row;
  std::string problem;
  std::int64_t rows = 0;
  for (;;) {
    const Taken taken = reader.Next(row, problem);
    if (taken == Taken::kEnd) break;
    if (++rows > kRowsMax) {
      characters.Stop(ErrorCode::kTooLarge, "more than 50,000,000 rows", row.line);
      break;
    }
    if (taken == Taken::kRow) {
      const bool labelled = row.label && request.format == RowFormat::kTextLabel;
      problem = labelled ? LabelProblem(*row.label) : "";
      if (problem.empty() && labelled) problem = kinds.Problem(row);
      if (problem.empty()) {
        if (const Status status = take(row); !status) problem = status.error().ToString();
      }
    }
    if (!problem.empty()) problems.Add(row.line, problem);
  }
  TUTTI_RETURN_IF_ERROR(problems.Finish(characters.status()));
  if (rows == 0) return Fail(ErrorCode::kInvalid, "no rows", request.shown_name);
  return {};
}

std::string_view GuessColumn(const std::string& column, std::string_view role,
                             const std::vector<std::string>& found) {
  const std::string_view near =
      spec::Nearest(column, std::vector<std::string_view>(found.begin(), found.end()));
  if (!near.empty()) return near;
  for (const std::string_view name : role == "label" ? std::span(kLabelNames) : kTextNames) {
    const auto it = std::ranges::find(found, name);
    if (it != found.end()) return *it;
  }
  return "";
}

}  // namespace

Result<FileKind> FileKindOf(const std::filesystem::path& path, const std::string& shown_name) {
  if (const auto kind = KindByName(path.filename().string())) return *kind;
  if (const auto kind = KindByName(shown_name)) return *kind;
  return Fail(ErrorCode::kUnsupported, "not a kind of data file that Tutti reads",
              shown_name.empty() ? path.string() : shown_name,
              "give .jsonl, .csv or .tsv, each also with .gz");
}

std::string_view ToString(RowFormat format) {
  switch (format) {
    case RowFormat::kTextLabel:
      return "text-label";
    case RowFormat::kText:
      return "text";
    case RowFormat::kPromptCompletion:
      return "prompt-completion";
    case RowFormat::kChat:
      return "chat";
    case RowFormat::kAlpaca:
      return "alpaca";
    case RowFormat::kShareGpt:
      return "sharegpt";
    case RowFormat::kPreference:
      return "preference";
  }
  return "";
}

bool IsStructured(RowFormat format) { return format >= RowFormat::kChat; }

bool IsConversation(RowFormat format) {
  return IsStructured(format) && format != RowFormat::kPreference;
}

std::span<const RoleOf> RolesOf(RowFormat format) {
  static constexpr RoleOf kTextLabel[] = {{"text"}, {"label"}};
  static constexpr RoleOf kText[] = {{"text"}};
  static constexpr RoleOf kPromptCompletion[] = {{"prompt"}, {"completion"}};
  static constexpr RoleOf kChat[] = {{"messages"}, {"tools", false}};
  static constexpr RoleOf kAlpaca[] = {{"instruction"}, {"input", false}, {"output"}};
  static constexpr RoleOf kShareGpt[] = {{"conversations"}, {"system", false}, {"tools", false}};
  static constexpr RoleOf kPreference[] = {{"prompt", false}, {"chosen"}, {"rejected"}};
  switch (format) {
    case RowFormat::kTextLabel:
      return kTextLabel;
    case RowFormat::kText:
      return kText;
    case RowFormat::kPromptCompletion:
      return kPromptCompletion;
    case RowFormat::kChat:
      return kChat;
    case RowFormat::kAlpaca:
      return kAlpaca;
    case RowFormat::kShareGpt:
      return kShareGpt;
    case RowFormat::kPreference:
      return kPreference;
  }
  return {};
}

Result<Columns> ColumnsOf(const std::map<std::string, std::string>& by_role, RowFormat format) {
  const std::span<const RoleOf> roles = RolesOf(format);
  Columns columns;
  std::string known;
  for (const RoleOf& role : roles) {
    known += (known.empty() ? "" : ", ") + std::string(role.name);
    columns.by_role.emplace(role.name, role.name);
  }
  for (const auto& [role, column] : by_role) {
    const auto found = columns.by_role.find(role);
    if (found == columns.by_role.end()) {
      return Fail(ErrorCode::kInvalid,
                  "format " + std::string(ToString(format)) + " has no role '" + role + "'",
                  "data.columns", (roles.size() == 1 ? "its role is " : "its roles are ") + known);
    }
    found->second = column;
  }
  for (auto one = columns.by_role.begin(); one != columns.by_role.end(); ++one) {
    for (auto other = columns.by_role.begin(); other != one; ++other) {
      if (one->second != other->second) continue;
      return Fail(ErrorCode::kInvalid, other->first + " and " + one->first + " are the same column",
                  "data.columns");
    }
  }
  columns.text = columns.by_role.find(roles.front().name)->second;
  columns.label = columns.by_role.find(roles.back().name)->second;
  return columns;
}

std::string ListColumns(const std::vector<std::string>& found) {
  std::string list;
  for (std::size_t i = 0; i < std::min(found.size(), kColumnsShown); ++i) {
    list += (i > 0 ? ", " : "") + spec::Quoted(found[i]);
  }
  if (found.size() > kColumnsShown) list += ", …";
  return list;
}

MissingColumn DescribeMissing(const std::string& column, std::string_view role,
                              const std::vector<std::string>& found) {
  MissingColumn missing;
  missing.message =
      "no column " + spec::Quoted(column) + "; the columns are: " + ListColumns(found);
  const std::string_view guess = GuessColumn(column, role, found);
  missing.hint = guess.empty() ? "name it in data.columns"
                               : "did you mean data.columns: {" + std::string(role) + ": " +
                                     std::string(guess) + "}?";
  return missing;
}

std::string TextProblem(std::string_view bytes) {
  const std::size_t nul = bytes.find('\0');
  if (nul != std::string_view::npos) return "a NUL byte: is the file UTF-16, or no text?";
  const std::size_t bad = FirstBadByte(bytes);
  if (bad == bytes.size()) return "";
  char text[64];
  std::snprintf(text, sizeof text, "not UTF-8: byte 0x%02X at %zu",
                static_cast<unsigned>(static_cast<unsigned char>(bytes[bad])), bad + 1);
  return text;
}

Result<std::vector<std::string>> ColumnNames(const RowsRequest& request) {
  TUTTI_ASSIGN_OR_RETURN(ByteSource source,
                         ByteSource::Open(request.path, request.kind.gzip, request.shown_name));
  Characters characters(std::move(source), request.shown_name);
  std::vector<std::string> names;
  if (request.kind.format == FileFormat::kJsonLines) {
    names = JsonLinesReader(characters, request).Keys();
  } else {
    const char separator = request.kind.format == FileFormat::kCsv ? ',' : '\t';
    names = SeparatedReader(characters, request, separator).Header();
  }
  TUTTI_RETURN_IF_ERROR(characters.status());
  if (names.empty()) {
    return Fail(ErrorCode::kInvalid, "the first row has no columns that can be read",
                request.shown_name);
  }
  return names;
}

Result<nlohmann::ordered_json> FirstObject(const RowsRequest& request) {
  TUTTI_ASSIGN_OR_RETURN(ByteSource source,
                         ByteSource::Open(request.path, request.kind.gzip, request.shown_name));
  Characters characters(std::move(source), request.shown_name);
  JsonLinesReader reader(characters, request);
  Row row;
  std::string problem;
  Taken taken = Taken::kBadRow;
  while (taken == Taken::kBadRow) taken = reader.Next(row, problem);
  if (taken == Taken::kEnd) return nlohmann::ordered_json();
  return row.object;
}

Status ReadRows(const RowsRequest& request, const std::function<Status(const Row&)>& take) {
  if (IsStructured(request.format) && request.kind.format != FileFormat::kJsonLines) {
    return Fail(ErrorCode::kUnsupported,
                "rows of format " + std::string(ToString(request.format)) +
                    " are JSON objects: they are read from JSONL",
                request.shown_name, "write one object a line into a .jsonl file");
  }
  TUTTI_ASSIGN_OR_RETURN(ByteSource source,
                         ByteSource::Open(request.path, request.kind.gzip, request.shown_name));
  Characters characters(std::move(source), request.shown_name);
  switch (request.kind.format) {
    case FileFormat::kJsonLines:
      return Drain(characters, JsonLinesReader(characters, request), request, take);
    case FileFormat::kCsv:
      return Drain(characters, SeparatedReader(characters, request, ','), request, take);
    case FileFormat::kTsv:
      return Drain(characters, SeparatedReader(characters, request, '\t'), request, take);
  }
  return Fail(ErrorCode::kInternal, "no such format");
}

}  // namespace tutti::data
