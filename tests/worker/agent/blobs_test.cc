// Blobs between a worker and its coordinator: fetched, verified, kept, handed over.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>

#include <fstream>

#include "tests/common/tls/tls_front.h"
#include "tests/worker/agent/blob_server.h"
#include "worker/agent/blob_cache.h"
#include "worker/agent/gang_export.h"
#include "worker/agent/gang_inputs.h"

namespace tutti::agent {
namespace {

namespace fs = std::filesystem;

class Blobs : public testing::Test {
 protected:
  void SetUp() override {
    char name[] = "/tmp/tutti-blobs-XXXXXX";
    folder_ = mkdtemp(name);
    remote_.SetTarget(server_.url(), BlobServer::kToken);
  }
  void TearDown() override { fs::remove_all(folder_); }

  BlobCache OpenCache(std::int64_t max_bytes = 1 << 30) {
    auto cache = BlobCache::Open(folder_ / "cache", Bytes{max_bytes});
    EXPECT_TRUE(cache) << cache.error().ToString();
    return std::move(*cache);
  }
  Status Place(const BlobCache& cache, const std::string& digest, std::size_t size,
               const std::string& name) {
    return cache.Place(*Digest::Parse(digest), Bytes{static_cast<std::int64_t>(size)},
                       folder_ / name, remote_, stop_.get_token());
  }
  std::string Written(const std::string& name) {
    return ReadFile(folder_ / name).value_or("unreadable");
  }
  std::size_t CountRequests(const std::string& method) {
    const auto all = server_.requests();
    return static_cast<std::size_t>(std::count_if(
        all.begin(), all.end(), [&](const auto& one) { return one.starts_with(method); }));
  }

  fs::path folder_;
  BlobServer server_;
  RemoteBlobs remote_;
  std::stop_source stop_;
};

TEST_F(Blobs, AreFetchedOnceAndReadOnly) {
  const BlobCache cache = OpenCache();
  const std::string digest = server_.Add("some content");
  ASSERT_TRUE(Place(cache, digest, 12, "a"));
  ASSERT_TRUE(Place(cache, digest, 12, "b"));
  EXPECT_EQ(Written("a"), "some content");
  EXPECT_EQ(Written("b"), "some content");
  EXPECT_EQ(CountRequests("GET"), 1u);
  struct stat info {};
  ASSERT_EQ(stat((folder_ / "a").c_str(), &info), 0);
  EXPECT_EQ(info.st_mode & 0777u, 0444u);
}

TEST_F(Blobs, TravelOverTlsBothWaysFromTheCoordinatorThatIsPinned) {
  const auto identity = tls::LoadOrMakeIdentity(folder_ / "tls", std::vector<std::string>{"a.b"});
  ASSERT_TRUE(identity) << identity.error().ToString();
  const tls::TlsFront front(*identity, server_.port());
  remote_.SetTarget(front.url(), BlobServer::kToken, identity->pin);
  const std::string content(1 << 20, 'x');
  ASSERT_TRUE(Place(OpenCache(), server_.Add(content), content.size(), "a"));
  EXPECT_EQ(Written("a"), content);

  server_.RefuseLinks(true);  // the bytes have to travel
  const std::string made(1 << 20, 'y');
  ASSERT_TRUE(WriteFileAtomically(folder_ / "made", made));
  const Digest digest = Sha256Of(made);
  const Status stored = remote_.Store(folder_ / "made", digest, stop_.get_token());
  ASSERT_TRUE(stored) << stored.error().ToString();
  EXPECT_TRUE(server_.Has(digest.ToString()));
}

TEST_F(Blobs, OfAnotherCoordinatorThanThePinnedAreNotAskedFor) {
  const std::vector<std::string> names = {"127.0.0.1"};
  const auto identity = tls::LoadOrMakeIdentity(folder_ / "tls", names);
  const auto other = tls::LoadOrMakeIdentity(folder_ / "other", names);
  ASSERT_TRUE(identity && other);
  const tls::TlsFront front(*identity, server_.port());
  const std::string digest = server_.Add("some content");
  for (const std::string& pin : {other->pin, std::string()}) {
    remote_.SetTarget(front.url(), BlobServer::kToken, pin);
    const Status placed = Place(OpenCache(), digest, 12, "a");
    ASSERT_FALSE(placed);
    EXPECT_EQ(placed.error().code, ErrorCode::kAuth) << placed.error().ToString();
    EXPECT_THAT(placed.error().message, testing::HasSubstr(identity->pin));
  }
  EXPECT_TRUE(server_.requests().empty());
}

TEST_F(Blobs, AnEmptyBlobIsABlob) {
  ASSERT_TRUE(Place(OpenCache(), server_.Add(""), 0, "a"));
  EXPECT_EQ(Written("a"), "");
}

TEST_F(Blobs, OtherBytesThanTheDigestSaysAreRefusedAndNotKept) {
  const BlobCache cache = OpenCache();
  const std::string digest = server_.Add("some content");
  server_.Damage(digest);
  const Status placed = Place(cache, digest, 12, "a");
  ASSERT_FALSE(placed);
  EXPECT_EQ(placed.error().code, ErrorCode::kInvalid);
  EXPECT_FALSE(fs::exists(folder_ / "a"));
  EXPECT_TRUE(fs::is_empty(folder_ / "cache/blobs"));
}

TEST_F(Blobs, ALongerBlobThanAnnouncedIsRefused) {
  const Status placed = Place(OpenCache(), server_.Add("some content"), 4, "a");
  ASSERT_FALSE(placed);
  EXPECT_EQ(placed.error().code, ErrorCode::kInvalid);
}

TEST_F(Blobs, AMissingBlobIsNotFound) {
  const Status placed = Place(OpenCache(), Sha256Of("nowhere").ToString(), 7, "a");
  ASSERT_FALSE(placed);
  EXPECT_EQ(placed.error().code, ErrorCode::kNotFound);
  EXPECT_THAT(placed.error().message, testing::HasSubstr("no blob"));
}

TEST_F(Blobs, ABrokenLineIsGoneOnWithWhereItBroke) {
  const std::string content(3 << 20, 'x');
  const std::string digest = server_.Add(content);
  server_.BreakAfter(1 << 20);
  ASSERT_TRUE(Place(OpenCache(), digest, content.size(), "a"));
  EXPECT_EQ(Written("a"), content);
  EXPECT_EQ(CountRequests("GET"), 2u);
}

TEST_F(Blobs, AWrongTokenIsSaidAtOnce) {
  remote_.SetTarget(server_.url(), "another");
  const Status placed = Place(OpenCache(), server_.Add("x"), 1, "a");
  ASSERT_FALSE(placed);
  EXPECT_EQ(placed.error().code, ErrorCode::kAuth);
}

TEST_F(Blobs, StopEndsAWaitForASilentCoordinator) {
  server_.Stall(true);
  stop_.request_stop();
  const Status placed = Place(OpenCache(), Sha256Of("x").ToString(), 1, "a");
  ASSERT_FALSE(placed);
  EXPECT_EQ(placed.error().code, ErrorCode::kUnavailable);
}

TEST_F(Blobs, TheOldestUnusedOnesMakeRoom) {
  const BlobCache cache = OpenCache(25);
  ASSERT_TRUE(Place(cache, server_.Add("0123456789"), 10, "linked"));
  ASSERT_TRUE(Place(cache, server_.Add("abcdefghij"), 10, "unlinked"));
  fs::remove(folder_ / "unlinked");
  ASSERT_TRUE(Place(cache, server_.Add("ABCDEFGHIJ"), 10, "new"));
  const std::size_t gets = CountRequests("GET");
  ASSERT_TRUE(Place(cache, server_.Add("0123456789"), 10, "again"));
  EXPECT_EQ(CountRequests("GET"), gets) << "a blob that an attempt uses was removed";
  ASSERT_TRUE(Place(cache, server_.Add("abcdefghij"), 10, "back"));
  EXPECT_EQ(CountRequests("GET"), gets + 1) << "nothing was removed";
}

TEST_F(Blobs, AnExportIsHandedOverWithItsDigests) {
  std::ofstream(folder_ / "model.safetensors") << "weights";
  std::ofstream(folder_ / "config.json") << "{}";
  const auto model =
      UploadModel(folder_, {"model.safetensors", "config.json"}, remote_, stop_.get_token());
  ASSERT_TRUE(model) << model.error().ToString();
  EXPECT_EQ(model->digest(), Sha256Of("weights").ToString());
  ASSERT_EQ(model->files_size(), 2);
  EXPECT_EQ(model->files(0).path(), "config.json");
  EXPECT_EQ(model->files(1).size_bytes(), 7u);
  EXPECT_TRUE(server_.Has(model->digest()));
  EXPECT_TRUE(server_.Has(Sha256Of("{}").ToString()));
}

TEST_F(Blobs, WhatTheCoordinatorHasIsNotSentAgain) {
  server_.Add("weights");
  std::ofstream(folder_ / "model.safetensors") << "weights";
  ASSERT_TRUE(UploadModel(folder_, {"model.safetensors"}, remote_, stop_.get_token()));
  EXPECT_EQ(CountRequests("PUT"), 0u);
}

TEST_F(Blobs, WhereLinksAreRefusedTheBytesAreSent) {
  server_.RefuseLinks(true);
  const std::string weights(2 << 20, 'w');
  std::ofstream(folder_ / "model.safetensors") << weights;
  ASSERT_TRUE(UploadModel(folder_, {"model.safetensors"}, remote_, stop_.get_token()));
  EXPECT_TRUE(server_.Has(Sha256Of(weights).ToString()));
}

TEST_F(Blobs, AFullCoordinatorIsDiskFull) {
  server_.AnswerPuts(507);
  std::ofstream(folder_ / "model.safetensors") << "weights";
  const auto model = UploadModel(folder_, {"model.safetensors"}, remote_, stop_.get_token());
  ASSERT_FALSE(model);
  EXPECT_EQ(model.error().code, ErrorCode::kDiskFull);
}

TEST_F(Blobs, AnExportWithoutWeightsIsAnError) {
  std::ofstream(folder_ / "config.json") << "{}";
  EXPECT_FALSE(UploadModel(folder_, {"config.json"}, remote_, stop_.get_token()));
  EXPECT_FALSE(UploadModel(folder_, {"../config.json"}, remote_, stop_.get_token()));
}

TEST(ModelDigest, OfShardsIsOfTheirDigestsInOrder) {
  wire::Model model;
  for (const char* name :
       {"model-00002-of-00002.safetensors", "model-00001-of-00002.safetensors"}) {
    model.add_files()->set_path(name);
    model.mutable_files()->rbegin()->set_digest(Sha256Of(name).ToString());
  }
  const std::string both = model.files(1).digest() + model.files(0).digest();
  EXPECT_EQ(ModelDigest(model).value_or(""), Sha256Of(both).ToString());
}

TEST_F(Blobs, InputsAreLaidOutAsTheSpecNamesThem) {
  const auto entry = [&](const std::string& path, const std::string& content) {
    return R"({"path": ")" + path + R"(", "digest": ")" + server_.Add(content) +
           R"(", "size_bytes": )" + std::to_string(content.size()) + "}";
  };
  const std::string spec = R"({"inputs": {"model": [)" + entry("config.json", "{}") + ", " +
                           entry("sub/model.safetensors", "weights") + R"(], "train": )" +
                           entry("train.jsonl", "rows") + R"(, "eval": null},
                           "resources": {"cpus_per_rank": 2, "memory_per_rank": "2GiB"}})";
  const auto inputs = ReadGangInputs(spec);
  ASSERT_TRUE(inputs) << inputs.error().ToString();
  EXPECT_EQ(inputs->cpus_per_rank, 2u);
  EXPECT_EQ(inputs->memory_limit_bytes, std::uint64_t{2} << 30);
  const BlobCache cache = OpenCache();
  const auto local = PlaceInputs(
      *inputs, {.folder = folder_ / "in", .cache = cache, .remote = remote_, .data_roots = {}},
      stop_.get_token());
  ASSERT_TRUE(local) << local.error().ToString();
  EXPECT_EQ(Written("in/model/sub/model.safetensors"), "weights");
  EXPECT_EQ(local->train_path, folder_ / "in/train/train.jsonl");
  EXPECT_FALSE(local->eval_path);
}

TEST_F(Blobs, DataInPlaceIsReadBelowDataRootsOnly) {
  fs::create_directories(folder_ / "data");
  std::ofstream(folder_ / "data/rows one.jsonl") << "rows";
  std::ofstream(folder_ / "outside.jsonl") << "rows";
  fs::create_symlink(folder_ / "outside.jsonl", folder_ / "data/link.jsonl");
  const std::vector<fs::path> roots = {folder_ / "data"};
  const BlobCache cache = OpenCache();
  const auto place = [&](const std::string& name) {
    const auto inputs =
        ReadGangInputs(R"({"data": {"train": "file://)" + (folder_ / name).string() + R"("}})");
    return PlaceInputs(
        *inputs, {.folder = folder_ / "in", .cache = cache, .remote = remote_, .data_roots = roots},
        stop_.get_token());
  };
  const auto inside = place("data/rows one.jsonl");
  ASSERT_TRUE(inside) << inside.error().ToString();
  EXPECT_EQ(inside->train_path.filename(), "rows one.jsonl");
  for (const char* outside :
       {"outside.jsonl", "data/link.jsonl", "data/../outside.jsonl", "data/none.jsonl"}) {
    EXPECT_FALSE(place(outside)) << outside;
  }
  EXPECT_THAT(place("outside.jsonl").error().hint, testing::HasSubstr("--data-root"));
  const std::string data = "file://" + (folder_ / "data").string();
  const auto model = ReadGangInputs(R"({"model": ")" + data + R"(", "data": {"train": ")" + data +
                                    R"(/rows one.jsonl"}})");
  const auto local = PlaceInputs(
      *model, {.folder = folder_ / "in", .cache = cache, .remote = remote_, .data_roots = {}},
      stop_.get_token());
  EXPECT_FALSE(local);
  const auto place_model = [&] {
    return PlaceInputs(
        *model, {.folder = folder_ / "in", .cache = cache, .remote = remote_, .data_roots = roots},
        stop_.get_token());
  };
  const auto leads_out = place_model();
  ASSERT_FALSE(leads_out) << "link.jsonl in the model's folder points outside";
  EXPECT_THAT(leads_out.error().where, testing::HasSubstr("link.jsonl"));
  fs::remove(folder_ / "data/link.jsonl");
  fs::create_symlink("rows one.jsonl", folder_ / "data/link.jsonl");
  const auto allowed = place_model();
  ASSERT_TRUE(allowed) << allowed.error().ToString();
  EXPECT_EQ(allowed->model_dir, folder_ / "in/model");
}

TEST(GangInputs, SpecsThatAreNotAsTheyShouldBeSayWhere) {
  const auto where = [](const std::string& spec) {
    const auto inputs = ReadGangInputs(spec);
    return inputs ? "fine" : inputs.error().where;
  };
  EXPECT_EQ(where("[]"), "#");
  EXPECT_EQ(where("{}"), "#/inputs/train");
  EXPECT_EQ(where(R"({"inputs": {"model": 3}})"), "#/inputs/model");
  EXPECT_EQ(where(R"({"inputs": {"train": {"path": "a", "digest": "b", "size_bytes": 1}}})"),
            "#/inputs/train/digest");
  EXPECT_EQ(where(R"({"resources": {"cpus_per_rank": 0}})"), "#/resources/cpus_per_rank");
  EXPECT_EQ(where(R"({"resources": {"memory_per_rank": "much"}})"), "#/resources/memory_per_rank");
}

}  // namespace
}  // namespace tutti::agent
