#include "scheduler/simulate/csv.h"

#include <algorithm>
#include <charconv>
#include <cmath>
#include <fstream>

namespace tutti::simulate {
namespace {

std::vector<std::string> Split(const std::string& line) {
  std::vector<std::string> cells;
  std::size_t from = 0;
  for (;;) {
    const std::size_t comma = line.find(',', from);
    cells.push_back(line.substr(from, comma - from));
    if (comma == std::string::npos) return cells;
    from = comma + 1;
  }
}

}  // namespace

Result<Csv> Csv::Read(const std::filesystem::path& path) {
  std::ifstream in(path);
  if (!in) return Fail(ErrorCode::kNotFound, "cannot be read", path.string());
  Csv csv;
  csv.path_ = path.string();
  std::string line;
  while (std::getline(in, line)) {
    if (line.ends_with('\r')) line.pop_back();
    if (line.empty()) continue;
    std::vector<std::string> cells = Split(line);
    if (csv.header_.empty()) {
      csv.header_ = std::move(cells);
      continue;
    }
    if (cells.size() != csv.header_.size()) {
      return Fail(ErrorCode::kInvalid,
                  std::to_string(cells.size()) + " values under " +
                      std::to_string(csv.header_.size()) + " columns",
                  csv.path_ + ":" + std::to_string(csv.rows_.size() + 2));
    }
    csv.rows_.push_back(std::move(cells));
  }
  if (csv.header_.empty()) return Fail(ErrorCode::kInvalid, "is empty", csv.path_);
  return csv;
}

Result<std::size_t> Csv::ColumnOf(std::string_view name) const {
  const auto found = std::find(header_.begin(), header_.end(), name);
  if (found != header_.end()) return static_cast<std::size_t>(found - header_.begin());
  return Fail(ErrorCode::kInvalid, "has no column '" + std::string(name) + "'", path_);
}

Result<std::vector<std::string>> Csv::Texts(std::string_view column) const {
  TUTTI_ASSIGN_OR_RETURN(const std::size_t at, ColumnOf(column));
  std::vector<std::string> texts;
  texts.reserve(rows_.size());
  for (const auto& row : rows_) texts.push_back(row[at]);
  return texts;
}

Result<std::vector<double>> Csv::Numbers(std::string_view column) const {
  TUTTI_ASSIGN_OR_RETURN(const std::vector<std::string> texts, Texts(column));
  std::vector<double> numbers;
  numbers.reserve(texts.size());
  for (const std::string& text : texts) {
    double value = 0;
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
    if (error != std::errc{} || end != text.data() + text.size() || !std::isfinite(value)) {
      return Fail(ErrorCode::kInvalid, "'" + text + "' is no number",
                  path_ + ":" + std::to_string(numbers.size() + 2) + ", " + std::string(column));
    }
    numbers.push_back(value);
  }
  return numbers;
}

}  // namespace tutti::simulate
