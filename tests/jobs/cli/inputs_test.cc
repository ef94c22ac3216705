#include "jobs/cli/inputs.h"

#include <gmock/gmock.h>
#include <stdlib.h>

#include <fstream>
#include <map>
#include <nlohmann/json.hpp>

#include "common/digest/sha256.h"
#include "tests/common/httpclient/fake_server.h"

namespace tutti::cli {
namespace {

namespace fs = std::filesystem;
using httpclient::FakeServer;
using httpclient::Seen;
using testing::ElementsAre;
using testing::HasSubstr;

client::Environment NoEnvironment() {
  return [](const std::string&) { return std::optional<std::string>(); };
}

class InputsTest : public testing::Test {
 protected:
  InputsTest() {
    std::string pattern = testing::TempDir() + "inputs-XXXXXX";
    dir_ = ::mkdtemp(pattern.data());
    fs::create_directories(dir_ / "model");
  }
  ~InputsTest() override { fs::remove_all(dir_); }

  void Write(const std::string& name, const std::string& text) {
    std::ofstream(dir_ / name) << text;
  }
  void WriteModel() {
    Write("model/config.json", "{}");
    Write("model/model.safetensors", "weights");
    Write("model/tokenizer.json", "{\"a\": 1}");
    Write("model/vocab.txt", "a\nb\n");
    Write("model/README.md", "read me");
    Write("model/pytorch_model.bin", "pickle");
    Write("train.jsonl", "{}\n");
  }
  spec::JobSpec Job(const std::string& model) {
    spec::JobSpec job;
    job.model = model;
    job.data.train = "train.jsonl";
    return job;
  }
  client::Answer<ResolvedInputs> Resolve(const spec::JobSpec& job) {
    client::Client client({.url = server_.url()}, NoEnvironment());
    return ResolveInputs(
        job, dir_, [](const std::vector<std::string>& path) { return "spec.yaml:" + path.back(); },
        client);
  }
  std::string Answer(const Seen& seen) {
    if (seen.target.ends_with("earlier")) {
      return FakeServer::Json(R"({"id": "ft:earlier", "files": [
          {"path": "model.safetensors", "digest": "sha256:aa", "size_bytes": 7},
          {"path": "README.md", "digest": "sha256:bb", "size_bytes": 8},
          {"path": "config.json", "digest": "sha256:cc", "size_bytes": 9}]})");
    }
    if (seen.method == "HEAD") {
      return "HTTP/1.1 " + std::string(seen.target.ends_with(known_) ? "200" : "404") +
             " X\r\nContent-Length: 0\r\n\r\n";
    }
    if (seen.method == "PUT") {
      if (seen.headers.contains("x-tutti-link") && !may_link_) return FakeServer::Json("{}", 403);
      return FakeServer::Json("{}", 201);
    }
    return FakeServer::Json(R"({"error": {"code": "not_found", "message": "no such model"}})", 404);
  }

  std::string known_ = "nothing";
  bool may_link_ = true;
  FakeServer server_{[this](const Seen& seen) { return Answer(seen); }};
  fs::path dir_;
};

TEST_F(InputsTest, AModelIsItsSafeFilesSortedAndHashed) {
  WriteModel();
  const auto resolved = Resolve(Job("./model"));
  ASSERT_TRUE(resolved.has_value());
  std::vector<std::string> names;
  for (const spec::InputFile& file : resolved->inputs.model) names.push_back(file.path);
  EXPECT_THAT(names,
              ElementsAre("config.json", "model.safetensors", "tokenizer.json", "vocab.txt"));
  EXPECT_EQ(resolved->inputs.model[1].digest, Sha256Of("weights").ToString());
  EXPECT_EQ(resolved->inputs.model[1].size_bytes, 7);
  EXPECT_EQ(resolved->inputs.train->path, "train.jsonl");
  EXPECT_EQ(resolved->files.size(), 5u);
  EXPECT_TRUE(resolved->files[0].path.is_absolute());
}

TEST_F(InputsTest, ADirectoryNeedsNoDotSlash) {
  WriteModel();
  EXPECT_EQ(Resolve(Job("model")).value().inputs.model.size(), 4u);
}

TEST_F(InputsTest, PickledWeightsAreRefusedWithTheLineThatConvertsThem) {
  Write("train.jsonl", "{}\n");
  Write("model/config.json", "{}");
  Write("model/pytorch_model.bin", "pickle");
  const auto resolved = Resolve(Job("./model"));
  ASSERT_FALSE(resolved.has_value());
  const Error& error = resolved.error().at(0);
  EXPECT_EQ(error.code, ErrorCode::kInvalid);
  EXPECT_EQ(error.where, "spec.yaml:model");
  EXPECT_THAT(error.hint, HasSubstr("safe_serialization=True"));
}

TEST_F(InputsTest, AllThatIsMissingIsSaidAtOnce) {
  spec::JobSpec job = Job("./absent");
  job.data.eval = "eval.jsonl";
  const auto resolved = Resolve(job);
  ASSERT_FALSE(resolved.has_value());
  ASSERT_EQ(resolved.error().size(), 3u);
  EXPECT_EQ(resolved.error()[1].where, "spec.yaml:train");
  EXPECT_EQ(resolved.error()[2].where, "spec.yaml:eval");
}

TEST_F(InputsTest, DataInPlaceIsLeftToTheWorkers) {
  WriteModel();
  spec::JobSpec job = Job("./model");
  job.data.train = "file:///data/train.jsonl";
  const auto resolved = Resolve(job);
  ASSERT_TRUE(resolved.has_value());
  EXPECT_FALSE(resolved->inputs.train.has_value());
}

TEST_F(InputsTest, AModelOfTheClusterIsItsBlobs) {
  Write("train.jsonl", "{}\n");
  const auto resolved = Resolve(Job("earlier"));
  ASSERT_TRUE(resolved.has_value());
  EXPECT_THAT(resolved->inputs.model,
              ElementsAre(spec::InputFile{"config.json", "sha256:cc", 9},
                          spec::InputFile{"model.safetensors", "sha256:aa", 7}));
  EXPECT_EQ(resolved->files.size(), 1u);
}

// Whoever changes a byte of either has other inputs.
TEST_F(InputsTest, AnAdapterIsItsFilesAndThoseOfItsBase) {
  WriteModel();
  fs::create_directories(dir_ / "adapter");
  Write("adapter/adapter_config.json", R"({"base_model_name_or_path": "../model"})");
  Write("adapter/adapter_model.safetensors", "trained");
  const auto digests = [this] {
    const auto resolved = Resolve(Job("./adapter"));
    EXPECT_TRUE(resolved.has_value()) << resolved.error().at(0).ToString();
    std::map<std::string, std::string> of;
    for (const auto& file : resolved->inputs.model) of[file.path] = file.digest;
    return of;
  };
  const auto before = digests();
  EXPECT_THAT(before,
              testing::AllOf(testing::SizeIs(6), testing::Contains(testing::Key("vocab.txt"))));
  EXPECT_EQ(before.at("base/model.safetensors"), Sha256Of("weights").ToString());
  EXPECT_EQ(before.at("adapter_model.safetensors"), Sha256Of("trained").ToString());
  Write("model/model.safetensors", "others");
  EXPECT_NE(digests().at("base/model.safetensors"), before.at("base/model.safetensors"));
}

TEST_F(InputsTest, AnAdaptersBaseMayBeAModelOfTheCluster) {
  WriteModel();
  fs::create_directories(dir_ / "adapter");
  Write("adapter/adapter_config.json", R"({"base_model_name_or_path": "ft:earlier"})");
  Write("adapter/adapter_model.safetensors", "trained");
  const auto resolved = Resolve(Job("./adapter"));
  ASSERT_TRUE(resolved.has_value()) << resolved.error().at(0).ToString();
  EXPECT_THAT(resolved->inputs.model,
              testing::IsSupersetOf({spec::InputFile{"base/config.json", "sha256:cc", 9},
                                     spec::InputFile{"base/model.safetensors", "sha256:aa", 7}}));
  EXPECT_EQ(resolved->files.size(), 3u);  // the adapter's two, and the data
  Write("adapter/adapter_config.json", R"({"base_model_name_or_path": "ft:gone"})");
  const auto gone = Resolve(Job("./adapter"));
  ASSERT_FALSE(gone.has_value());
  EXPECT_EQ(gone.error().at(0).where, "spec.yaml:model");
  EXPECT_THAT(gone.error().at(0).message, HasSubstr("the adapter's base 'ft:gone'"));
}

TEST_F(InputsTest, AHubIdIsNotDownloadedButExplained) {
  Write("train.jsonl", "{}\n");
  const auto resolved = Resolve(Job("org/model@main"));
  EXPECT_EQ(resolved.error().at(0).code, ErrorCode::kUnsupported);
  EXPECT_THAT(resolved.error().at(0).hint, HasSubstr("model: ./"));
  EXPECT_EQ(Resolve(Job("unknown")).error().at(0).code, ErrorCode::kInvalid);
}

TEST_F(InputsTest, UploadsOnlyWhatIsMissingByLink) {
  Write("a", "a");
  Write("b", "b");
  const LocalFile a = HashFile(dir_ / "a").value();
  const LocalFile b = HashFile(dir_ / "b").value();
  known_ = a.digest;
  client::Client client({.url = server_.url()}, NoEnvironment());
  ASSERT_TRUE(Upload(client, {a, b, b}).has_value());
  const auto seen = server_.seen();
  ASSERT_EQ(seen.size(), 3u);
  EXPECT_EQ(seen[2].method, "PUT");
  EXPECT_EQ(seen[2].target, "/api/v1/blobs/" + b.digest);
  EXPECT_EQ(seen[2].headers.at("x-tutti-link"), b.path.string());
  EXPECT_EQ(seen[2].body, "");
}

TEST_F(InputsTest, SendsTheBytesWhereALinkIsRefused) {
  may_link_ = false;
  Write("a", "content");
  client::Client client({.url = server_.url()}, NoEnvironment());
  ASSERT_TRUE(Upload(client, {HashFile(dir_ / "a").value()}).has_value());
  EXPECT_EQ(server_.seen().back().body, "content");
}

TEST(Places, PointIntoTheSpec) {
  const PlaceOf place = PlacesIn("model: ./m\ndata:\n  train: x\n", "a.yaml", {"data.eval=y"});
  EXPECT_THAT(place({"model"}), HasSubstr("a.yaml:1:"));
  EXPECT_THAT(place({"data", "train"}), HasSubstr("a.yaml:3:"));
  EXPECT_EQ(place({"data", "eval"}), "--set data.eval");
  EXPECT_EQ(place({"name"}), "a.yaml: name");
}

}  // namespace
}  // namespace tutti::cli
