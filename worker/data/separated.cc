#include <algorithm>
#include <utility>

#include "worker/data/row_reader.h"

namespace tutti::data {
namespace {

constexpr std::size_t kColumnsMax = 4'096;

// -?(0|[1-9][0-9]*)
bool LooksWhole(std::string_view text) {
  if (text.starts_with('-')) text.remove_prefix(1);
  if (text.empty() || (text.front() == '0' && text.size() > 1)) return false;
  return std::ranges::all_of(text, [](char c) { return c >= '0' && c <= '9'; });
}

}  // namespace

void SeparatedReader::Append(std::string& field, int c) {
  if (++bytes_ > kRowBytesMax) {
    characters_.Stop(ErrorCode::kTooLarge, "a row above " + std::to_string(kRowBytesMax) + " bytes",
                     record_line_, "is a quote left open there?");
    return;
  }
  field += static_cast<char>(c);
}

// After the opening quote, to behind the closing one. False: nothing more can be read.
bool SeparatedReader::TakeQuoted(std::string& field, std::string& problem) {
  for (;;) {
    const int c = characters_.Take();
    if (c == Characters::kEnd) {
      characters_.Stop(ErrorCode::kInvalid, "a quoted field that is never closed", record_line_);
      return false;
    }
    if (c != '"') {
      Append(field, c);
    } else if (characters_.Peek() == '"') {
      Append(field, characters_.Take());
    } else {
      break;
    }
  }
  const int next = characters_.Peek();
  if (next != separator_ && next != '\n' && next != '\r' && next != Characters::kEnd) {
    problem = "characters after the closing quote of field " + std::to_string(fields_.size());
  }
  return true;
}

// One field without what ends it. False: nothing more can be read.
bool SeparatedReader::TakeField(std::string& field, std::string& problem) {
  if (characters_.Peek() == '"') {
    characters_.Take();
    if (!TakeQuoted(field, problem)) return false;
  }
  bool carriage_return = false;  // taken last, outside quotes
  for (;;) {
    const int c = characters_.Peek();
    if (c == separator_ || c == '\n' || c == Characters::kEnd) break;
    carriage_return = c == '\r';
    Append(field, characters_.Take());
  }
  if (carriage_return && characters_.Peek() != separator_ && !field.empty()) field.pop_back();
  return characters_.status().has_value();
}

Taken SeparatedReader::TakeRecord(std::string& problem) {
  problem.clear();
  while (characters_.Peek() == '\n' || characters_.Peek() == '\r') characters_.Take();
  record_line_ = characters_.line();
  if (characters_.Peek() == Characters::kEnd) return Taken::kEnd;
  bytes_ = 0;
  fields_.clear();
  for (;;) {
    if (fields_.size() == kColumnsMax) {
      characters_.Stop(ErrorCode::kTooLarge, "a row of more than 4,096 fields", record_line_);
      return Taken::kEnd;
    }
    fields_.emplace_back();
    if (!TakeField(fields_.back(), problem)) return Taken::kEnd;
    const int end = characters_.Take();
    if (end == '\n' || end == Characters::kEnd) break;
  }
  if (!characters_.status()) return Taken::kEnd;
  for (const std::string& field : fields_) {
    if (problem.empty()) problem = TextProblem(field);
  }
  return problem.empty() ? Taken::kRow : Taken::kBadRow;
}

std::optional<std::size_t> SeparatedReader::IndexOf(const std::string& column,
                                                    std::string_view role) {
  const auto it = std::ranges::find(fields_, column);
  if (it == fields_.end()) {
    if (column == request_.columns.label && !request_.needs_label()) return std::nullopt;
    MissingColumn missing = DescribeMissing(column, role, fields_);
    characters_.Stop(ErrorCode::kInvalid, std::move(missing.message), record_line_,
                     std::move(missing.hint));
    return std::nullopt;
  }
  if (std::find(it + 1, fields_.end(), column) != fields_.end()) {
    characters_.Stop(ErrorCode::kInvalid, "column '" + column + "' twice", record_line_);
  }
  return static_cast<std::size_t>(it - fields_.begin());
}

std::vector<std::string> SeparatedReader::Header() {
  std::string problem;
  if (TakeRecord(problem) == Taken::kRow) return fields_;
  return {};
}

bool SeparatedReader::ReadHeader() {
  std::string problem;
  const Taken taken = TakeRecord(problem);
  if (taken == Taken::kEnd) return false;
  if (taken == Taken::kBadRow) {
    characters_.Stop(ErrorCode::kInvalid, std::move(problem), record_line_);
    return false;
  }
  const bool completes = request_.format == RowFormat::kPromptCompletion;
  text_at_ = IndexOf(request_.columns.text, completes ? "prompt" : "text");
  if (request_.takes_label()) {
    label_at_ = IndexOf(request_.columns.label, completes ? "completion" : "label");
  }
  columns_ = fields_.size();
  return characters_.status().has_value();
}

Taken SeparatedReader::Next(Row& row, std::string& problem) {
  if (columns_ == 0 && !ReadHeader()) return Taken::kEnd;
  const Taken taken = TakeRecord(problem);
  row.line = record_line_;
  if (taken != Taken::kRow) return taken;
  if (fields_.size() != columns_) {
    problem = std::to_string(fields_.size()) + (fields_.size() == 1 ? " field" : " fields") +
              ", the header has " + std::to_string(columns_);
    return Taken::kBadRow;
  }
  row.text = std::move(fields_[*text_at_]);
  row.label.reset();
  if (!label_at_) return Taken::kRow;
  std::string& label = *label_at_ == *text_at_ ? row.text : fields_[*label_at_];
  row.label = Label{.text = label,
                    .integer = request_.format == RowFormat::kTextLabel && LooksWhole(label)};
  return Taken::kRow;
}

}  // namespace tutti::data
