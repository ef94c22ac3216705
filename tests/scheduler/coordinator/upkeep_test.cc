// Backups made while the coordinator serves, and blobs that nothing needs.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <sys/stat.h>

#include <atomic>
#include <chrono>
#include <map>
#include <set>
#include <thread>

#include "common/file/file.h"
#include "with_worker.h"

namespace tutti::coordinator {
namespace {

using testing::HasSubstr;

std::set<std::string> IdsOf(const CoordinatorProcess& coordinator) {
  std::set<std::string> ids;
  const json listed = coordinator.Get("/api/v1/jobs?all=1&limit=200").body["data"];
  for (const json& job : listed) ids.insert(job["id"]);
  return ids;
}

class Backup : public WithWorker {
 protected:
  Answer To(const fs::path& path) {
    return coordinator.Post("/api/v1/backup", {{"path", path.string()}});
  }
  json MakeModel(const std::string& name, const std::string& weights) {
    const wire::LaunchGang launch = Run(name);
    coordinator.PutBlob(weights);
    EXPECT_TRUE(worker->Report(Succeeded(launch, weights)));
    return Job(launch.job());
  }

  const fs::path copy = scratch.path() / "copy";
};

TEST_F(Backup, ACoordinatorOnTheCopyHasEveryJobAndModelWithTheirBytes) {
  const std::string done = MakeModel("done", "weights")["id"];
  const std::string waits = coordinator.Submit("waits");
  const json token = coordinator.Post("/api/v1/tokens", {{"scope", "viewer"}}).body;
  const Answer made = To(copy);
  ASSERT_EQ(made.status, 201) << made.text;
  EXPECT_EQ(made.body["path"], copy.string());
  EXPECT_EQ(made.body["jobs"], 2);
  EXPECT_GT(made.body["files"], 5);
  coordinator.Submit("later");  // not in the copy

  struct stat status {};
  ASSERT_EQ(::stat(copy.c_str(), &status), 0);
  EXPECT_EQ(status.st_mode & 0777, 0700U) << "it has the cluster's keys";
  EXPECT_FALSE(fs::exists(copy / "coordinator/serving.json"));
  CoordinatorProcess restored(copy);
  ASSERT_TRUE(restored.Start()) << restored.log();
  EXPECT_EQ(restored.Token(), coordinator.Token());
  EXPECT_EQ(IdsOf(restored), (std::set{done, waits}));
  EXPECT_EQ(restored.StateOf(done), "succeeded");
  EXPECT_EQ(restored.Get("/api/v1/models/done/files/model.safetensors").text, "weights");
  EXPECT_EQ(ReadFile(copy / "models" / done / "model.safetensors").value_or(""), "weights");
  EXPECT_EQ(restored.Get("/api/v1/tokens").body["data"][0]["id"], token["id"]);
  const json spec = restored.Get("/api/v1/jobs/" + waits + "/spec").body;
  const std::string train = spec["inputs"]["train"]["digest"];
  EXPECT_EQ(restored.Get("/api/v1/blobs/" + train).status, 200);
  EXPECT_NE(restored.Submit("on-the-copy"), "");
}

TEST_F(Backup, IsWholeWhileJobsAreSubmitted) {
  std::atomic<bool> enough = false;
  std::vector<std::string> acknowledged;
  std::thread submitting([&] {
    for (int i = 0; !enough && i < 150; ++i)
      acknowledged.push_back(coordinator.Submit("j" + std::to_string(i)));
  });
  const bool many = WaitUntil([&] { return IdsOf(coordinator).size() >= 10; });
  const std::set<std::string> before = IdsOf(coordinator);
  const Answer made = To(copy);
  enough = true;
  submitting.join();
  ASSERT_TRUE(many);
  ASSERT_EQ(made.status, 201) << made.text;
  CoordinatorProcess restored(copy);
  ASSERT_TRUE(restored.Start()) << restored.log();
  const std::set<std::string> there = IdsOf(restored);
  const std::set<std::string> all(acknowledged.begin(), acknowledged.end());
  EXPECT_EQ(there.size(), made.body["jobs"].get<std::size_t>());
  for (const std::string& id : before) EXPECT_TRUE(there.contains(id)) << id;
  for (const std::string& id : there) {
    EXPECT_TRUE(all.contains(id)) << id;
    const json spec = restored.Get("/api/v1/jobs/" + id + "/spec").body;
    const std::string train = spec["inputs"]["train"]["digest"];
    EXPECT_TRUE(fs::exists(copy / "coordinator/blobs" / train.substr(7, 2) / train.substr(7)))
        << id;
  }
}

TEST_F(Backup, CheckpointsComeWithTheirManifestsOrNotAtAll) {
  const wire::LaunchGang launch = Run("trains");
  const fs::path folder = coordinator.dir() / "jobs" / launch.job() / "checkpoints";
  fs::create_directories(folder);
  for (const char* name : {"step-00000005.a1.h5", "step-00000005.a1.json", "step-00000010.a1.h5",
                           "step-00000015.a1.json", "step-00000020.a1.h5.tmp-7"}) {
    ASSERT_TRUE(WriteFileAtomically(folder / name, "content"));
  }
  ASSERT_EQ(To(copy).status, 201);
  std::set<std::string> copied;
  for (const auto& entry : fs::directory_iterator(copy / "jobs" / launch.job() / "checkpoints")) {
    copied.insert(entry.path().filename());
  }
  EXPECT_THAT(copied, testing::ElementsAre("step-00000005.a1.h5", "step-00000005.a1.json",
                                           "step-00000010.a1.h5"));
}

TEST_F(Backup, PlacesThatWouldNotDoAreRefusedAndNothingIsLeft) {
  ASSERT_TRUE(MakeDirectories(scratch.path() / "full/of"));
  ASSERT_TRUE(MakeDirectories(scratch.path() / "empty"));
  ASSERT_TRUE(WriteFileAtomically(scratch.path() / "file", "x"));
  for (const auto& [path, status, says] : std::vector<std::tuple<fs::path, int, const char*>>{
           {"relative", 422, "not absolute"},
           {coordinator.dir() / "backup", 422, "would copy itself"},
           {coordinator.dir(), 422, "would copy itself"},
           {scratch.path() / "full", 409, "there already"},
           {scratch.path() / "file", 409, "there already"},
           {scratch.path() / "none/copy", 404, "no such folder"}}) {
    const Answer answer = To(path);
    EXPECT_EQ(answer.status, status) << path << answer.text;
    EXPECT_THAT(answer.text, HasSubstr(says)) << path;
  }
  for (const json& body : {json::object(), json{{"path", 1}}, json{{"path", "/x"}, {"to", "/y"}}}) {
    EXPECT_EQ(coordinator.Post("/api/v1/backup", body).status, 422) << body.dump();
  }
  EXPECT_EQ(To(scratch.path() / "empty/").status, 201);
  for (const auto& entry : fs::directory_iterator(scratch.path())) {
    EXPECT_THAT(entry.path().string(), testing::Not(HasSubstr(".tmp-")));
  }
}

class Blobs : public WithWorker {
 protected:
  fs::path PathOf(const std::string& digest) const {
    return coordinator.dir() / "coordinator/blobs" / digest.substr(7, 2) / digest.substr(7);
  }
  bool Has(const std::string& digest) const { return fs::exists(PathOf(digest)); }
  // As if all were stored and used that long ago, and the coordinator started since.
  void Age(std::chrono::hours age) {
    coordinator.Signal(SIGKILL);
    coordinator.Wait();
    for (const auto& entry :
         fs::recursive_directory_iterator(coordinator.dir() / "coordinator/blobs")) {
      if (!entry.is_regular_file()) continue;
      fs::last_write_time(entry.path(), fs::file_time_type::clock::now() - age);
    }
    ASSERT_TRUE(coordinator.Start()) << coordinator.log();
  }
  Answer Collect(const json& body = json::object()) {
    return coordinator.Post("/api/v1/blobs/gc", body);
  }
};

TEST_F(Blobs, ThatAJobOrModelNeedsStayAndOthersGoAfterTheGraceTime) {
  const wire::LaunchGang launch = Run("done");
  const std::string weights = coordinator.PutBlob("weights");
  ASSERT_TRUE(worker->Report(Succeeded(launch, "weights")));
  json held = coordinator.Submission("held");
  held["hold"] = true;
  const std::string rows = coordinator.PutBlob("other rows");
  held["spec"]["inputs"]["train"]["digest"] = rows;
  held["spec"]["inputs"]["train"]["size_bytes"] = 10;
  ASSERT_EQ(coordinator.Post("/api/v1/jobs", held).status, 201);
  const std::string orphan = coordinator.PutBlob("orphan");

  EXPECT_EQ(Collect().body["removed"], 0) << "all are new";
  Age(std::chrono::hours(24 * 6));
  EXPECT_EQ(Collect().body["removed"], 0);
  Age(std::chrono::hours(24 * 8));
  const std::string fresh = coordinator.PutBlob("fresh");
  const Answer would = Collect({{"dry_run", true}});
  EXPECT_EQ(would.body, (json{{"removed", 1}, {"freed_bytes", 6}, {"dry_run", true}}))
      << would.text;
  EXPECT_TRUE(Has(orphan));
  const Answer did = Collect();
  EXPECT_EQ(did.body, (json{{"removed", 1}, {"freed_bytes", 6}, {"dry_run", false}})) << did.text;
  EXPECT_FALSE(Has(orphan));
  for (const std::string& needed : {weights, rows, fresh}) EXPECT_TRUE(Has(needed)) << needed;
  for (const json& file : held["spec"]["inputs"]["model"]) EXPECT_TRUE(Has(file["digest"]));
}

TEST_F(Blobs, AskedForAgainAreAsNew) {
  const std::string asked = coordinator.PutBlob("asked");
  const std::string sent = coordinator.PutBlob("sent");
  const std::string neither = coordinator.PutBlob("neither");
  Age(std::chrono::hours(24 * 8));
  EXPECT_EQ(coordinator.Call("HEAD", "/api/v1/blobs/" + asked).status, 200);
  coordinator.PutBlob("sent");
  EXPECT_EQ(Collect().body["removed"], 1);
  EXPECT_TRUE(Has(asked));
  EXPECT_TRUE(Has(sent));
  EXPECT_FALSE(Has(neither));
  // A later process sees by the files' times that they were.
  coordinator.Signal(SIGKILL);
  coordinator.Wait();
  ASSERT_TRUE(coordinator.Start());
  EXPECT_EQ(Collect().body["removed"], 0);
}

TEST_F(Blobs, AShorterGraceTimeIsBounded) {
  const std::string orphan = coordinator.PutBlob("orphan");
  Age(std::chrono::hours(1));
  EXPECT_EQ(Collect({{"grace_ms", 7'200'000}}).body["removed"], 0);
  EXPECT_EQ(Collect({{"grace_ms", 600'000}}).body["removed"], 1);
  for (const json& body :
       {json{{"grace_ms", 599'999}}, json{{"dry_run", "yes"}}, json{{"grace", "1h"}}}) {
    EXPECT_EQ(Collect(body).status, 422) << body.dump();
  }
}

TEST_F(Blobs, AreCollectedByThemselves) {
  coordinator.Signal(SIGKILL);
  coordinator.Wait();
  coordinator.options = {"--blob-grace", "400ms"};
  ASSERT_TRUE(coordinator.Start()) << coordinator.log();
  json held = coordinator.Submission("held");
  held["hold"] = true;
  ASSERT_EQ(coordinator.Post("/api/v1/jobs", held).status, 201);
  const std::string orphan = coordinator.PutBlob("orphan");
  EXPECT_TRUE(WaitUntil([&] { return !Has(orphan); }, 20));
  EXPECT_TRUE(Has(held["spec"]["inputs"]["train"]["digest"])) << "older, and needed";
}

}  // namespace
}  // namespace tutti::coordinator
