// Curves as pictures made of characters: Braille dots, or asterisks where there is no Unicode.
// Pure.
#pragma once

#include <string>
#include <utility>
#include <vector>

namespace tutti::cli {

struct PlotOptions {
  int width = 80;   // columns in all, 24 at least
  int height = 10;  // lines of the picture itself
  bool unicode = true;
  bool color = false;
};

// Lines with a newline each: the title, the picture with the highest and the lowest value beside
// it, the first and the last x below it, and the last value. Points rise in x; those that are not
// finite are left out. "" when none is left.
std::string RenderPlot(const std::string& title,
                       const std::vector<std::pair<double, double>>& points,
                       const PlotOptions& options);

}  // namespace tutti::cli
