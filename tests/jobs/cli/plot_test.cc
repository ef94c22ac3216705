#include "jobs/cli/plot.h"

#include <gmock/gmock.h>

#include <cmath>
#include <limits>
#include <sstream>

#include "jobs/cli/text.h"

namespace tutti::cli {
namespace {

using Points = std::vector<std::pair<double, double>>;

std::vector<std::string> PlotLines(const std::string& text) {
  std::vector<std::string> lines;
  std::istringstream in(text);
  for (std::string line; std::getline(in, line);) lines.push_back(line);
  return lines;
}

// A falling line goes from the top left to the bottom right.
TEST(Plot, DrawsWhereTheValuesLie) {
  const std::string text =
      RenderPlot("loss", {{0, 4}, {10, 2}}, {.width = 26, .height = 3, .unicode = false});
  EXPECT_EQ(text,
            "loss  2 at 10\n"
            "4 |********               \n"
            "  |       *********       \n"
            "2 |               ********\n"
            "   0                    10\n");
}

TEST(Plot, UsesBrailleWhereThereIsUnicode) {
  const auto lines = PlotLines(RenderPlot("x", {{0, 0}, {1, 1}}, {.width = 24, .height = 2}));
  ASSERT_EQ(lines.size(), 4u);
  EXPECT_NE(lines[1].find("⠉"), std::string::npos) << lines[1];
  for (const std::string& line : lines) EXPECT_LE(DisplayWidth(line), 24) << line;
}

TEST(Plot, NeverIsWiderThanItMayBe) {
  for (int width = 24; width < 120; width += 7) {
    const std::string text =
        RenderPlot("loss", {{1, 1234.5}, {500, 1e-7}, {1000, 3}}, {.width = width});
    for (const std::string& line : PlotLines(text)) EXPECT_LE(DisplayWidth(line), width) << line;
  }
}

TEST(Plot, AFlatCurveAndASinglePointStandInTheMiddle) {
  for (const Points& points : {Points{{1, 5}, {2, 5}, {3, 5}}, Points{{7, 5}}}) {
    const auto lines =
        PlotLines(RenderPlot("x", points, {.width = 30, .height = 3, .unicode = false}));
    ASSERT_EQ(lines.size(), 5u);
    EXPECT_EQ(lines[1].find('*'), std::string::npos) << lines[1];
    EXPECT_NE(lines[2].find('*'), std::string::npos) << lines[2];
    EXPECT_EQ(lines[3].find('*'), std::string::npos) << lines[3];
  }
}

TEST(Plot, LeavesOutWhatIsNoNumber) {
  const double nan = std::numeric_limits<double>::quiet_NaN();
  EXPECT_EQ(RenderPlot("x", {}, {}), "");
  EXPECT_EQ(RenderPlot("x", {{1, nan}, {2, INFINITY}}, {}), "");
  EXPECT_EQ(RenderPlot("x", {{0, 4}, {5, nan}, {10, 2}}, {}),
            RenderPlot("x", {{0, 4}, {10, 2}}, {}));
}

}  // namespace
}  // namespace tutti::cli
