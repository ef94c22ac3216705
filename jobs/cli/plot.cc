#include "jobs/cli/plot.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <iterator>

#include "jobs/cli/console.h"
#include "jobs/cli/text.h"

namespace tutti::cli {
namespace {

constexpr int kNarrowest = 24;
constexpr int kDotsAcross = 2;  // of a Braille character
constexpr int kDotsDown = 4;
constexpr std::array<std::array<unsigned, kDotsAcross>, kDotsDown> kDots = {
    {{0x01, 0x08}, {0x02, 0x10}, {0x04, 0x20}, {0x40, 0x80}}};

// Dots of a picture, from the top left.
class Canvas {
 public:
  Canvas(int columns, int lines)
      : columns_(columns), cells_(static_cast<std::size_t>(columns * lines), 0U) {}

  void Dot(int x, int y) {
    const auto cell = static_cast<std::size_t>(y / kDotsDown * columns_ + x / kDotsAcross);
    cells_[cell] |=
        kDots[static_cast<std::size_t>(y % kDotsDown)][static_cast<std::size_t>(x % kDotsAcross)];
  }
  void Line(int x0, int y0, int x1, int y1) {
    const int steps = std::max({std::abs(x1 - x0), std::abs(y1 - y0), 1});
    const auto between = [steps](int from, int to, int i) {
      return from + static_cast<int>(std::lround(static_cast<double>(to - from) * i / steps));
    };
    for (int i = 0; i <= steps; ++i) Dot(between(x0, x1, i), between(y0, y1, i));
  }
  std::string Row(int line, bool unicode) const {
    std::string text;
    for (int column = 0; column < columns_; ++column) {
      const unsigned dots = cells_[static_cast<std::size_t>(line * columns_ + column)];
      if (!unicode) {
        text.push_back(dots == 0 ? ' ' : '*');
        continue;
      }
      const unsigned letter = 0x2800U + dots;  // as UTF-8, of three bytes
      text.push_back(static_cast<char>(0xE0U | (letter >> 12U)));
      text.push_back(static_cast<char>(0x80U | ((letter >> 6U) & 0x3FU)));
      text.push_back(static_cast<char>(0x80U | (letter & 0x3FU)));
    }
    return text;
  }

 private:
  int columns_;
  std::vector<unsigned> cells_;
};

// Where `value` lies between `from` and `to`, as one of `dots`.
int Place(double value, double from, double to, int dots) {
  if (to <= from) return dots / 2;
  return static_cast<int>(std::lround((value - from) / (to - from) * (dots - 1)));
}

std::string Whole(double x) { return Count(static_cast<std::int64_t>(std::llround(x))); }

}  // namespace

std::string RenderPlot(const std::string& title,
                       const std::vector<std::pair<double, double>>& points,
                       const PlotOptions& options) {
  std::vector<std::pair<double, double>> finite;
  std::copy_if(points.begin(), points.end(), std::back_inserter(finite), [](const auto& point) {
    return std::isfinite(point.first) && std::isfinite(point.second);
  });
  if (finite.empty()) return {};
  const auto by_value = [](const auto& a, const auto& b) { return a.second < b.second; };
  const auto [low, high] = std::minmax_element(finite.begin(), finite.end(), by_value);
  const std::string top = Number(high->second);
  const std::string bottom = Number(low->second);
  const int labels = std::max(DisplayWidth(top), DisplayWidth(bottom));
  const int columns = std::max(options.width, kNarrowest) - labels - 2;
  const double first = finite.front().first;
  const double last = finite.back().first;

  Canvas canvas(columns, options.height);
  const int dots = options.height * kDotsDown;
  const auto place = [&](const std::pair<double, double>& point) {
    return std::pair(Place(point.first, first, last, columns * kDotsAcross),
                     dots - 1 - Place(point.second, low->second, high->second, dots));
  };
  auto before = place(finite.front());
  for (const auto& point : finite) {
    const auto now = place(point);
    canvas.Line(before.first, before.second, now.first, now.second);
    before = now;
  }

  std::string text = Painted(title, Paint::kBold, options.color) + "  " +
                     Number(finite.back().second) + " at " + Whole(last) + "\n";
  const char* axis = options.unicode ? "│" : "|";
  for (int line = 0; line < options.height; ++line) {
    const std::string label = line == 0 ? top : line == options.height - 1 ? bottom : "";
    text += Painted(Pad(label, labels, true) + " " + axis, Paint::kDim, options.color) +
            Painted(canvas.Row(line, options.unicode), Paint::kCyan, options.color) + "\n";
  }
  const std::string from = Whole(first);
  const std::string to = Whole(last);
  text += Painted(std::string(static_cast<std::size_t>(labels) + 2, ' ') + from +
                      Pad(to, columns - DisplayWidth(from), true),
                  Paint::kDim, options.color) +
          "\n";
  return text;
}

}  // namespace tutti::cli
