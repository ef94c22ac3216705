// The tool that looks at checkpoints, on files that a real rank wrote.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <fstream>
#include <nlohmann/json.hpp>

#include "common/file/file.h"
#include "tests/worker/engine/rank_process.h"
#include "worker/engine/exit_codes.h"
#include "worker/engine/tools.h"

namespace tutti::engine {
namespace {

using finetune::SmallJob;
using nlohmann::json;
using testing::ElementsAre;
using testing::HasSubstr;

class CheckpointsTool : public testing::Test {
 protected:
  SmallJob job{"checkpoints"};
  std::string directory;

  void SetUp() override {
    spec::JobSpec spec = SmallJob::Spec();
    spec.training.max_steps = 9;
    spec.training.save_steps = 3;
    spec.training.save_total_limit = 9;
    spec.training.load_best_model_at_end = false;
    RankProcess rank;
    const enginelink::Plan plan = PlanOf(job, spec);
    rank.Send(plan);
    ASSERT_TRUE(rank.Await<enginelink::Done>());
    ASSERT_EQ(rank.Wait(), kExitOk);
    directory = plan.checkpoint_dir;
  }
  json Ask(const std::string& action, json more = json::object()) {
    more.update({{"action", action}, {"directory", directory}});
    const auto answer = Checkpoints(more);
    EXPECT_TRUE(answer) << answer.error().ToString();
    return answer ? *answer : json::object();
  }
  std::vector<int> Steps(const json& list) {
    std::vector<int> steps;
    for (const json& each : list) steps.push_back(each.at("step"));
    return steps;
  }
  std::vector<int> Listed() { return Steps(Ask("list").at("checkpoints")); }
  void Damage(int step) {
    const std::string path = directory + "/step-0000000" + std::to_string(step) + ".a1.h5";
    std::fstream file(path, std::ios::in | std::ios::out | std::ios::binary);
    file.seekp(-1, std::ios::end);
    file.put('\x55');
    ASSERT_TRUE(file.good());
  }
};

TEST_F(CheckpointsTool, VerifyReadsTheBytesAndSaysWhichAreGood) {
  EXPECT_THAT(Listed(), ElementsAre(9, 6, 3));
  for (const json& each : Ask("verify").at("checkpoints")) EXPECT_EQ(each["ok"], true) << each;
  Damage(6);
  const json list = Ask("verify").at("checkpoints");
  EXPECT_THAT(Steps(list), ElementsAre(9, 6, 3));
  EXPECT_EQ(list[0]["ok"], true);
  EXPECT_EQ(list[1]["ok"], false);
  EXPECT_THAT(list[1]["message"].get<std::string>(), HasSubstr("step-00000006"));
  EXPECT_EQ(list[2]["ok"], true);
  EXPECT_EQ(Ask("verify", {{"step", 3}}).at("checkpoints").size(), 1U);
  EXPECT_FALSE(Checkpoints({{"action", "verify"}, {"directory", directory}, {"step", 4}}));
}

TEST_F(CheckpointsTool, VerifyMissesACommittedOneThatIsNotThereOrIsAnother) {
  const json newest = {{"step", 12}, {"attempt", 1}, {"state_digest", "sha256:00"}};
  const json list = Ask("verify", {{"newest", newest}}).at("checkpoints");
  ASSERT_EQ(list.size(), 4U);
  EXPECT_EQ(list[3]["ok"], false);
  json other = newest;
  other["step"] = 9;
  EXPECT_EQ(Ask("verify", {{"newest", other}}).at("checkpoints")[0]["ok"], false);
}

TEST_F(CheckpointsTool, GcNeverTakesTheNewestGoodOneOfAJobThatMayGoOn) {
  Damage(9);
  const json keep_one = {{"keep", 1}, {"may_resume", true}, {"attempt", 2}};
  json dry = keep_one;
  dry["dry_run"] = true;
  const json would = Ask("gc", dry);
  EXPECT_THAT(Steps(would["kept"]), ElementsAre(9, 6));
  EXPECT_THAT(Steps(would["removed"]), ElementsAre(3));
  EXPECT_THAT(Listed(), ElementsAre(9, 6, 3));
  const json did = Ask("gc", keep_one);
  EXPECT_EQ(did["freed_bytes"], would["freed_bytes"]);
  EXPECT_GT(did["freed_bytes"], 100'000);
  EXPECT_THAT(Listed(), ElementsAre(9, 6));
  Ask("gc", {{"keep", 0}, {"may_resume", true}, {"attempt", 2}});
  EXPECT_THAT(Listed(), ElementsAre(6));
  Damage(6);
  Ask("gc", {{"keep", 0}, {"may_resume", true}, {"attempt", 2}});
  EXPECT_THAT(Listed(), ElementsAre(6));
  Ask("gc", {{"keep", 0}, {"may_resume", false}, {"attempt", 2}});
  EXPECT_TRUE(Listed().empty());
}

TEST_F(CheckpointsTool, WrongRequestsAreRefusedAndAFolderThatIsNotThereIsEmpty) {
  EXPECT_FALSE(Checkpoints({{"action", "burn"}, {"directory", directory}}));
  EXPECT_FALSE(Checkpoints({{"action", "list"}}));
  EXPECT_FALSE(Checkpoints({{"action", "gc"}, {"directory", directory}, {"keep", -1}}));
  directory = (job.root / "none").string();
  EXPECT_TRUE(Listed().empty());
  EXPECT_EQ(Ask("gc")["freed_bytes"], 0);
}

}  // namespace
}  // namespace tutti::engine
