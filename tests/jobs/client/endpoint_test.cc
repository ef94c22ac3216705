#include "jobs/client/endpoint.h"

#include <fcntl.h>
#include <gmock/gmock.h>
#include <stdlib.h>
#include <sys/file.h>
#include <unistd.h>

#include <fstream>
#include <map>

#include "common/file/file.h"

namespace tutti::client {
namespace {

namespace fs = std::filesystem;
using testing::HasSubstr;

Environment Of(std::map<std::string, std::string> values) {
  return [values](const std::string& name) -> std::optional<std::string> {
    const auto it = values.find(name);
    if (it == values.end()) return std::nullopt;
    return it->second;
  };
}

class EndpointTest : public testing::Test {
 protected:
  EndpointTest() {
    std::string pattern = testing::TempDir() + "endpoint-XXXXXX";
    dir_ = ::mkdtemp(pattern.data());
  }
  ~EndpointTest() override { fs::remove_all(dir_); }

  void WriteEndpoint(const std::string& url, const std::string& pin = "") {
    std::ofstream(dir_ / "token") << "secret\n";
    std::ofstream(dir_ / "endpoint.json")
        << R"({"url": ")" << url << R"(", "token_file": ")" << (dir_ / "token").string()
        << R"(", "pid": 12, "coordinator_pid": 13, "version": "0.1.0")"
        << (pin.empty() ? "" : R"(, "pin": ")" + pin + "\"") << "}";
  }

  fs::path dir_;
};

TEST(DataDir, FlagThenVariableThenXdgThenHome) {
  const EndpointOptions none;
  EXPECT_EQ(DataDirOf({.data_dir = "/a/"}, Of({{"TUTTI_DATA_DIR", "/b"}})).value(), "/a");
  EXPECT_EQ(DataDirOf(none, Of({{"TUTTI_DATA_DIR", "/b"}, {"HOME", "/h"}})).value(), "/b");
  EXPECT_EQ(DataDirOf(none, Of({{"XDG_DATA_HOME", "/x"}, {"HOME", "/h"}})).value(), "/x/tutti");
  EXPECT_EQ(DataDirOf(none, Of({{"HOME", "/h"}})).value(), "/h/.local/share/tutti");
  EXPECT_EQ(DataDirOf(none, Of({})).error().code, ErrorCode::kInvalid);
}

TEST(DataDir, IsMadeAbsolute) {
  EXPECT_EQ(DataDirOf({.data_dir = "sub"}, Of({})).value(), fs::current_path() / "sub");
}

TEST_F(EndpointTest, ReadsTheFileAndItsToken) {
  WriteEndpoint("http://127.0.0.1:4000");
  const auto found = FindEndpoint({.data_dir = dir_.string()}, Of({}));
  ASSERT_TRUE(found.has_value()) << found.error().ToString();
  EXPECT_EQ(found->url.ToString(), "http://127.0.0.1:4000");
  EXPECT_EQ(found->token, "secret");
  EXPECT_EQ(found->data_dir, dir_);
}

TEST_F(EndpointTest, AUrlWinsAndBringsItsOwnToken) {
  WriteEndpoint("http://127.0.0.1:4000");
  const auto env = Of({{"TUTTI_URL", "https://other:1"}, {"TUTTI_TOKEN", "t"}});
  auto found = FindEndpoint({.data_dir = dir_.string()}, env);
  EXPECT_EQ(found.value().url.host, "other");
  EXPECT_EQ(found.value().token, "t");
  found = FindEndpoint({.url = "https://third:2"}, env);
  EXPECT_EQ(found.value().url.host, "third");
}

TEST_F(EndpointTest, TheTokenOfTheDirectoryGoesToItsOwnAddressOnly) {
  WriteEndpoint("http://127.0.0.1:4000");
  EXPECT_EQ(FindEndpoint({.url = "http://127.0.0.1:4000", .data_dir = dir_.string()}, Of({}))
                .value()
                .token,
            "secret");
  EXPECT_EQ(FindEndpoint({.url = "http://127.0.0.1:4001", .data_dir = dir_.string()}, Of({}))
                .value()
                .token,
            "");
}

TEST_F(EndpointTest, ThePinOfTheDirectoryGoesWithItsOwnAddress) {
  const std::string pin = "sha256:" + std::string(64, 'a');
  WriteEndpoint("https://127.0.0.1:4000", pin);
  const std::string dir = dir_.string();
  EXPECT_EQ(FindEndpoint({.data_dir = dir}, Of({})).value().url.trust.pin, pin);
  const auto of_url = [&](const std::string& url, Environment env) {
    return FindEndpoint({.url = url, .data_dir = dir}, env).value().url.trust;
  };
  EXPECT_EQ(of_url("https://127.0.0.1:4000", Of({})).pin, pin);
  EXPECT_EQ(of_url("https://127.0.0.1:4000", Of({{"TUTTI_TOKEN", "other"}})).pin, pin);
  EXPECT_EQ(of_url("https://127.0.0.1:4001", Of({{"TUTTI_CA_FILE", "/ca"}})).pin, "");
  EXPECT_EQ(of_url("https://127.0.0.1:4001", Of({{"TUTTI_CA_FILE", "/ca"}})).ca_file, "/ca");
}

TEST_F(EndpointTest, APinOnTheCommandLineWinsOverTheVariableAndTheFile) {
  const std::string a = "sha256:" + std::string(64, 'a');
  const std::string b = "sha256:" + std::string(64, 'b');
  const std::string c = "sha256:" + std::string(64, 'c');
  WriteEndpoint("https://127.0.0.1:4000", a);
  const auto env = Of({{"TUTTI_PIN", b}});
  EXPECT_EQ(FindEndpoint({.data_dir = dir_.string()}, env).value().url.trust.pin, b);
  EXPECT_EQ(FindEndpoint({.pin = c, .data_dir = dir_.string()}, env).value().url.trust.pin, c);
  const auto bad = FindEndpoint({.url = "https://x:1"}, Of({{"TUTTI_PIN", "sha256:1"}}));
  ASSERT_FALSE(bad);
  EXPECT_EQ(bad.error().code, ErrorCode::kInvalid);
  EXPECT_EQ(bad.error().where, "TUTTI_PIN");
}

TEST_F(EndpointTest, ATokenGoesToAnotherMachineByHttpsOnly) {
  const auto env = Of({{"TUTTI_TOKEN", "t"}});
  const auto found = FindEndpoint({.url = "http://192.0.2.1:7717"}, env);
  ASSERT_FALSE(found);
  EXPECT_EQ(found.error().code, ErrorCode::kInvalid);
  EXPECT_THAT(found.error().hint, HasSubstr("https://192.0.2.1:7717"));
  EXPECT_TRUE(FindEndpoint({.url = "http://127.0.0.1:7717"}, env));
  EXPECT_TRUE(FindEndpoint({.url = "https://192.0.2.1:7717"}, env));
  const std::string pin = "sha256:" + std::string(64, 'a');
  EXPECT_FALSE(FindEndpoint({.url = "http://127.0.0.1:7717", .pin = pin}, env));
}

TEST_F(EndpointTest, NoClusterSaysHowToStartOne) {
  const auto found = FindEndpoint({.data_dir = dir_.string()}, Of({}));
  EXPECT_EQ(found.error().code, ErrorCode::kUnavailable);
  EXPECT_THAT(found.error().hint, HasSubstr("tutti up --data-dir " + dir_.string()));
}

TEST_F(EndpointTest, AMissingTokenFileIsAnAuthError) {
  WriteEndpoint("http://127.0.0.1:4000");
  fs::remove(dir_ / "token");
  EXPECT_EQ(FindEndpoint({.data_dir = dir_.string()}, Of({})).error().code, ErrorCode::kAuth);
}

TEST_F(EndpointTest, AFileThatIsNoJsonIsRefused) {
  std::ofstream(dir_ / "endpoint.json") << "{";
  EXPECT_EQ(FindEndpoint({.data_dir = dir_.string()}, Of({})).error().code, ErrorCode::kInvalid);
}

TEST_F(EndpointTest, TheSupervisorIsWhoHoldsTheLock) {
  EXPECT_EQ(SupervisorOf(dir_), std::nullopt);
  std::ofstream(dir_ / "supervisor.lock") << "4242\n";
  EXPECT_EQ(SupervisorOf(dir_), std::nullopt);
  const UniqueFd fd(::open((dir_ / "supervisor.lock").c_str(), O_RDWR | O_CLOEXEC));
  ASSERT_EQ(::flock(fd.get(), LOCK_EX), 0);
  EXPECT_EQ(SupervisorOf(dir_), 4242);
  EXPECT_THAT(FindEndpoint({.data_dir = dir_.string()}, Of({})).error().hint, HasSubstr("4242"));
}

}  // namespace
}  // namespace tutti::client
