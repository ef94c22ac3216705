#include "worker/agent/settings.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "common/curve/keys.h"
#include "common/file/file.h"
#include "worker/agent/join.h"

namespace tutti::agent {
namespace {

namespace fs = std::filesystem;
using testing::HasSubstr;

class SettingsTest : public testing::Test {
 protected:
  void SetUp() override {
    char name[] = "/tmp/tutti-settings-XXXXXX";
    folder_ = mkdtemp(name);
  }
  void TearDown() override { fs::remove_all(folder_); }

  Result<Settings> Parse(std::vector<std::string> words) {
    auto parsed = ParseSettings(words);
    if (!parsed) return Fail(parsed.error());
    return std::get<Settings>(*parsed);
  }
  std::string Join(const std::string& name = "") const {
    return FormatJoin({.http = "https://10.0.0.1:7717",
                       .pin = "",
                       .zmq = "tcp://10.0.0.1:7718",
                       .key = curve::MakeKeyPair()->public_key,
                       .secret = "0123456789abcdef",
                       .name = name});
  }

  fs::path folder_;
};

TEST_F(SettingsTest, AJoinStringSaysWhereTheCoordinatorIs) {
  const auto settings =
      Parse({"--join", Join(), "--dir", folder_, "--name", "one", "--slots", "3"});
  ASSERT_TRUE(settings) << settings.error().ToString();
  EXPECT_EQ(settings->coordinator, "tcp://10.0.0.1:7718");
  EXPECT_EQ(settings->server_key, JoinedKey(folder_));
  EXPECT_EQ(settings->jobs_dir, folder_ / "jobs");
  EXPECT_EQ(settings->slots, 3u);
  EXPECT_TRUE(settings->join);
}

TEST_F(SettingsTest, NameAndSlotsHaveDefaults) {
  const auto settings = Parse({"--join", Join("node-7"), "--dir", folder_});
  ASSERT_TRUE(settings) << settings.error().ToString();
  EXPECT_EQ(settings->name, "node-7");
  EXPECT_GE(settings->slots, 1u);
}

TEST_F(SettingsTest, ADirectoryThatJoinedBringsItsOptionsAndTheCommandLineWins) {
  ASSERT_TRUE(WriteFileAtomically(
      JoinedFile(folder_), R"({"name": "one", "coordinator": "tcp://10.0.0.1:7718", "slots": 3,
          "server-key": "/k/coordinator.pub", "label": ["disk=ssd"], "data-root": ["/data"]})"));
  auto settings = Parse({"--dir", folder_});
  ASSERT_TRUE(settings) << settings.error().ToString();
  EXPECT_EQ(settings->name, "one");
  EXPECT_EQ(settings->server_key, "/k/coordinator.pub");
  EXPECT_EQ(settings->labels.at("disk"), "ssd");
  EXPECT_FALSE(settings->join);
  settings = Parse({"--dir", folder_, "--slots", "5"});
  ASSERT_TRUE(settings);
  EXPECT_EQ(settings->slots, 5u);
  EXPECT_EQ(settings->data_roots.at(0), "/data");
}

TEST_F(SettingsTest, ADirectoryThatDidNotJoinSaysHowTo) {
  const auto settings = Parse({"--dir", folder_});
  ASSERT_FALSE(settings);
  EXPECT_EQ(settings.error().code, ErrorCode::kInvalid);
  EXPECT_THAT(settings.error().hint, HasSubstr("--join"));
}

TEST_F(SettingsTest, ADamagedJoinStringIsNoSetting) {
  const auto settings = Parse({"--join", Join().substr(0, 40), "--dir", folder_});
  ASSERT_FALSE(settings);
  EXPECT_EQ(settings.error().where, "--join");
}

}  // namespace
}  // namespace tutti::agent
