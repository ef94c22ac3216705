// What a worker does before its first message: flags, keys, what machine it is on; and requests of
// tools.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <hwloc.h>
#include <sys/stat.h>

#include <fstream>
#include <map>
#include <nlohmann/json.hpp>

#include "common/curve/keys.h"
#include "common/file/file.h"
#include "worker/agent/admission.h"
#include "worker/agent/fingerprint.h"
#include "worker/agent/machine.h"
#include "worker/agent/settings.h"
#include "worker/agent/tool_request.h"

namespace tutti::agent {
namespace {

namespace fs = std::filesystem;
using namespace std::chrono_literals;

class Start : public testing::Test {
 protected:
  void SetUp() override {
    char name[] = "/tmp/tutti-start-XXXXXX";
    folder_ = mkdtemp(name);
  }
  void TearDown() override { fs::remove_all(folder_); }
  fs::path folder_;
};

// Complete flags, but for `option`, which has `value` or, when that is empty, is left out.
std::vector<std::string> Flags(const std::string& option = "", const std::string& value = "") {
  std::vector<std::string> flags;
  const std::map<std::string, std::string> all = {
      {"--dir", "d"},        {"--name", "one"},   {"--coordinator", "tcp://127.0.0.1:7718"},
      {"--server-key", "k"}, {"--jobs-dir", "j"}, {"--slots", "4"}};
  for (const auto& [name, usual] : all) {
    if (name != option) flags.insert(flags.end(), {name, usual});
  }
  if (!value.empty()) flags.insert(flags.end(), {option, value});
  return flags;
}

std::string WhereOfErrorIn(const std::vector<std::string>& flags) {
  const auto parsed = ParseSettings(flags);
  EXPECT_FALSE(parsed);
  return parsed ? "" : parsed.error().where;
}

TEST(Settings, AreReadAndPathsAbsolute) {
  auto flags = Flags();
  flags.insert(flags.end(), {"--data-root", "/data", "--data-root=/more", "--label", "disk=ssd"});
  const auto parsed = ParseSettings(flags);
  ASSERT_TRUE(parsed) << parsed.error().ToString();
  const auto& settings = std::get<Settings>(*parsed);
  EXPECT_EQ(settings.dir, fs::current_path() / "d");
  EXPECT_EQ(settings.slots, 4u);
  EXPECT_EQ(settings.data_roots, (std::vector<fs::path>{"/data", "/more"}));
  EXPECT_EQ(settings.labels.at("disk"), "ssd");
  EXPECT_EQ(settings.engine.filename(), "tutti-engine");
}

TEST(Settings, ErrorsNameTheOption) {
  for (const char* bad : {"../up", ".", "a/b", "-x"}) {
    EXPECT_EQ(WhereOfErrorIn(Flags("--name", bad)), "--name") << bad;
  }
  for (const char* bad : {"127.0.0.1", "127.0.0.1:80", "tcp://127.0.0.1", "ipc://x"}) {
    EXPECT_EQ(WhereOfErrorIn(Flags("--coordinator", bad)), "--coordinator") << bad;
  }
  EXPECT_EQ(WhereOfErrorIn(Flags("--slots", "-1")), "--slots");
  EXPECT_EQ(WhereOfErrorIn(Flags("--label", "disk")), "--label");
  EXPECT_EQ(WhereOfErrorIn(Flags("--server-key")), "--server-key");
}

TEST_F(Start, TheWorkersKeyGoesWhereTheCoordinatorLooks) {
  const auto keys = curve::LoadOrMakeKeyPair(folder_);
  ASSERT_TRUE(keys) << keys.error().ToString();
  ASSERT_TRUE(AllowKey(folder_ / "allowed", "one", keys->public_key));
  ASSERT_TRUE(AllowKey(folder_ / "allowed", "one", keys->public_key));
  EXPECT_EQ(*ReadFile(folder_ / "allowed/one.pub"), keys->public_key + "\n");
}

TEST_F(Start, AMissingServerKeyIsWaitedForWithADeadline) {
  const auto key = AwaitPublicKey(folder_ / "server.pub", 50ms);
  ASSERT_FALSE(key);
  EXPECT_EQ(key.error().code, ErrorCode::kTimeout);
}

TEST(Machine, HasCoresAndMemory) {
  const auto machine = ProbeMachine();
  ASSERT_TRUE(machine) << machine.error().ToString();
  EXPECT_GE(machine->cores, 1u);
  EXPECT_GT(machine->memory_bytes, std::uint64_t{64} << 20);
  EXPECT_FALSE(machine->isa_flags.empty());
  EXPECT_GT(ProbeUsage().memory_used_bytes, 0u);
  EXPECT_GT(ProbeUsage().cpu_seconds, 0.0);
}

TEST(Machine, ItsTopologyIsWhatHwlocReads) {
  const auto xml = TopologyXml();
  ASSERT_TRUE(xml) << xml.error().ToString();
  hwloc_topology_t topology = nullptr;
  ASSERT_EQ(hwloc_topology_init(&topology), 0);
  EXPECT_EQ(hwloc_topology_set_xmlbuffer(topology, xml->c_str(), static_cast<int>(xml->size()) + 1),
            0);
  EXPECT_EQ(hwloc_topology_load(topology), 0);
  const auto machine = ProbeMachine();
  EXPECT_GE(hwloc_get_nbobjs_by_type(topology, HWLOC_OBJ_PU),
            static_cast<int>(machine ? machine->cores : 0));
  hwloc_topology_destroy(topology);
}

TEST_F(Start, TheFingerprintChangesWithTheEngineAlone) {
  const auto machine = ProbeMachine();
  ASSERT_TRUE(machine);
  const fs::path engine = folder_ / "engine";
  fs::copy_file("/proc/self/exe", engine);
  const auto first = NumericsFingerprint(*machine, engine);
  ASSERT_TRUE(first) << first.error().ToString();
  EXPECT_EQ(*NumericsFingerprint(*machine, engine), *first);
  const auto libraries = NumericLibraries(engine);
  ASSERT_TRUE(libraries);
  EXPECT_TRUE(std::any_of(libraries->begin(), libraries->end(), [](const fs::path& library) {
    return library.filename().string().starts_with("libm");
  }));
  std::ofstream(engine, std::ios::app) << "more";
  EXPECT_NE(*NumericsFingerprint(*machine, engine), *first);
  Machine other = *machine;
  other.isa_flags.push_back("another");
  EXPECT_NE(*NumericsFingerprint(other, engine), *NumericsFingerprint(*machine, engine));
}

TEST_F(Start, AToolsPathsBecomeLocal) {
  fs::create_directories(folder_ / "data");
  std::ofstream(folder_ / "data/rows.jsonl") << "rows";
  const std::vector<fs::path> roots = {folder_ / "data"};
  PinnedFiles pinned;
  const ToolPlaces places{folder_ / "tool-1", "/cache", "/jobs", roots, pinned};
  const std::string in_place = "file://" + (folder_ / "data/rows.jsonl").string();
  const auto local = LocalRequest(
      R"({"model_dir": "model", "train_path": ")" + in_place + R"(", "eval_path": null})", places);
  ASSERT_TRUE(local) << local.error().ToString();
  const auto request = nlohmann::json::parse(*local);
  EXPECT_EQ(request["model_dir"], (folder_ / "tool-1/model").string());
  EXPECT_EQ(request["train_path"], (folder_ / "tool-1/in-place/train_path/rows.jsonl").string());
  EXPECT_TRUE(fs::exists(request["train_path"].get<std::string>()));
  EXPECT_TRUE(request["eval_path"].is_null());
  EXPECT_EQ(request["cache_dir"], "/cache");
  for (const char* bad : {R"({"model_dir": "../up"})", R"({"data_path": "/etc/passwd"})", "[]",
                          R"({"job": "../j-00000001"})", R"({"job": 7})"}) {
    EXPECT_FALSE(LocalRequest(bad, places)) << bad;
  }
  const auto of_job = LocalRequest(R"({"job": "j-00000001", "directory": "/etc"})", places);
  ASSERT_TRUE(of_job);
  EXPECT_EQ(nlohmann::json::parse(*of_job)["directory"], "/jobs/j-00000001/checkpoints");
}

TEST(ToolAnswer, SaysWhatWentWrong) {
  const ToolAnswer fine = AnswerOfOutput("inspect", R"({"estimate": {}})", "", 0);
  EXPECT_TRUE(fine.ok);
  const ToolAnswer refused =
      AnswerOfOutput("inspect", R"({"error": {"code": "invalid", "where": "a:3"}})", "", 3 << 8);
  EXPECT_FALSE(refused.ok);
  EXPECT_EQ(nlohmann::json::parse(refused.json)["where"], "a:3");
  const ToolAnswer killed = AnswerOfOutput("inspect", "", "", 9);
  EXPECT_FALSE(killed.ok);
  EXPECT_THAT(killed.json, testing::HasSubstr("inspect was killed by SIGKILL"));
  const ToolAnswer silent = AnswerOfOutput("try", "", "a library says why", 1 << 8);
  EXPECT_THAT(silent.json, testing::HasSubstr("a library says why"));
  EXPECT_FALSE(AnswerOfOutput("try", "not JSON", "", 0).ok);
}

}  // namespace
}  // namespace tutti::agent
