#include "scheduler/registry/routes.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <nlohmann/json.hpp>
#include <optional>
#include <string>

#include "scheduler/http/server.h"
#include "tests/common/base/wait_until.h"
#include "tests/scheduler/http/client.h"

namespace tutti::registry {
namespace {

using http::Answer;
using http::Client;
using nlohmann::json;

class RegistryRoutesTest : public testing::Test {
 protected:
  void SetUp() override {
    folder_ = fs::path(testing::TempDir()) / ("registry_routes_test-" + std::to_string(::getpid()));
    ASSERT_TRUE(MakeDirectories(folder_));
    blobs_.emplace(BlobStore::Open(folder_ / "coordinator").value());
    models_.emplace(ModelStore::Open(folder_ / "models", *blobs_).value());
    RegisterBlobRoutes(router_, *blobs_);
    RegisterModelRoutes(router_, *models_, [this] { return records_; });
    auth_.tokens().Put(
        {.sha256 = Sha256Of(http::kTestToken), .caller = {"local", http::Scope::kAdmin}});
    server_ = http::Server::Start({.spool_dir = blobs_->uploads_dir()}, router_, auth_).value();
    client_.emplace(server_->Port());
  }
  void TearDown() override {
    server_.reset();
    ASSERT_TRUE(RemoveTree(folder_));
  }

  static std::string PathOf(const Digest& digest) { return "/api/v1/blobs/" + digest.ToString(); }

  Answer Put(const Digest& digest, std::string content) {
    return client_->Ask({.method = "PUT", .path = PathOf(digest), .body = std::move(content)});
  }
  Answer Link(const Digest& digest, const std::string& path, std::string body = {}) {
    return client_->Ask({.method = "PUT",
                         .path = PathOf(digest),
                         .headers = {{"X-Tutti-Link", path}},
                         .body = std::move(body)});
  }
  Answer Get(std::string path, http::Fields headers = {}) {
    return client_->Ask({.path = std::move(path), .headers = std::move(headers)});
  }
  // What came up goes with its request, which may end a moment after the answer to it.
  bool NoUploadStays() const {
    return WaitUntil([this] { return fs::is_empty(blobs_->uploads_dir()); }, /*seconds=*/5);
  }

  fs::path folder_;
  std::optional<BlobStore> blobs_;
  std::optional<ModelStore> models_;
  std::shared_ptr<const std::vector<ModelRecord>> records_ =
      std::make_shared<std::vector<ModelRecord>>();
  http::Router router_;
  http::Auth auth_{{}};
  std::unique_ptr<http::Server> server_;
  std::optional<Client> client_;
};

TEST_F(RegistryRoutesTest, ABlobGoesUpOnceAndComesDown) {
  const std::string content(std::size_t{5} << 20, 'b');
  const Digest digest = Sha256Of(content);
  EXPECT_EQ(client_->Ask({.method = "HEAD", .path = PathOf(digest)}).status, 404);
  const Answer first = Put(digest, content);
  EXPECT_EQ(first.status, 201);
  EXPECT_EQ(json::parse(first.body),
            (json{{"digest", digest.ToString()}, {"size_bytes", content.size()}}));
  EXPECT_EQ(Put(digest, content).status, 200);
  const Answer head = client_->Ask({.method = "HEAD", .path = PathOf(digest)});
  EXPECT_EQ(head.status, 200);
  EXPECT_EQ(head.Header("content-length"), std::to_string(content.size()));
  const Answer whole = Get(PathOf(digest));
  EXPECT_EQ(whole.body, content);
  EXPECT_EQ(whole.Header("etag"), '"' + digest.ToString() + '"');
  const Answer part = Get(PathOf(digest), {{"range", "bytes=2-4"}});
  EXPECT_EQ(part.status, 206);
  EXPECT_EQ(part.body, "bbb");
  EXPECT_TRUE(NoUploadStays());
}

TEST_F(RegistryRoutesTest, AnotherDigestThanTheNameIsRefused) {
  const Digest digest = Sha256Of("hello");
  const Answer answer = Put(digest, "hellO");
  EXPECT_EQ(answer.status, 422);
  EXPECT_EQ(json::parse(answer.body)["error"]["code"], "invalid");
  EXPECT_FALSE(blobs_->Has(digest));
  EXPECT_TRUE(NoUploadStays());
}

TEST_F(RegistryRoutesTest, NamesThatAreNoDigestsAreRefused) {
  const std::string hex = Sha256Of("hello").ToHex();
  for (const std::string& name :
       {hex, "sha256:" + hex.substr(1), "sha256:" + std::string(64, 'G'), "md5:" + hex,
        std::string("sha256:..%2F..%2Fetc%2Fpasswd"), std::string("..%2F..%2Fetc%2Fpasswd")}) {
    EXPECT_EQ(Get("/api/v1/blobs/" + name).status, 422) << name;
  }
  EXPECT_EQ(Get("/api/v1/blobs/../../etc/passwd").status, 400);
  EXPECT_EQ(Get("/api/v1/blobs/%2e%2e/x").status, 400);
}

TEST_F(RegistryRoutesTest, ALocalFileIsLinkedInsteadOfSent) {
  const fs::path source = folder_ / "train data.jsonl";
  ASSERT_TRUE(WriteFileAtomically(source, "rows"));
  const Digest digest = Sha256Of("rows");
  EXPECT_EQ(Link(digest, source.string(), "and a body").status, 422);
  EXPECT_EQ(Link(Sha256Of("other"), source.string()).status, 422);
  EXPECT_EQ(Link(digest, "train data.jsonl").status, 422);
  EXPECT_EQ(Link(digest, (folder_ / "none").string()).status, 404);
  ASSERT_EQ(::symlink(source.c_str(), (folder_ / "symlink").c_str()), 0);
  EXPECT_EQ(Link(digest, (folder_ / "symlink").string()).status, 422);
  EXPECT_FALSE(blobs_->Has(digest));
  EXPECT_EQ(Link(digest, source.string()).status, 201);
  EXPECT_EQ(Link(digest, source.string()).status, 200);
  EXPECT_EQ(Get(PathOf(digest)).body, "rows");
  EXPECT_TRUE(NoUploadStays());
}

TEST_F(RegistryRoutesTest, FilesAreLinkedForThisMachineAlone) {
  const fs::path source = folder_ / "file";
  ASSERT_TRUE(WriteFileAtomically(source, "rows"));
  const Digest digest = Sha256Of("rows");
  // The server takes connections from this machine only: the handler is asked directly.
  const auto match = router_.Find(http::Method::kPut, PathOf(digest)).value();
  http::Request request;
  request.method = http::Method::kPut;
  request.params = match.params;
  request.headers = {{"x-tutti-link", source.string()}};
  request.file.emplace(fs::path(), Bytes{0}, Sha256Of(""));
  request.peer = "192.0.2.7";
  std::optional<http::Response> answer;
  match.route->handler(std::move(request), http::Responder([&](http::Response response) {
                         answer.emplace(std::move(response));
                       }));
  ASSERT_TRUE(answer.has_value());
  EXPECT_EQ(answer->status, 403);
  EXPECT_FALSE(blobs_->Has(digest));
}

TEST_F(RegistryRoutesTest, ModelsAreListedShownAndReadByFile) {
  const Digest config = Sha256Of("{}");
  ASSERT_TRUE(blobs_->Put("{}", config));
  ModelRecord old{.id = "ft:bert:local:sections:1",
                  .job = JobId{1},
                  .job_name = "sections",
                  .created_at = WallTime{1}};
  ModelRecord record{.id = "ft:bert:local:sections:2",
                     .job = JobId{2},
                     .job_name = "sections",
                     .task = "text-classification",
                     .base = "./bert",
                     .digest = config,
                     .created_at = WallTime{1'770'000'000'000},
                     .files = {{"1_Pooling/config.json", config, Bytes{2}}},
                     .metrics_json = R"({"accuracy": 0.5})"};
  records_ = std::make_shared<std::vector<ModelRecord>>(std::vector{old, record});

  const json list = json::parse(Get("/api/v1/models").body);
  ASSERT_EQ(list["data"].size(), 2u);
  EXPECT_EQ(list["data"][0]["id"], record.id);
  const json shown = json::parse(Get("/api/v1/models/" + record.id).body);
  EXPECT_EQ(
      shown,
      (json{
          {"id", record.id},
          {"job", JobId{2}.ToString()},
          {"name", "sections"},
          {"task", "text-classification"},
          {"base", "./bert"},
          {"digest", config.ToString()},
          {"path", (folder_ / "models" / JobId{2}.ToString()).string()},
          {"created_at", record.created_at.ToRfc3339()},
          {"files",
           {{{"path", "1_Pooling/config.json"}, {"digest", config.ToString()}, {"size_bytes", 2}}}},
          {"metrics", {{"accuracy", 0.5}}}}));
  EXPECT_EQ(json::parse(Get("/api/v1/models/sections").body), shown);
  EXPECT_EQ(json::parse(Get("/api/v1/models/" + JobId{2}.ToString()).body), shown);
  EXPECT_EQ(Get("/api/v1/models/nothing").status, 404);

  const std::string files = "/api/v1/models/sections/files/";
  EXPECT_EQ(Get(files + "1_Pooling/config.json").body, "{}");
  EXPECT_EQ(Get(files + "config.json").status, 404);
  for (const char* path : {"../config.json", "%2e%2e/token", "1_Pooling%2Fconfig.json",
                           "1_Pooling/%2e%2e/%2e%2e/token", "/etc/passwd"}) {
    EXPECT_EQ(Get(files + path).status, 400) << path;
  }
}

TEST_F(RegistryRoutesTest, WithoutATokenNothingIsSaidAndNothingTaken) {
  const Digest digest = Sha256Of("hello");
  const std::string path = PathOf(digest);
  for (const char* method : {"GET", "HEAD", "PUT"}) {
    Client client(server_->Port());
    EXPECT_EQ(client.Ask({.method = method, .path = path, .body = "hello", .token = ""}).status,
              401);
  }
  EXPECT_EQ(client_->Ask({.path = "/api/v1/models", .token = "wrong"}).status, 401);
  EXPECT_FALSE(blobs_->Has(digest));
}

}  // namespace
}  // namespace tutti::registry
