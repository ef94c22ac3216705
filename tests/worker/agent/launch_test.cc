// Ranks started through the zygote and the PMIx server are one MPI world.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <filesystem>

#include "worker/agent/pmix.h"
#include "worker/agent/zygote.h"

namespace tutti::agent {
namespace {

using namespace std::chrono_literals;

class Launch : public testing::Test {
 protected:
  static void SetUpTestSuite() {
    char name[] = "/tmp/tutti-launch-XXXXXX";
    folder_ = mkdtemp(name);
    auto pmix = PmixServer::Start({.temp_dir = folder_, .on_abort = {}});
    ASSERT_TRUE(pmix) << pmix.error().ToString();
    pmix_ = std::move(*pmix);
  }
  static void TearDownTestSuite() {
    pmix_.reset();
    std::filesystem::remove_all(folder_);
  }

  void SetUp() override {
    loop_ = std::move(*Loop::Create());
    zygote_.emplace(
        Zygote::Options{.loop = *loop_,
                        .command = {TUTTI_STAND_IN_ENGINE},
                        .log_path = folder_ / "zygote.log",
                        .on_spawned = [this](const auto& spawned) { spawned_.push_back(spawned); },
                        .on_exited = [this](const auto& exited) { exited_.push_back(exited); },
                        .on_died = [this] { ++deaths_; }});
    ASSERT_TRUE(zygote_->Start());
  }

  template <typename Condition>
  bool Until(Condition condition) {
    const Instant end = MonotonicNow() + Duration(20s);
    while (!condition() && MonotonicNow() < end) loop_->RunOnce(100ms);
    return condition();
  }

  // Starts rank `rank` of `size`; returns its worker's end of the link.
  UniqueFd SpawnRank(const std::string& gang, std::uint32_t rank, std::uint32_t size, int memory) {
    int link[2];
    EXPECT_EQ(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, link), 0);
    UniqueFd ours(link[0]), theirs(link[1]);
    auto environment = pmix_->Environment(gang, rank);
    EXPECT_TRUE(environment);
    enginelink::Spawn spawn{
        .id = rank + 1,
        .arguments = {"train", "--link-fd", "{link}", "--memory-fd", "{memory}"},
        .environment = *environment,
        .fd_names = {"link", "memory"}};
    const int fds[] = {theirs.get(), memory};
    EXPECT_TRUE(zygote_->Send(spawn, fds));
    enginelink::Plan plan{.job = gang, .attempt = 1};
    plan.spec = nlohmann::json::object();
    plan.rank = plan.local_rank = rank;
    plan.size = plan.local_size = size;
    plan.export_dir = (folder_ / gang).string();
    const std::string line = enginelink::Encode(enginelink::ToEngine(plan));
    EXPECT_EQ(write(ours.get(), line.data(), line.size()), static_cast<ssize_t>(line.size()));
    return ours;
  }

  void RunGang(std::uint32_t size) {
    const std::string gang = "gang-" + std::to_string(size);
    const auto temp = folder_ / (gang + "-tmp");
    std::filesystem::create_directories(temp);
    ASSERT_TRUE(pmix_->Register(
        {.name = gang, .size = size, .temp_dir = temp, .uid = getuid(), .gid = getgid()}));
    const UniqueFd memory(memfd_create("test", MFD_CLOEXEC));
    std::vector<UniqueFd> links;
    for (std::uint32_t rank = 0; rank < size; ++rank) {
      links.push_back(SpawnRank(gang, rank, size, memory.get()));
    }
    ASSERT_TRUE(Until([&] { return exited_.size() == size; }));
    for (const auto& exited : exited_) EXPECT_EQ(exited.wait_status, 0);
    EXPECT_EQ(spawned_.size(), size);
    EXPECT_TRUE(std::filesystem::exists(folder_ / gang / "model.safetensors"));
    pmix_->Deregister(gang);
  }

  static inline std::filesystem::path folder_;
  static inline std::unique_ptr<PmixServer> pmix_;
  std::unique_ptr<Loop> loop_;
  std::optional<Zygote> zygote_;
  std::vector<enginelink::Spawned> spawned_;
  std::vector<enginelink::Exited> exited_;
  int deaths_ = 0;
};

TEST_F(Launch, TwoRanksAreOneWorld) { RunGang(2); }
TEST_F(Launch, FourRanksAreOneWorld) { RunGang(4); }

TEST_F(Launch, ZygoteThatDiesIsStartedAgain) {
  const pid_t first = zygote_->pid();
  kill(first, SIGKILL);
  ASSERT_TRUE(Until([&] { return deaths_ == 1 && zygote_->pid() != first; }));
  waitpid(first, nullptr, 0);
  RunGang(2);
}

TEST_F(Launch, SendWithoutZygoteIsAnError) {
  const pid_t first = zygote_->pid();
  kill(first, SIGKILL);
  ASSERT_TRUE(Until([&] { return deaths_ == 1; }));
  const auto sent = zygote_->Send({.id = 1, .arguments = {"train"}}, {});
  ASSERT_FALSE(sent);
  EXPECT_EQ(sent.error().code, ErrorCode::kUnavailable);
  waitpid(first, nullptr, 0);
}

}  // namespace
}  // namespace tutti::agent
