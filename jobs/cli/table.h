// Tables that fit the terminal. Pure.
#pragma once

#include <string>
#include <vector>

#include "jobs/cli/console.h"

namespace tutti::cli {

struct Column {
  std::string title;
  bool right = false;
  int shrink_to = 0;  // > 0: may be cut down to that many columns
  int keep = 0;       // what doesn't fit is dropped from the lowest up; 0 = never
};

struct Cell {
  Cell(std::string t = {}, Paint p = Paint::kNone) : text(std::move(t)), paint(p) {}  // NOLINT
  std::string text;
  Paint paint;
};
using Row = std::vector<Cell>;

// Lines with a newline each, the titles first. No line is wider than `width` (0 = no bound) as long
// as the columns that are never dropped fit, cut down.
std::string RenderTable(const std::vector<Column>& columns, const std::vector<Row>& rows, int width,
                        bool color);

// "title  value" lines, the values aligned; lines with an empty value are left out.
std::string RenderFields(const std::vector<std::pair<std::string, std::string>>& fields,
                         bool color);

}  // namespace tutti::cli
