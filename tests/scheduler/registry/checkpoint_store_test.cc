#include "scheduler/registry/checkpoint_store.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace tutti::registry {
namespace {

using testing::UnorderedElementsAre;

class CheckpointStoreTest : public testing::Test {
 protected:
  void SetUp() override {
    char name[] = "/tmp/tutti-checkpoint-store-XXXXXX";
    folder_ = mkdtemp(name);
    store_.emplace(CheckpointStore::Open(folder_ / "jobs").value());
  }
  void TearDown() override { ASSERT_TRUE(RemoveTree(folder_)); }

  Status Place(std::uint64_t step, std::uint32_t attempt, bool manifest) {
    const fs::path upload = folder_ / "upload";
    EXPECT_TRUE(WriteFileAtomically(upload, "content"));
    TUTTI_RETURN_IF_ERROR(CheckpointStore::Sync(upload));
    return store_->Place(upload, job_, {step, Attempt{attempt}, manifest});
  }
  void PlaceBoth(std::uint64_t step, std::uint32_t attempt) {
    ASSERT_TRUE(Place(step, attempt, false));
    ASSERT_TRUE(Place(step, attempt, true));
  }
  std::vector<std::string> Files() const {
    std::vector<std::string> names;
    for (const auto& entry : fs::directory_iterator(store_->PathOf(job_, {}).parent_path())) {
      names.push_back(entry.path().filename());
    }
    return names;
  }

  fs::path folder_;
  const JobId job_{7};
  std::optional<CheckpointStore> store_;
};

TEST(CheckpointName, ReadsOnlyWhatItWrites) {
  const CheckpointName name{.step = 200, .attempt = Attempt{3}, .manifest = true};
  EXPECT_EQ(name.ToString(), "step-00000200.a3.json");
  const auto read = CheckpointName::Parse("step-00000200.a3.h5");
  ASSERT_TRUE(read);
  EXPECT_EQ(read->step, 200u);
  EXPECT_EQ(read->attempt, Attempt{3});
  EXPECT_FALSE(read->manifest);
  EXPECT_TRUE(CheckpointName::Parse("step-123456789.a1.h5"));
  for (const char* bad : {"", "step-200.a3.h5", "step-00000200.a3.h5.tmp-1", "step-00000200.h5",
                          "step-00000200.a03.h5", "../step-00000200.a3.h5", "step--0000200.a3.h5",
                          "step-00000200.a3.", "step-00000200.a99999999999.h5"}) {
    EXPECT_FALSE(CheckpointName::Parse(bad)) << bad;
  }
}

TEST_F(CheckpointStoreTest, TheFolderKeepsItsId) {
  EXPECT_EQ(store_->folder_id().size(), 32u);
  EXPECT_EQ(CheckpointStore::Open(folder_ / "jobs")->folder_id(), store_->folder_id());
  EXPECT_NE(CheckpointStore::Open(folder_ / "others")->folder_id(), store_->folder_id());
}

TEST_F(CheckpointStoreTest, AManifestNeverComesBeforeItsData) {
  EXPECT_EQ(Place(5, 1, true).error().code, ErrorCode::kNotFound);
  EXPECT_EQ(store_->Size(job_, {5, Attempt{1}, true}).error().code, ErrorCode::kNotFound);
  PlaceBoth(5, 1);
  EXPECT_EQ(store_->Size(job_, {5, Attempt{1}, true})->count, 7);
  EXPECT_TRUE(store_->OpenFile(job_, {5, Attempt{1}, false}));
  PlaceBoth(5, 1);  // sent again: the same
}

TEST_F(CheckpointStoreTest, CollectsWhatIsOlderAndNotKept) {
  PlaceBoth(5, 1);
  PlaceBoth(9, 1);
  PlaceBoth(5, 2);
  PlaceBoth(7, 2);
  PlaceBoth(8, 2);
  PlaceBoth(9, 2);  // under way: newer than what is reported now
  ASSERT_TRUE(store_->Collect(job_, {8, Attempt{2}}, {{5, Attempt{1}}, {8, Attempt{2}}}));
  EXPECT_THAT(Files(), UnorderedElementsAre("step-00000005.a1.h5", "step-00000005.a1.json",
                                            "step-00000008.a2.h5", "step-00000008.a2.json",
                                            "step-00000009.a2.h5", "step-00000009.a2.json"));
}

}  // namespace
}  // namespace tutti::registry
