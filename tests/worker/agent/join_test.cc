// Joining: asked once, kept in the directory, and refusals said.
#include "worker/agent/join.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "common/curve/keys.h"
#include "common/file/file.h"
#include "tests/worker/agent/blob_server.h"

namespace tutti::agent {
namespace {

namespace fs = std::filesystem;
using testing::HasSubstr;
using testing::SizeIs;

class Joining : public testing::Test {
 protected:
  void SetUp() override {
    char name[] = "/tmp/tutti-join-XXXXXX";
    folder_ = mkdtemp(name);
    settings_.dir = folder_ / "worker";
    settings_.name = "node-1";
    settings_.coordinator = "tcp://10.0.0.1:7718";
    settings_.server_key = JoinedKey(settings_.dir);
    settings_.jobs_dir = settings_.dir / "jobs";
    settings_.slots = 2;
    settings_.labels["disk"] = "ssd";
    settings_.cache_max_bytes = 1 << 20;
    settings_.join = JoinString{.http = server_.url(),
                                .zmq = settings_.coordinator,
                                .key = curve::MakeKeyPair()->public_key,
                                .secret = "0123456789abcdef"};
  }
  void TearDown() override { fs::remove_all(folder_); }

  fs::path folder_;
  BlobServer server_;
  Settings settings_;
};

TEST_F(Joining, AsksOnceAndKeepsWhatLaterStartsNeed) {
  server_.AnswerPosts(200, R"({"name": "node-1"})");
  const Status joined = Join(settings_);
  ASSERT_TRUE(joined) << joined.error().ToString();
  EXPECT_EQ(curve::LoadKey(JoinedKey(settings_.dir)).value(), settings_.join->key);
  EXPECT_THAT(server_.posts(), SizeIs(1));
  EXPECT_THAT(server_.posts()[0], HasSubstr(curve::LoadKey(settings_.dir / "curve.pub").value()));

  const std::vector<std::string> words = {"--dir", settings_.dir};
  const auto later = ParseSettings(words);
  ASSERT_TRUE(later) << later.error().ToString();
  const Settings& kept = std::get<Settings>(*later);
  EXPECT_EQ(kept.name, settings_.name);
  EXPECT_EQ(kept.coordinator, settings_.coordinator);
  EXPECT_EQ(kept.server_key, settings_.server_key);
  EXPECT_EQ(kept.jobs_dir, settings_.jobs_dir);
  EXPECT_EQ(kept.slots, settings_.slots);
  EXPECT_EQ(kept.labels, settings_.labels);
  EXPECT_EQ(kept.cache_max_bytes, settings_.cache_max_bytes);

  ASSERT_TRUE(Join(settings_));  // the same string again: joined already
  EXPECT_THAT(server_.posts(), SizeIs(1));
}

TEST_F(Joining, ARefusalSaysWhatTheCoordinatorSaysAndIsNotTriedAgain) {
  for (const auto& [status, code] :
       {std::pair(403, ErrorCode::kAuth), std::pair(409, ErrorCode::kConflict)}) {
    server_.AnswerPosts(status, R"({"error": {"message": "it was used", "hint": "make another"}})");
    const std::size_t before = server_.posts().size();
    const Status joined = Join(settings_);
    ASSERT_FALSE(joined);
    EXPECT_EQ(joined.error().code, code);
    EXPECT_EQ(joined.error().message, "it was used");
    EXPECT_EQ(joined.error().hint, "make another");
    EXPECT_EQ(server_.posts().size(), before + 1);
    EXPECT_FALSE(fs::exists(JoinedFile(settings_.dir)));
  }
}

TEST_F(Joining, ADirectoryOfAnotherClusterIsLeftAlone) {
  ASSERT_TRUE(MakeDirectories(settings_.dir));
  ASSERT_TRUE(WriteFileAtomically(JoinedKey(settings_.dir), curve::MakeKeyPair()->public_key));
  const Status joined = Join(settings_);
  ASSERT_FALSE(joined);
  EXPECT_EQ(joined.error().code, ErrorCode::kConflict);
  EXPECT_THAT(server_.posts(), SizeIs(0));
}

}  // namespace
}  // namespace tutti::agent
