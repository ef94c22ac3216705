#include "jobs/spec/init.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "jobs/spec/yaml.h"
#include "tests/jobs/spec/spec_text.h"

namespace tutti::spec {
namespace {

InitAnswers Answers() {
  return {.name = "sections", .model = "./models/bert-tiny", .train = "data/train.jsonl"};
}

TEST(InitialSpec, IsAcceptedAndSaysWhatWasAnswered) {
  InitAnswers answers = Answers();
  answers.eval = "data/eval.jsonl";
  answers.text_column = "body";
  answers.label_column = "section, old";
  const JobSpec job = JobOf(InitialSpec(answers));
  EXPECT_EQ(job.name, "sections");
  EXPECT_EQ(job.model, "./models/bert-tiny");
  EXPECT_EQ(job.data.train, "data/train.jsonl");
  EXPECT_EQ(job.data.eval, "data/eval.jsonl");
  EXPECT_EQ(job.data.columns.at("text"), "body");
  EXPECT_EQ(job.data.columns.at("label"), "section, old");
}

TEST(InitialSpec, WithoutEvalKeepsAFractionAside) {
  EXPECT_EQ(JobOf(InitialSpec(Answers())).data.eval_fraction, 0.05);
}

TEST(InitialSpec, EveryCommentedFieldIsAccepted) {
  // With its "# " gone, a line that is a comment about a field becomes that field.
  std::istringstream lines(InitialSpec(Answers()));
  std::string text;
  int uncommented = 0;
  for (std::string line; std::getline(lines, line);) {
    const std::size_t hash = line.find("# ");
    const std::size_t colon = line.find(": ");
    const bool is_field = hash != std::string::npos && hash == line.find_first_not_of(' ') &&
                          colon != std::string::npos && line.find(' ', hash + 2) > colon;
    if (is_field) {
      line.erase(hash, 2);
      ++uncommented;
    }
    text += line + "\n";
  }
  EXPECT_GE(uncommented, 6) << text;
  EXPECT_EQ(ProblemsOf(text), "") << text;
}

TEST(InitialSpec, PreferencesAreLearnedByDpo) {
  InitAnswers answers = Answers();
  answers.task = Task::kTextGeneration;
  answers.preferences = true;
  EXPECT_EQ(JobOf(InitialSpec(answers)).method, Method(DpoSpec{}));
}

TEST(InitialSpec, OtherTasksAreWrittenToo) {
  InitAnswers answers = Answers();
  answers.task = Task::kTranslation;
  EXPECT_THAT(ProblemsOf(InitialSpec(answers)),
              testing::StartsWith("unsupported spec:5:7: task translation is not supported yet"));
}

class YamlTextOf : public testing::TestWithParam<std::string> {};

TEST_P(YamlTextOf, ReadsBack) {
  std::vector<LocatedError> errors;
  for (const std::string& text :
       {"a: " + YamlText(GetParam()) + "\n", "a: {b: " + YamlText(GetParam()) + "}\n",
        "a: [" + YamlText(GetParam()) + "]\n"}) {
    const auto root = ReadYaml(text, {.file_name = "f"}, errors);
    ASSERT_TRUE(root) << text;
    ASSERT_TRUE(errors.empty()) << text << errors.front().error.ToString();
    const Node* node = &root->AsMap()->front().value;
    if (node->AsMap() != nullptr) node = &node->AsMap()->front().value;
    if (node->AsList() != nullptr) node = &node->AsList()->front();
    ASSERT_TRUE(std::holds_alternative<std::string>(node->value)) << text;
    EXPECT_EQ(std::get<std::string>(node->value), GetParam());
  }
}

INSTANTIATE_TEST_SUITE_P(Texts, YamlTextOf,
                         testing::Values("a", "./a/b.jsonl", "", "42", "0x10", "true", "~", "null",
                                         "5e-5", "-", "- a", "a: b", "a #b", "#", "a,b", "[x]",
                                         "{x}", "'q'", "\"q\"", "back\\slash", "tab\tend",
                                         "line\nend", "\x01\x1f\x7f", "ä€𝄞", " a ", "&a", "*a",
                                         "!a", "%a", "@a", "`a", "|", ">", "?", ":", "...", "---"));

}  // namespace
}  // namespace tutti::spec
