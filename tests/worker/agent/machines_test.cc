// Ranks of two machines are one MPI world: two processes, each a PMIx server with its own zygote,
// that meet through a socket as workers do through the coordinator.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <deque>
#include <filesystem>

#include "worker/agent/pmix.h"
#include "worker/agent/zygote.h"

namespace tutti::agent {
namespace {

using namespace std::chrono_literals;

constexpr std::uint32_t kMachines = 2;
constexpr std::uint32_t kRanksEach = 2;
const std::string kGang = "gang-over-machines";

enum Failure { kNone, kStart, kRegister, kSpawn, kRankFailed, kTooLate, kFenceLost };

// One machine's part of the gang. Runs in a process of its own.
class Machine {
 public:
  Machine(std::uint32_t index, int peer, std::filesystem::path folder)
      : index_(index), peer_(peer), folder_(std::move(folder)) {}

  int Run() {
    std::filesystem::create_directories(folder_);
    loop_ = std::move(*Loop::Create());
    auto pmix =
        PmixServer::Start({.temp_dir = folder_,
                           .machine_name = Name(index_),
                           .on_abort = {},
                           .on_fence = [this](PmixFence fence) { Meet(std::move(fence)); }});
    Zygote zygote({.loop = *loop_,
                   .command = {TUTTI_STAND_IN_ENGINE},
                   .log_path = folder_ / "zygote.log",
                   .on_spawned = [](const auto&) {},
                   .on_exited =
                       [this](const auto& exited) {
                         ++exited_;
                         if (exited.wait_status != 0) failure_ = kRankFailed;
                       },
                   .on_died = [] {}});
    if (!pmix || !zygote.Start()) return kStart;
    loop_->Watch(peer_, EPOLLIN, [this](std::uint32_t) { HearPeer(); });
    std::vector<PmixMachine> machines;
    for (std::uint32_t i = 0; i < kMachines; ++i) machines.push_back({Name(i), kRanksEach});
    if (!(*pmix)->Register({.name = kGang,
                            .size = kMachines * kRanksEach,
                            .temp_dir = folder_,
                            .uid = getuid(),
                            .gid = getgid(),
                            .machines = machines,
                            .this_machine = index_})) {
      return kRegister;
    }
    for (std::uint32_t local = 0; local < kRanksEach; ++local) {
      if (!Spawn(**pmix, zygote, local)) return kSpawn;
    }
    const Instant end = MonotonicNow() + Duration(30s);
    while (exited_ < kRanksEach && failure_ == kNone) {
      loop_->RunOnce(50ms);
      if (MonotonicNow() > end) return kTooLate;
    }
    (*pmix)->Deregister(kGang);
    return failure_;
  }

 private:
  static std::string Name(std::uint32_t index) { return "machine-" + std::to_string(index); }

  bool Spawn(const PmixServer& pmix, Zygote& zygote, std::uint32_t local) {
    const std::uint32_t rank = index_ * kRanksEach + local;
    int link[2];
    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, link) != 0) return false;
    links_.emplace_back(link[0]);
    const UniqueFd theirs(link[1]);
    const UniqueFd memory(memfd_create("machines", MFD_CLOEXEC));
    auto environment = pmix.Environment(kGang, rank);
    if (!environment) return false;
    enginelink::Spawn spawn{
        .id = local + 1,
        .arguments = {"train", "--link-fd", "{link}", "--memory-fd", "{memory}"},
        .environment = *environment,
        .fd_names = {"link", "memory"}};
    const int fds[] = {theirs.get(), memory.get()};
    if (!zygote.Send(spawn, fds)) return false;
    enginelink::Plan plan{.job = kGang, .attempt = 1};
    plan.spec = nlohmann::json::object();
    plan.rank = rank;
    plan.size = kMachines * kRanksEach;
    plan.local_rank = local;
    plan.local_size = kRanksEach;
    plan.export_dir = (folder_ / "export").string();
    const std::string line = enginelink::Encode(enginelink::ToEngine(plan));
    return write(link[0], line.data(), line.size()) == static_cast<ssize_t>(line.size());
  }

  // On a thread of the library.
  void Meet(PmixFence fence) {
    loop_->Post([this, fence = std::move(fence)] {
      if (send(peer_, fence.data.data(), fence.data.size(), MSG_NOSIGNAL) < 0)
        failure_ = kFenceLost;
      waiting_.push_back(fence);
      Answer();
    });
  }
  void HearPeer() {
    std::array<char, 65536> data{};
    const ssize_t size = recv(peer_, data.data(), data.size(), 0);
    if (size < 0) {
      failure_ = kFenceLost;
    } else {
      heard_.emplace_back(data.data(), static_cast<std::size_t>(size));
    }
    Answer();
  }
  void Answer() {
    if (waiting_.empty() || heard_.empty()) return;
    const PmixFence& mine = waiting_.front();
    mine.answer(index_ == 0 ? mine.data + heard_.front() : heard_.front() + mine.data);
    waiting_.pop_front();
    heard_.pop_front();
  }

  std::uint32_t index_;
  int peer_;  // SOCK_SEQPACKET: one packet a fence
  std::filesystem::path folder_;
  std::unique_ptr<Loop> loop_;
  std::vector<UniqueFd> links_;
  std::deque<PmixFence> waiting_;
  std::deque<std::string> heard_;
  std::uint32_t exited_ = 0;
  int failure_ = kNone;
};

TEST(Machines, RanksOfTwoMachinesAreOneWorld) {
  char name[] = "/tmp/tutti-machines-XXXXXX";
  const std::filesystem::path folder = mkdtemp(name);
  int ends[2];
  ASSERT_EQ(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends), 0);
  std::vector<pid_t> pids;
  for (std::uint32_t index = 0; index < kMachines; ++index) {
    const pid_t pid = fork();
    if (pid == 0) {
      _exit(Machine(index, ends[index], folder / std::to_string(index)).Run());
    }
    pids.push_back(pid);
  }
  std::vector<int> statuses;
  for (const pid_t pid : pids) {
    int status = 0;
    waitpid(pid, &status, 0);
    statuses.push_back(WIFEXITED(status) ? WEXITSTATUS(status) : -WTERMSIG(status));
  }
  EXPECT_THAT(statuses, testing::Each(kNone));
  EXPECT_TRUE(std::filesystem::exists(folder / "0/export/model.safetensors"));
  std::filesystem::remove_all(folder);
}

}  // namespace
}  // namespace tutti::agent
