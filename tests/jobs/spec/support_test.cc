#include "jobs/spec/support.h"

#include <gtest/gtest.h>

#include <set>

#include "tests/jobs/spec/spec_text.h"

namespace tutti::spec {
namespace {

struct NotYetCase {
  std::string text;
  std::string problem;
};
std::ostream& operator<<(std::ostream& out, const NotYetCase& c) { return out << c.text; }

NotYetCase NotYetLine(std::string_view line, std::string problem) {
  return {Minimal(std::string(line) + "\n"), std::move(problem)};
}

class NotYet : public testing::TestWithParam<NotYetCase> {};

TEST_P(NotYet, IsSaidWithWhatToDoInstead) {
  EXPECT_EQ(ProblemsOf(GetParam().text), "unsupported " + GetParam().problem + "\n");
}

INSTANTIATE_TEST_SUITE_P(
    Tasks, NotYet,
    testing::Values(NotYetCase{"name: a\ntask: translation\nmodel: m\ndata: {train: t}\n",
                               "spec:2:7: task translation is not supported yet (supported: "
                               "text-classification, text-generation)"},
                    NotYetCase{"name: a\ntask: summarization\nmodel: m\ndata: {train: t}\n",
                               "spec:2:7: task summarization is not supported yet (supported: "
                               "text-classification, text-generation)"}));

TEST(Support, TextGenerationIsSupported) {
  for (const char* format : {"prompt-completion", "chat", "alpaca", "sharegpt"}) {
    EXPECT_EQ(ProblemsOf("name: a\ntask: text-generation\nmodel: m\n"
                         "data: {train: t, packing: true, format: " +
                         std::string(format) + "}\n"),
              "");
  }
}

TEST(Support, AdaptersAndWarmStartsAreSupported) {
  EXPECT_EQ(ProblemsOf(Minimal("method: {lora: {r: 16, lora_alpha: 32, target_modules: "
                               "all-linear}}\nresume_from: ft:x\n")),
            "");
}

TEST(Support, GpusAreAskedForByRank) {
  EXPECT_EQ(ProblemsOf(Minimal("resources: {gpus_per_rank: 64}\n")), "");
  EXPECT_EQ(ProblemsOf(Minimal("resources: {gpus_per_rank: 65}\n")),
            "invalid spec:5:28: resources.gpus_per_rank must be at least 0 and at most 64, not "
            "'65'\n");
}

TEST(Support, PreferencesAreSupportedWithAndWithoutAdapters) {
  for (const char* method : {"{dpo: {}}", "{dpo: {beta: 0.2, loss_type: ipo, lora: {r: 4}}}",
                             "{dpo: {loss_type: robust, label_smoothing: 0.1}}"}) {
    EXPECT_EQ(ProblemsOf("name: a\ntask: text-generation\nmodel: m\ndata: {train: t, eval: 0.1, "
                         "format: preference}\ntraining: {metric_for_best_model: "
                         "rewards/accuracies}\nmethod: " +
                         std::string(method) + "\n"),
              "");
  }
}

INSTANTIATE_TEST_SUITE_P(
    Fields, NotYet,
    testing::Values(
        NotYetLine(
            "training: {lr_scheduler_type: reduce_lr_on_plateau}",
            "spec:5:31: training.lr_scheduler_type reduce_lr_on_plateau is not supported yet "
            "(supported: every other schedule)"),
        NotYetLine("deploy: {on_success: true}",
                   "spec:5:22: deploy.on_success is not supported yet (supported: false)"),
        NotYetLine("publish: {app: team/finder}",
                   "spec:5:16: publish.app is not supported yet (leave it out)"),
        NotYetCase{
            "name: a\ntask: text-classification\nmodel: m\ndata: {train: t, packing: true}\n",
            "spec:4:27: data.packing is not supported yet (supported: of text-generation; "
            "elsewhere rows of like length share a batch anyway)"}));

struct BadCase {
  std::string text;
  std::string problem;
};

TEST(NotYet, ABadValueIsReportedAsSuch) {
  EXPECT_EQ(ProblemsOf(Minimal("method: {lora: {r: 0}}\n")),
            "invalid spec:5:20: method.lora.r must be at least 1 and at most 65536, not '0'\n");
  EXPECT_EQ(ProblemsOf(Minimal("resources: {gpus_per_rank: -1}\n")),
            "invalid spec:5:28: resources.gpus_per_rank must be at least 0 and at most 64, not "
            "'-1'\n");
  EXPECT_EQ(ProblemsOf(Minimal("publish: {app: x}\n")),
            "invalid spec:5:16: publish.app must be OWNER/NAME, not 'x'\n"
            "unsupported spec:5:16: publish.app is not supported yet (leave it out)\n");
  EXPECT_EQ(ProblemsOf(Minimal("sweep: {parameters: {training.learning_rate: [-1]}}\n")),
            "invalid spec:5:47: training.learning_rate must be above 0, not '-1'\n");
  EXPECT_EQ(ProblemsOf(Minimal("sweep: {parameters: {training: [1], training.learning_rat: [1], "
                               "training.seed: 3, method.dpo.lora.r: [4, x]}}\n")),
            "invalid spec:5:22: 'training' is no field to sweep\n"
            "invalid spec:5:37: 'training.learning_rat' is no field to sweep (did you mean "
            "training.learning_rate?)\n"
            "invalid spec:5:80: training.seed must be a list of 1 to 1000 values to try, not a "
            "whole number '3'\n");
  EXPECT_EQ(ProblemsOf(Minimal("sweep: {parameters: {method.dpo.lora.r: [4, x]}}\n")),
            "invalid spec:5:45: method.dpo.lora.r must be a whole number, not text 'x'\n");
}

TEST(NotYet, FormatsAndDpoOfOtherTasks) {
  EXPECT_EQ(ProblemsOf("name: a\ntask: text-generation\nmodel: m\n"
                       "data: {train: t, format: preference}\n"),
            "invalid spec:4:26: rows of format preference need method dpo (write method: {dpo: "
            "{}})\n");
  EXPECT_EQ(ProblemsOf("name: a\ntask: text-classification\nmodel: m\n"
                       "data: {train: t, format: chat}\n"),
            "invalid spec:4:26: data.format chat is none of text-classification (one of auto, "
            "text-label)\n");
}

TEST(Limits, EachIsAboutAFieldOfTheTable) {
  std::set<std::string_view> paths;
  for (const Limit& limit : Limits()) {
    EXPECT_NE(FindField(limit.path), nullptr) << limit.path;
    EXPECT_TRUE(paths.insert(limit.path).second) << limit.path;
    EXPECT_FALSE(limit.instead.empty()) << limit.path;
    EXPECT_FALSE(limit.is_beyond(Draft{})) << limit.path << " by default";
  }
}

}  // namespace
}  // namespace tutti::spec
