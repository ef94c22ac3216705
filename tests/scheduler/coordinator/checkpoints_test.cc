// Checkpoints that come from a machine without the jobs folder: sent over HTTP, counted when they
// are whole, told to the next attempt, collected with those that are not kept.
#include <gmock/gmock.h>

#include "common/file/file.h"
#include "with_worker.h"

namespace tutti::coordinator {
namespace {

using testing::UnorderedElementsAre;

std::string NameOf(int step, int attempt) {
  return "step-0000000" + std::to_string(step) + ".a" + std::to_string(attempt);
}

class SentCheckpoints : public WithWorker {
 protected:
  Answer Put(const std::string& job, const std::string& file, const std::string& content) {
    return coordinator.Call("PUT", "/api/v1/jobs/" + job + "/checkpoints/" + file, content,
                            {{"X-Tutti-Digest", Sha256Of(content).ToString()}});
  }
  void PutBoth(const wire::LaunchGang& launch, int step) {
    const std::string name = NameOf(step, static_cast<int>(launch.attempt()));
    ASSERT_EQ(Put(launch.job(), name + ".h5", "data").status, 201);
    ASSERT_EQ(Put(launch.job(), name + ".json", "{}").status, 201);
  }
  wire::GangReport Sent(const wire::LaunchGang& launch, int step, std::uint32_t keep = 0) {
    wire::GangReport report = ReportOf(launch);
    auto& checkpoint = *report.mutable_checkpoint();
    checkpoint.set_step(static_cast<std::uint64_t>(step));
    checkpoint.set_path("/elsewhere/" + NameOf(step, 1) + ".h5");
    checkpoint.set_state_digest("sha256:aa");
    checkpoint.set_size_bytes(4);
    checkpoint.set_data_digest(Sha256Of("data").ToString());
    checkpoint.set_manifest_digest(Sha256Of("{}").ToString());
    checkpoint.set_manifest_size_bytes(2);
    checkpoint.set_keep(keep);
    checkpoint.set_uploaded(true);
    return report;
  }
  std::vector<std::string> Files(const std::string& job) {
    std::vector<std::string> names;
    std::error_code ignored;
    for (const auto& entry :
         fs::directory_iterator(coordinator.dir() / "jobs" / job / "checkpoints", ignored)) {
      names.push_back(entry.path().filename());
    }
    return names;
  }
};

TEST_F(SentCheckpoints, CountOnceBothFilesAreThere) {
  const wire::LaunchGang launch = Run("sent");
  ASSERT_EQ(Put(launch.job(), NameOf(5, 1) + ".h5", "data").status, 201);
  ASSERT_TRUE(worker->Report(Sent(launch, 5)));  // acknowledged, not counted
  EXPECT_TRUE(Job(launch.job())["checkpoints"].empty());
  ASSERT_EQ(Put(launch.job(), NameOf(5, 1) + ".json", "{}").status, 201);
  ASSERT_TRUE(worker->Report(Sent(launch, 5)));
  const json counted = Job(launch.job())["checkpoints"];
  ASSERT_EQ(counted.size(), 1U);
  EXPECT_EQ(counted[0]["path"],
            (coordinator.dir() / "jobs" / launch.job() / "checkpoints" / (NameOf(5, 1) + ".h5"))
                .string());
  const Answer read =
      coordinator.Get("/api/v1/jobs/" + launch.job() + "/checkpoints/" + NameOf(5, 1) + ".h5");
  EXPECT_EQ(read.status, 200);
  EXPECT_EQ(read.text, "data");
}

TEST_F(SentCheckpoints, AreToldToTheNextAttemptWithDigestsAndSizes) {
  const wire::LaunchGang launch = Run("next");
  PutBoth(launch, 5);
  ASSERT_TRUE(worker->Report(Sent(launch, 5)));
  wire::GangReport crashed = ReportOf(launch);
  crashed.mutable_ended()->set_outcome(wire::GangEnded::FAILED);
  crashed.mutable_ended()->set_reason("crash");
  ASSERT_TRUE(worker->Report(crashed));
  worker->Beat();
  const wire::LaunchGang again = Launched();
  ASSERT_EQ(again.attempt(), 2U);
  ASSERT_EQ(again.checkpoints_size(), 1);
  EXPECT_EQ(again.checkpoints(0).size_bytes(), 4U);
  EXPECT_EQ(again.checkpoints(0).data_digest(), Sha256Of("data").ToString());
  EXPECT_EQ(again.checkpoints(0).manifest_digest(), Sha256Of("{}").ToString());
  EXPECT_EQ(again.checkpoints(0).manifest_size_bytes(), 2U);
  // The attempt before is fenced off: nothing of it comes any more.
  EXPECT_EQ(Put(again.job(), NameOf(7, 1) + ".h5", "data").status, 409);
  EXPECT_EQ(Put(again.job(), NameOf(7, 2) + ".h5", "data").status, 201);
}

TEST_F(SentCheckpoints, ThatAreNotKeptGoWithTheNextOne) {
  const wire::LaunchGang launch = Run("kept");
  for (const int step : {1, 2, 3}) {
    PutBoth(launch, step);
    ASSERT_TRUE(worker->Report(Sent(launch, step, 2)));
  }
  EXPECT_TRUE(WaitUntil([&] { return Files(launch.job()).size() == 4; }));
  EXPECT_THAT(Files(launch.job()),
              UnorderedElementsAre(NameOf(2, 1) + ".h5", NameOf(2, 1) + ".json",
                                   NameOf(3, 1) + ".h5", NameOf(3, 1) + ".json"));
  EXPECT_EQ(Job(launch.job())["checkpoints"].size(), 2U);
}

TEST_F(SentCheckpoints, AreRefusedWhenTheyAreNotWhatTheySay) {
  const wire::LaunchGang launch = Run("refused");
  const std::string target = "/api/v1/jobs/" + launch.job() + "/checkpoints/";
  EXPECT_EQ(coordinator.Call("PUT", target + NameOf(5, 1) + ".h5", "data").status, 422);
  EXPECT_EQ(coordinator
                .Call("PUT", target + NameOf(5, 1) + ".h5", "data",
                      {{"X-Tutti-Digest", Sha256Of("other").ToString()}})
                .status,
            422);
  EXPECT_EQ(Put(launch.job(), "evil.sh", "data").status, 422);
  EXPECT_EQ(Put(launch.job(), NameOf(5, 1) + ".json", "{}").status, 404);  // before its data
  EXPECT_EQ(Put("j-0000000z", NameOf(5, 1) + ".h5", "data").status, 404);
  EXPECT_TRUE(Files(launch.job()).empty());
  EXPECT_TRUE(WaitUntil([&] { return fs::is_empty(coordinator.dir() / "coordinator/uploads"); }));
}

}  // namespace
}  // namespace tutti::coordinator
