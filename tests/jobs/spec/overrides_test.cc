#include "jobs/spec/overrides.h"

#include <gtest/gtest.h>

#include "tests/jobs/spec/spec_text.h"

namespace tutti::spec {
namespace {

TEST(Overrides, ReplaceAndAddFields) {
  const JobSpec job =
      JobOf(Minimal("training: {seed: 1}\n"),
            {"training.seed=7", "training.learning_rate=1.0e-4", "resources.ranks={min: 1, max: 4}",
             "retry.on=[oom, hang]", "data.source_prefix=", "schedule.max_duration=6h"});
  EXPECT_EQ(job.training.seed, 7);
  EXPECT_EQ(job.training.learning_rate, 1e-4);
  EXPECT_EQ(job.resources.ranks_max, 4);
  EXPECT_EQ(job.retry.on, (std::vector<RetryOn>{RetryOn::kOom, RetryOn::kHang}));
  EXPECT_EQ(job.schedule.max_duration, std::chrono::hours(6));
}

TEST(Overrides, TheLastOneWins) {
  EXPECT_EQ(JobOf(Minimal(), {"training.seed=1", "training.seed=2"}).training.seed, 2);
}

TEST(Overrides, APlainWordIsTextWhereTextIsMeant) {
  const JobSpec job = JobOf(Minimal(), {"name=42", "metadata.ticket=0x10", "schedule.queue=true"});
  EXPECT_EQ(job.name, "42");
  EXPECT_EQ(job.metadata.at("ticket"), "0x10");
  EXPECT_EQ(job.schedule.queue, "true");
}

TEST(Overrides, KeysOfMetadataMayHaveDots) {
  const JobSpec job = JobOf(Minimal(), {"metadata.team.lead=x=y"});
  EXPECT_EQ(job.metadata.at("team.lead"), "x=y");
}

TEST(Overrides, RepairWhatTheFileHasWrong) {
  EXPECT_EQ(ProblemsOf(Minimal("training: {shards: 3}\n"), {"training.shards=4"}), "");
}

TEST(Overrides, OneBoundOfRanksKeepsTheOther) {
  const JobSpec job = JobOf(Minimal("resources: {ranks: 4}\n"), {"resources.ranks.min=1"});
  EXPECT_EQ(job.resources.ranks_min, 1);
  EXPECT_EQ(job.resources.ranks_max, 4);
}

TEST(Overrides, MakeASpecOfNothing) {
  const JobSpec job =
      JobOf("", {"name=a", "task=text-classification", "model=./m", "data={train: t}"});
  EXPECT_EQ(job.data.train, "t");
}

struct BadOverrideCase {
  std::string set;
  std::string problem;
};
std::ostream& operator<<(std::ostream& out, const BadOverrideCase& c) { return out << c.set; }

class BadOverride : public testing::TestWithParam<BadOverrideCase> {};

TEST_P(BadOverride, StandsAtTheOption) {
  EXPECT_EQ(ProblemsOf(Minimal("training: {seed: 1}\n"), {GetParam().set}),
            "invalid " + GetParam().problem + "\n");
}

constexpr const char* kUsage = " (write --set FIELD=VALUE, like training.learning_rate=1.0e-4)";

INSTANTIATE_TEST_SUITE_P(
    All, BadOverride,
    testing::Values(
        BadOverrideCase{
            "training.shards=3",
            "--set training.shards: training.shards must be a power of two, not 3 (write 2 or 4)"},
        BadOverrideCase{
            "training.shrds=4",
            "--set training.shrds: unknown field 'shrds' in training (did you mean shards?)"},
        BadOverrideCase{
            "training.learning_rate='5e-5'",
            "--set training.learning_rate: training.learning_rate must be a number, not text "
            "'5e-5' (write 5e-5 without quotes)"},
        BadOverrideCase{"training.seed",
                        std::string("--set: 'training.seed' is no FIELD=VALUE") + kUsage},
        BadOverrideCase{"", std::string("--set: '' is no FIELD=VALUE") + kUsage},
        BadOverrideCase{"=1", std::string("--set: '=1' is no FIELD=VALUE") + kUsage},
        BadOverrideCase{"a..b=1", std::string("--set a..b: 'a..b' is no path of a field") + kUsage},
        BadOverrideCase{".a=1", std::string("--set .a: '.a' is no path of a field") + kUsage},
        BadOverrideCase{"metadata.=1",
                        std::string("--set metadata.: 'metadata.' is no path of a field") + kUsage},
        BadOverrideCase{
            "training.retries={",
            "--set training.retries: not YAML: did not find expected node content while parsing a "
            "flow node"},
        BadOverrideCase{
            "name=&x a",
            "--set name: YAML anchors are not accepted (write the value out where it is used)"}));

TEST(Overrides, BytesThatAreNoTextAreRefused) {
  const std::string problems = ProblemsOf(Minimal(), {"\xff=1"});
  EXPECT_EQ(problems, "invalid --set: '\\xff=1' is no FIELD=VALUE" + std::string(kUsage) + "\n");
}

TEST(Overrides, DepthIsBounded) {
  std::string path = "a";
  for (int i = 0; i < 100; ++i) path += ".a";
  const std::string problems = ProblemsOf(Minimal(), {path + "=1"});
  EXPECT_NE(problems.find("is no path of a field"), std::string::npos) << problems;
}

}  // namespace
}  // namespace tutti::spec
