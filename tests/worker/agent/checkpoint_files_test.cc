// Checkpoints of a machine that does not share the coordinator's jobs folder: sent whole, fetched
// by digest, and nothing in the folder but what the coordinator counts.
#include "worker/agent/checkpoint_files.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <nlohmann/json.hpp>

#include "common/digest/sha256.h"
#include "common/file/file.h"
#include "tests/worker/agent/blob_server.h"

namespace tutti::agent {
namespace {

namespace fs = std::filesystem;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::SizeIs;
using testing::UnorderedElementsAre;

const std::string kJob = "j-00000001";

class CheckpointFiles : public testing::Test {
 protected:
  void SetUp() override {
    char name[] = "/tmp/tutti-checkpoints-XXXXXX";
    folder_ = mkdtemp(name);
    remote_.SetTarget(server_.url(), BlobServer::kToken);
    launch_.set_job(kJob);
    launch_.set_resume(true);
  }
  void TearDown() override { fs::remove_all(folder_); }

  static std::string NameOf(int step) { return "step-0000000" + std::to_string(step) + ".a1"; }
  static std::string DataOf(int step) { return "state of step " + std::to_string(step); }
  static std::string ManifestOf(int step, int best_step) {
    return nlohmann::json{{"file_sha256", Sha256Of(DataOf(step)).ToString()},
                          {"cursor", {{"best_step", best_step}}}}
        .dump();
  }
  static std::string TargetOf(const std::string& file) {
    return "/api/v1/jobs/" + kJob + "/checkpoints/" + file;
  }
  void Write(const std::string& name, const std::string& content) {
    ASSERT_TRUE(WriteFileAtomically(folder_ / name, content));
  }
  void WriteHere(int step) {
    Write(NameOf(step) + ".h5", DataOf(step));
    Write(NameOf(step) + ".json", ManifestOf(step, -1));
  }
  // The coordinator has it, and the launch lists it after those added before.
  void AddThere(int step, int best_step = -1) {
    server_.AddAt(TargetOf(NameOf(step) + ".h5"), DataOf(step));
    server_.AddAt(TargetOf(NameOf(step) + ".json"), ManifestOf(step, best_step));
    wire::CheckpointRef& ref = *launch_.add_checkpoints();
    ref.set_step(static_cast<std::uint64_t>(step));
    ref.set_path("/data/jobs/" + kJob + "/checkpoints/" + NameOf(step) + ".h5");
    ref.set_size_bytes(DataOf(step).size());
    ref.set_data_digest(Sha256Of(DataOf(step)).ToString());
    ref.set_manifest_digest(Sha256Of(ManifestOf(step, best_step)).ToString());
    ref.set_manifest_size_bytes(ManifestOf(step, best_step).size());
  }
  Result<std::vector<std::string>> Fetch() {
    return FetchCheckpoints(launch_, folder_, remote_, stop_.get_token());
  }
  std::vector<std::string> Files() const {
    std::vector<std::string> names;
    for (const auto& entry : fs::directory_iterator(folder_)) {
      names.push_back(entry.path().filename());
    }
    return names;
  }
  enginelink::Checkpoint Written(int step) const {
    return {.step = static_cast<std::uint64_t>(step),
            .path = folder_ / (NameOf(step) + ".h5"),
            .state_digest = "sha256:aa",
            .size_bytes = DataOf(step).size(),
            .best_step = 4,
            .keep = 2};
  }

  fs::path folder_;
  BlobServer server_;
  RemoteBlobs remote_;
  wire::LaunchGang launch_;
  std::stop_source stop_;
};

TEST_F(CheckpointFiles, AreSentWithTheManifestLastAndToldWithTheirDigests) {
  WriteHere(5);
  const auto told = HandOver(Written(5), kJob, &remote_, stop_.get_token());
  ASSERT_TRUE(told) << told.error().ToString();
  EXPECT_TRUE(told->uploaded());
  EXPECT_EQ(told->data_digest(), Sha256Of(DataOf(5)).ToString());
  EXPECT_EQ(told->manifest_digest(), Sha256Of(ManifestOf(5, -1)).ToString());
  EXPECT_EQ(told->manifest_size_bytes(), ManifestOf(5, -1).size());
  EXPECT_EQ(told->best_step(), 4u);
  EXPECT_EQ(told->keep(), 2u);
  EXPECT_THAT(server_.requests(), ElementsAre("PUT " + TargetOf(NameOf(5) + ".h5"),
                                              "PUT " + TargetOf(NameOf(5) + ".json")));
}

TEST_F(CheckpointFiles, InTheCoordinatorsOwnFolderAreToldOnly) {
  WriteHere(5);
  const auto told = HandOver(Written(5), kJob, nullptr, stop_.get_token());
  ASSERT_TRUE(told);
  EXPECT_FALSE(told->uploaded());
  EXPECT_EQ(told->data_digest(), Sha256Of(DataOf(5)).ToString());
  EXPECT_THAT(server_.requests(), IsEmpty());
}

TEST_F(CheckpointFiles, ThatAreNotWantedOrGoneOrDoNotFitSaySo) {
  EXPECT_EQ(HandOver(Written(5), kJob, &remote_, stop_.get_token()).error().code,
            ErrorCode::kNotFound);
  WriteHere(5);
  server_.AnswerPuts(409);
  EXPECT_EQ(HandOver(Written(5), kJob, &remote_, stop_.get_token()).error().code,
            ErrorCode::kConflict);
  server_.AnswerPuts(507);
  EXPECT_EQ(HandOver(Written(5), kJob, &remote_, stop_.get_token()).error().code,
            ErrorCode::kDiskFull);
}

TEST_F(CheckpointFiles, OtherBytesThanTheManifestSaysAreNeverTaken) {
  WriteHere(5);
  Write(NameOf(5) + ".h5", "other bytes");
  const auto told = HandOver(Written(5), kJob, &remote_, stop_.get_token());
  ASSERT_FALSE(told);
  EXPECT_EQ(told.error().code, ErrorCode::kInvalid);
  EXPECT_FALSE(server_.Has(TargetOf(NameOf(5) + ".json")));
}

TEST_F(CheckpointFiles, TheNewestIsFetchedAndWhatIsNotListedGoes) {
  WriteHere(9);  // written here, never counted there
  Write(NameOf(4) + ".h5.tmp-7", "half");
  AddThere(5);
  AddThere(3);
  const auto missing = Fetch();
  ASSERT_TRUE(missing) << missing.error().ToString();
  EXPECT_THAT(*missing, IsEmpty());
  EXPECT_THAT(Files(), UnorderedElementsAre(NameOf(5) + ".h5", NameOf(5) + ".json"));
  EXPECT_EQ(ReadFile(folder_ / (NameOf(5) + ".h5")).value(), DataOf(5));
}

TEST_F(CheckpointFiles, WhatIsHereIsFetchedOnlyWhenItIsDamaged) {
  WriteHere(5);
  AddThere(5);
  ASSERT_TRUE(Fetch());
  EXPECT_THAT(server_.requests(), IsEmpty());
  std::string damaged = DataOf(5);
  damaged[0] = 'S';
  Write(NameOf(5) + ".h5", damaged);
  ASSERT_TRUE(Fetch());
  EXPECT_THAT(server_.requests(), ElementsAre("GET " + TargetOf(NameOf(5) + ".h5")));
  EXPECT_EQ(ReadFile(folder_ / (NameOf(5) + ".h5")).value(), DataOf(5));
}

TEST_F(CheckpointFiles, ADamagedOneIsSaidAndTheOneBeforeItIsUsed) {
  AddThere(5);
  AddThere(3);
  server_.Damage(TargetOf(NameOf(5) + ".h5"));
  const auto missing = Fetch();
  ASSERT_TRUE(missing) << missing.error().ToString();
  ASSERT_THAT(*missing, SizeIs(1));
  EXPECT_THAT((*missing)[0], HasSubstr("step 5"));
  EXPECT_THAT(Files(), UnorderedElementsAre(NameOf(3) + ".h5", NameOf(3) + ".json"));
}

TEST_F(CheckpointFiles, RankZerosMachineFetchesTheBestWeightsToo) {
  AddThere(5, /*best_step=*/2);
  AddThere(4, 2);
  AddThere(2, 2);
  ASSERT_TRUE(Fetch());
  EXPECT_THAT(Files(), UnorderedElementsAre(NameOf(5) + ".h5", NameOf(5) + ".json",
                                            NameOf(2) + ".h5", NameOf(2) + ".json"));
  for (const auto& name : Files()) fs::remove(folder_ / name);
  launch_.set_first_rank(2);
  ASSERT_TRUE(Fetch());
  EXPECT_THAT(Files(), UnorderedElementsAre(NameOf(5) + ".h5", NameOf(5) + ".json"));
}

TEST_F(CheckpointFiles, OnlyFoldersOfJobsThatNobodyUsesArePruned) {
  const fs::path jobs = folder_ / "jobs";
  const auto two_days_ago = fs::file_time_type::clock::now() - std::chrono::hours(48);
  for (const char* name : {"j-00000001", "j-00000002", "j-00000003", "other"}) {
    fs::create_directories(jobs / name / "checkpoints");
    if (std::string(name) != "j-00000003") {
      fs::last_write_time(jobs / name / "checkpoints", two_days_ago);
    }
  }
  PruneJobFolders(jobs, {"j-00000002"});
  EXPECT_FALSE(fs::exists(jobs / "j-00000001"));
  EXPECT_FALSE(fs::exists(jobs / "going-j-00000001"));
  for (const char* name : {"j-00000002", "j-00000003", "other"})
    EXPECT_TRUE(fs::exists(jobs / name));
}

}  // namespace
}  // namespace tutti::agent
