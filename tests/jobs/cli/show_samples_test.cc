// `tutti show` of a language model against an HTTP server: what it answered, and when.
#include <gmock/gmock.h>

#include <nlohmann/json.hpp>

#include "with_server.h"

namespace tutti::cli {
namespace {

using nlohmann::json;
using testing::HasSubstr;
using testing::Not;

json Sample(const std::string& answer, bool ended) {
  return {{"prompt", "Package:\ttux"}, {"answer", answer}, {"expected", "paint"}, {"ended", ended}};
}

class ShowSamplesTest : public WithServer {
 protected:
  ShowSamplesTest() { Job("text-generation"); }
  void Job(const std::string& task) {
    routes_["GET /api/v1/jobs/archive"] = [task](const Seen&) {
      return FakeServer::Json(json{{"id", "j-00000001"},
                                   {"name", "archive"},
                                   {"state", "running"},
                                   {"task", task},
                                   {"eval", {{"step", 8}, {"loss", 2.5}}}}
                                  .dump());
    };
  }
  void Evaluations(const json& data) {
    routes_["GET /api/v1/jobs/j-00000001/samples"] = [this, data](const Seen& seen) {
      asked_ = seen.target;
      return FakeServer::Json(json{{"data", data}}.dump());
    };
  }
  std::string asked_;
};

TEST_F(ShowSamplesTest, AllOfThemByStepWithTheirLines) {
  Evaluations({{{"step", 4}, {"samples", {Sample("a\nb\x1b[31m", false)}}},
               {{"step", 8}, {"samples", {Sample("", true)}}}});
  const Ran ran = Run({"show", "archive", "--samples"});
  EXPECT_EQ(ran.exit, 0) << ran.err;
  EXPECT_EQ(ran.out,
            "step 4\n"
            "  prompt    Package: tux\n"
            "  answer    a\n"
            "            b?[31m …\n"
            "  expected  paint\n\n"
            "step 8\n"
            "  prompt    Package: tux\n"
            "  answer\n"
            "  expected  paint\n\n");
  const Ran as_json = Run({"--json", "show", "archive", "--samples"});
  EXPECT_EQ(json::parse(as_json.out)["samples"][1]["step"], 8);
}

TEST_F(ShowSamplesTest, TheNewestStandBelowTheJob) {
  Evaluations({{{"step", 8}, {"samples", {Sample("brush\nes", true), Sample("x", false)}}}});
  const Ran ran = Run({"show", "archive"});
  EXPECT_EQ(ran.exit, 0) << ran.err;
  EXPECT_THAT(asked_, HasSubstr("limit=1"));
  EXPECT_THAT(ran.out, HasSubstr("answers at step 8"));
  EXPECT_THAT(ran.out, HasSubstr("Package: tux  brush es  paint"));
  EXPECT_THAT(ran.out, HasSubstr("x …"));
}

TEST_F(ShowSamplesTest, WhereThereAreNoneNothingIsShownOrItIsSaidWhy) {
  Evaluations(json::array());
  EXPECT_THAT(Run({"show", "archive"}).out, Not(HasSubstr("answers")));
  EXPECT_THAT(Run({"show", "archive", "--samples"}).err, HasSubstr("none yet"));
  Job("text-classification");
  asked_.clear();
  EXPECT_EQ(Run({"show", "archive"}).exit, 0);
  EXPECT_EQ(asked_, "") << "a classifier is not asked for any";
  EXPECT_THAT(Run({"show", "archive", "--samples"}).err, HasSubstr("only jobs of text-generation"));
}

}  // namespace
}  // namespace tutti::cli
