#include "scheduler/registry/model_store.h"

#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <string>

namespace tutti::registry {
namespace {

class ModelStoreTest : public testing::Test {
 protected:
  void SetUp() override {
    folder_ = fs::path(testing::TempDir()) / ("model_store_test-" + std::to_string(::getpid()));
    ASSERT_TRUE(MakeDirectories(folder_));
    blobs_.emplace(BlobStore::Open(folder_ / "coordinator").value());
  }
  void TearDown() override { ASSERT_TRUE(RemoveTree(folder_)); }

  fs::path ModelsDir() const { return folder_ / "models"; }
  ModelStore Open() { return ModelStore::Open(ModelsDir(), *blobs_).value(); }

  ModelFile Stored(std::string path, std::string_view content) {
    const Digest digest = Sha256Of(content);
    EXPECT_TRUE(blobs_->Put(content, digest).has_value());
    return {std::move(path), digest, Bytes{static_cast<std::int64_t>(content.size())}};
  }

  static std::size_t Entries(const fs::path& folder) {
    return static_cast<std::size_t>(std::distance(fs::directory_iterator(folder), {}));
  }

  fs::path folder_;
  std::optional<BlobStore> blobs_;
};

TEST_F(ModelStoreTest, AssembleLinksTheBlobsIntoAFolder) {
  const ModelStore store = Open();
  const ModelRecord record{
      .id = "ft:a:local:b:c",
      .job = JobId{7},
      .files = {Stored("config.json", "{}"), Stored("onnx/deep/model.onnx", "weights")}};
  const fs::path directory = store.Assemble(record).value();
  EXPECT_EQ(directory, ModelsDir() / JobId{7}.ToString());
  EXPECT_EQ(directory, store.DirectoryOf(JobId{7}));
  EXPECT_EQ(ReadFile(directory / "config.json").value(), "{}");
  EXPECT_EQ(ReadFile(directory / "onnx" / "deep" / "model.onnx").value(), "weights");
  struct stat model {};
  struct stat blob {};
  ASSERT_EQ(::stat((directory / "config.json").c_str(), &model), 0);
  ASSERT_EQ(::stat(blobs_->PathOf(record.files[0].digest).c_str(), &blob), 0);
  EXPECT_EQ(model.st_ino, blob.st_ino);
  EXPECT_EQ(Entries(ModelsDir()), 1u);
}

TEST_F(ModelStoreTest, AModelThatIsThereStaysAsItIs) {
  const ModelStore store = Open();
  ModelRecord record{.job = JobId{7}, .files = {Stored("config.json", "{}")}};
  ASSERT_TRUE(store.Assemble(record));
  record.files = {Stored("config.json", "another")};
  EXPECT_EQ(ReadFile(store.Assemble(record).value() / "config.json").value(), "{}");
}

TEST_F(ModelStoreTest, AMissingBlobLeavesNoFolder) {
  const ModelStore store = Open();
  const ModelRecord record{
      .job = JobId{7},
      .files = {Stored("config.json", "{}"), {"model.safetensors", Sha256Of("gone"), Bytes{4}}}};
  const Error error = store.Assemble(record).error();
  EXPECT_EQ(error.code, ErrorCode::kNotFound);
  EXPECT_EQ(error.where, Sha256Of("gone").ToString());
  EXPECT_EQ(Entries(ModelsDir()), 0u);
}

TEST_F(ModelStoreTest, PathsThatLeaveTheFolderAreRefused) {
  const ModelStore store = Open();
  for (const char* path : {"../x", "/etc/x", "a/../../x", "", "a//b", "a\\b", "."}) {
    const ModelRecord record{.job = JobId{7}, .files = {Stored(path, "{}")}};
    EXPECT_EQ(store.Assemble(record).error().code, ErrorCode::kInvalid) << path;
  }
  const ModelRecord twice{.job = JobId{7}, .files = {Stored("a", "1"), Stored("a", "2")}};
  EXPECT_EQ(store.Assemble(twice).error().code, ErrorCode::kInvalid);
  EXPECT_EQ(Entries(ModelsDir()), 0u);
  EXPECT_FALSE(fs::exists(folder_ / "x"));
}

TEST_F(ModelStoreTest, OpenRemovesHalfMadeFolders) {
  {
    const ModelStore store = Open();
    const ModelRecord record{.job = JobId{7}, .files = {Stored("config.json", "{}")}};
    ASSERT_TRUE(store.Assemble(record));
    ASSERT_TRUE(MakeDirectories(TemporaryName(ModelsDir()) / "half"));
  }
  const ModelStore again = Open();
  EXPECT_EQ(Entries(ModelsDir()), 1u);
  EXPECT_TRUE(fs::exists(again.DirectoryOf(JobId{7}) / "config.json"));
}

TEST_F(ModelStoreTest, RemoveTakesTheFolderAndKeepsTheBlobs) {
  const ModelStore store = Open();
  const ModelRecord record{.job = JobId{7}, .files = {Stored("config.json", "{}")}};
  ASSERT_TRUE(store.Assemble(record));
  EXPECT_TRUE(store.Remove(JobId{7}));
  EXPECT_TRUE(store.Remove(JobId{7}));
  EXPECT_EQ(Entries(ModelsDir()), 0u);
  EXPECT_TRUE(blobs_->Has(record.files[0].digest));
}

TEST(ModelId, HasTheLastPartOfTheBase) {
  const JobId job{7};
  const std::string tail = ":local:sections:" + job.ToString().substr(2);
  EXPECT_EQ(ModelId("./models/bert-tiny", "sections", job), "ft:bert-tiny" + tail);
  EXPECT_EQ(ModelId("/models/bert-tiny/", "sections", job), "ft:bert-tiny" + tail);
  EXPECT_EQ(ModelId("org/bert-tiny@main", "sections", job), "ft:bert-tiny" + tail);
  EXPECT_EQ(ModelId("ft:bert-tiny:local:other:0k3v9x2m", "sections", job), "ft:bert-tiny" + tail);
  EXPECT_EQ(ModelId("./a b:c", "sections", job), "ft:a-b-c" + tail);
  EXPECT_EQ(ModelId("..", "sections", job), "ft:model" + tail);
}

TEST(FindModel, ByIdThenJobThenNewestOfTheNameThenPrefix) {
  const std::vector<ModelRecord> records = {
      {.id = "ft:a:local:x:1", .job = JobId{1}, .job_name = "x", .created_at = WallTime{10}},
      {.id = "ft:a:local:x:2", .job = JobId{2}, .job_name = "x", .created_at = WallTime{20}},
      {.id = "ft:a:local:y:3",
       .job = JobId{std::uint64_t{1} << 39},
       .job_name = "y",
       .created_at = WallTime{5}}};
  EXPECT_EQ(FindModel(records, "ft:a:local:x:1").value(), &records[0]);
  EXPECT_EQ(FindModel(records, JobId{1}.ToString()).value(), &records[0]);
  EXPECT_EQ(FindModel(records, "x").value(), &records[1]);
  EXPECT_EQ(FindModel(records, records[2].job.ToString().substr(0, 3)).value(), &records[2]);
  EXPECT_EQ(FindModel(records, "j-0").error().code, ErrorCode::kInvalid);
  EXPECT_EQ(FindModel(records, "j-").error().code, ErrorCode::kNotFound);
  EXPECT_EQ(FindModel(records, "z").error().code, ErrorCode::kNotFound);
}

}  // namespace
}  // namespace tutti::registry
