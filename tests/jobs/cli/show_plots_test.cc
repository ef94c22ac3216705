// `tutti show --plot` against an HTTP server: which curves are drawn, and how wide.
#include <gmock/gmock.h>

#include <nlohmann/json.hpp>
#include <sstream>

#include "jobs/cli/text.h"
#include "with_server.h"

namespace tutti::cli {
namespace {

using nlohmann::json;
using testing::HasSubstr;
using testing::Not;

class ShowPlotsTest : public WithServer {
 protected:
  ShowPlotsTest() {
    routes_["GET /api/v1/jobs/sections"] = [](const Seen&) {
      return FakeServer::Json(
          json{{"id", "j-00000001"}, {"name", "sections"}, {"state", "running"}}.dump());
    };
    Curves({"eval.accuracy", "grad_norm", "loss"});
  }
  void Curves(const std::vector<std::string>& names) {
    json data = json::array();
    for (const std::string& name : names) {
      data.push_back(
          {{"name", name},
           {"points",
            {{{"step", 1}, {"value", 3.0}}, {{"step", 2}}, {{"step", 20}, {"value", 0.5}}}}});
    }
    routes_["GET /api/v1/jobs/j-00000001/metrics"] = [data](const Seen&) {
      return FakeServer::Json(json{{"data", data}}.dump());
    };
  }
};

TEST_F(ShowPlotsTest, LossAndEvaluationsAreDrawnUnlessOthersAreAskedFor) {
  const Ran usual = Run({"show", "sections", "--plot"});
  EXPECT_EQ(usual.exit, 0) << usual.err;
  EXPECT_THAT(usual.out, HasSubstr("loss  0.5 at 20\n"));
  EXPECT_THAT(usual.out, HasSubstr("eval.accuracy"));
  EXPECT_THAT(usual.out, Not(HasSubstr("grad_norm")));
  const Ran chosen = Run({"show", "sections", "--curve", "grad_norm"});
  EXPECT_EQ(chosen.exit, 0) << chosen.err;
  EXPECT_THAT(chosen.out, HasSubstr("grad_norm  0.5 at 20\n"));
  EXPECT_THAT(chosen.out, Not(HasSubstr("loss")));
}

TEST_F(ShowPlotsTest, ACurveThatIsNotThereIsAnErrorThatNamesThoseThatAre) {
  for (const char* curves : {"los", "loss,los"}) {
    const Ran ran = Run({"show", "sections", "--curve", curves});
    EXPECT_EQ(ran.exit, 5) << ran.out;
    EXPECT_THAT(ran.err, HasSubstr("los"));
    EXPECT_THAT(ran.err, HasSubstr("it has eval.accuracy, grad_norm, loss"));
  }
}

TEST_F(ShowPlotsTest, AJobWithoutCurvesIsNoError) {
  Curves({});
  const Ran ran = Run({"show", "sections", "--plot"});
  EXPECT_EQ(ran.exit, 0);
  EXPECT_THAT(ran.err, HasSubstr("no curves yet"));
}

TEST_F(ShowPlotsTest, PicturesFitTheTerminalAndItsColours) {
  for (const int width : {40, 80, 120}) {
    const Ran ran = Run({"show", "sections", "--plot"},
                        {.env = {{"TUTTI_TOKEN", "secret"}, {"NO_COLOR", "1"}, {"LANG", "C.UTF-8"}},
                         .terminal = true,
                         .width = width});
    EXPECT_EQ(ran.out.find('\x1b'), std::string::npos);
    std::istringstream text(ran.out);
    int widest = 0;
    for (std::string line; std::getline(text, line);) {
      widest = std::max(widest, DisplayWidth(line));
    }
    EXPECT_EQ(widest, width);
  }
  const Ran painted = Run({"show", "sections", "--plot"}, {.terminal = true});
  EXPECT_THAT(painted.out, HasSubstr("\x1b["));
}

TEST_F(ShowPlotsTest, JsonHasTheCurves) {
  const json shown = Run({"show", "sections", "--plot", "--json"}).Json();
  EXPECT_EQ(shown.at("id"), "j-00000001");
  EXPECT_EQ(shown.at("curves").size(), 3u);
}

}  // namespace
}  // namespace tutti::cli
