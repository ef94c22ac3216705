#include "jobs/cli/table.h"

#include <algorithm>
#include <numeric>

#include "jobs/cli/text.h"

namespace tutti::cli {
namespace {

constexpr int kGap = 2;

int Total(const std::vector<int>& widths, const std::vector<bool>& shown) {
  int total = 0;
  int count = 0;
  for (std::size_t i = 0; i < widths.size(); ++i) {
    if (shown[i]) total += widths[i], ++count;
  }
  return total + kGap * std::max(0, count - 1);
}

// Takes a column of text from the widest of those that may shrink, until it fits.
void Shrink(const std::vector<Column>& columns, const std::vector<bool>& shown, int width,
            std::vector<int>& widths) {
  while (Total(widths, shown) > width) {
    std::size_t widest = columns.size();
    for (std::size_t i = 0; i < columns.size(); ++i) {
      const bool may = shown[i] && columns[i].shrink_to > 0 && widths[i] > columns[i].shrink_to;
      if (may && (widest == columns.size() || widths[i] > widths[widest])) widest = i;
    }
    if (widest == columns.size()) return;
    --widths[widest];
  }
}

std::vector<int> ContentWidths(const std::vector<Column>& columns, const std::vector<Row>& rows) {
  std::vector<int> widths;
  for (std::size_t i = 0; i < columns.size(); ++i) {
    int width = DisplayWidth(columns[i].title);
    for (const Row& row : rows) {
      if (i < row.size()) width = std::max(width, DisplayWidth(row[i].text));
    }
    widths.push_back(width);
  }
  return widths;
}

}  // namespace

std::string RenderTable(const std::vector<Column>& columns, const std::vector<Row>& rows, int width,
                        bool color) {
  std::vector<bool> shown(columns.size(), true);
  const std::vector<int> content = ContentWidths(columns, rows);
  std::vector<int> widths = content;
  if (width > 0) Shrink(columns, shown, width, widths);
  while (width > 0 && Total(widths, shown) > width) {
    std::size_t least = columns.size();
    for (std::size_t i = 0; i < columns.size(); ++i) {
      const bool may = shown[i] && columns[i].keep > 0;
      if (may && (least == columns.size() || columns[i].keep < columns[least].keep)) least = i;
    }
    if (least == columns.size()) break;
    shown[least] = false;
    widths = content;
    Shrink(columns, shown, width, widths);
  }
  std::string out;
  const auto line = [&](const Row& row) {
    std::string text;
    std::string gap;
    for (std::size_t i = 0; i < columns.size(); ++i) {
      if (!shown[i]) continue;
      const Cell cell = i < row.size() ? row[i] : Cell();
      const std::string fitted = Fit(cell.text, widths[i]);
      const std::string padded = Pad(fitted, widths[i], columns[i].right);
      // Colour goes around the text alone, spaces stay plain.
      const std::size_t at = columns[i].right ? padded.size() - fitted.size() : 0;
      text += gap + padded.substr(0, at) + Painted(fitted, cell.paint, color) +
              padded.substr(at + fitted.size());
      gap = std::string(kGap, ' ');
    }
    text.erase(text.find_last_not_of(' ') + 1);
    out += text + "\n";
  };
  Row titles;
  for (const Column& column : columns) titles.emplace_back(column.title, Paint::kDim);
  line(titles);
  for (const Row& row : rows) line(row);
  return out;
}

std::string RenderFields(const std::vector<std::pair<std::string, std::string>>& fields,
                         bool color) {
  int width = 0;
  for (const auto& [title, value] : fields) {
    if (!value.empty()) width = std::max(width, DisplayWidth(title));
  }
  std::string out;
  for (const auto& [title, value] : fields) {
    if (value.empty()) continue;
    out += Painted(Pad(title, width), Paint::kDim, color) + "  " + value + "\n";
  }
  return out;
}

}  // namespace tutti::cli
