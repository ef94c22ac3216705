#include "worker/engine/zygote.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>

#include <cstring>
#include <optional>
#include <span>
#include <thread>
#include <utility>
#include <variant>

#include "common/enginelink/messages.h"
#include "tests/worker/engine/rank_process.h"
#include "worker/engine/blas.h"
#include "worker/engine/exit_codes.h"

namespace tutti::engine {
namespace {

using enginelink::Exited;
using enginelink::Spawn;
using enginelink::Spawned;
using testing::HasSubstr;

constexpr int kZygoteFd = 3;

// The worker's end of a running zygote.
class ZygoteProcess {
 public:
  ZygoteProcess() {
    std::array<int, 2> pair{};
    if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair.data()) != 0) std::abort();
    socket_ = UniqueFd(pair[0]);
    const UniqueFd theirs(pair[1]);
    const UniqueFd null(open("/dev/null", O_RDWR | O_CLOEXEC));
    pid_ = StartEngine({"zygote", "--fd", std::to_string(kZygoteFd)}, null.get(), null.get(),
                       STDERR_FILENO,
                       {.environment = {{"OMP_NUM_THREADS", "1"}, {"OPENBLAS_NUM_THREADS", "1"}},
                        .fds = {{kZygoteFd, theirs.get()}}});
  }
  ~ZygoteProcess() {
    if (pid_ > 0) Kill();
  }

  pid_t pid() const { return pid_; }

  void Send(const Spawn& spawn, std::vector<int> fds) {
    std::string packet = EncodePacket(spawn);
    iovec data{packet.data(), packet.size()};
    alignas(cmsghdr) std::array<char, CMSG_SPACE(16 * sizeof(int))> control{};
    msghdr message{};
    message.msg_iov = &data;
    message.msg_iovlen = 1;
    const std::size_t bytes = fds.size() * sizeof(int);
    if (!fds.empty()) {
      message.msg_control = control.data();
      message.msg_controllen = CMSG_SPACE(bytes);
      cmsghdr* header = CMSG_FIRSTHDR(&message);
      header->cmsg_level = SOL_SOCKET;
      header->cmsg_type = SCM_RIGHTS;
      header->cmsg_len = CMSG_LEN(bytes);
      std::memcpy(CMSG_DATA(header), fds.data(), bytes);
    }
    ASSERT_GT(sendmsg(socket_.get(), &message, MSG_NOSIGNAL), 0);
  }

  template <typename Event>
  Event Hear() {
    pollfd ready{socket_.get(), POLLIN, 0};
    std::array<char, 65536> data{};
    ssize_t size = -1;
    if (poll(&ready, 1, kDeadlineMs) > 0) size = recv(socket_.get(), data.data(), data.size(), 0);
    if (size <= 0) {
      ADD_FAILURE() << "the zygote said nothing";
      return {};
    }
    const auto event = enginelink::DecodeZygoteEvent({data.data(), static_cast<std::size_t>(size)});
    if (!event || !std::holds_alternative<Event>(*event)) {
      ADD_FAILURE() << "another event: "
                    << std::string(data.data(), static_cast<std::size_t>(size));
      return {};
    }
    return std::get<Event>(*event);
  }

  void Hang() { socket_.Reset(); }
  int Wait() {
    int status = 0;
    waitpid(std::exchange(pid_, 0), &status, 0);
    return status;
  }
  void Kill() {
    kill(pid_, SIGKILL);
    Wait();
  }

 private:
  UniqueFd socket_;
  pid_t pid_ = 0;
};

std::string Field(pid_t pid, const std::string& name) {
  const auto status = ReadFile("/proc/" + std::to_string(pid) + "/status");
  if (!status) return "gone";
  const std::size_t at = status->find("\n" + name + ":\t");
  const std::size_t from = at + name.size() + 3;
  return at == std::string::npos ? "" : status->substr(from, status->find('\n', from) - from);
}

// Waits until the process with this descriptor's other end has gone: it held the only copy.
bool AwaitEnd(int read_end) { return Drain(read_end).empty(); }

TEST(Zygote, ForksTheEnginesCommandsAndReportsTheirEnds) {
  ZygoteProcess zygote;
  Pipe out;
  zygote.Send({.id = 7, .arguments = {"--version"}, .fd_names = {"stdout"}}, {out.write.get()});
  out.write.Reset();
  const auto spawned = zygote.Hear<Spawned>();
  EXPECT_EQ(spawned.id, 7u);
  EXPECT_GT(spawned.pid, 0) << spawned.error;
  EXPECT_THAT(Drain(out.read.get()), HasSubstr("tutti-engine "));
  const auto exited = zygote.Hear<Exited>();
  EXPECT_EQ(exited.id, 7u);
  EXPECT_EQ(exited.pid, spawned.pid);
  EXPECT_EQ(StatusOf(exited.wait_status), kExitOk);
  EXPECT_GT(exited.memory_peak_bytes, 1u << 20);
}

TEST(Zygote, LoadsEveryLibraryAndStillHasOneThread) {
  ZygoteProcess zygote;
  zygote.Send({.id = 1, .arguments = {"--version"}}, {});
  EXPECT_GT(zygote.Hear<Spawned>().pid, 0);
  EXPECT_EQ(Field(zygote.pid(), "Threads"), "1");
  const auto maps = ReadFile("/proc/" + std::to_string(zygote.pid()) + "/maps");
  ASSERT_TRUE(maps.has_value());
  for (const char* library :
       {"/libtorch_cpu.", "/libmpi.", "/libhdf5", "/libgomp.", "/mca_pml_ob1.", "/mca_btl_tcp.",
        "/libpmix."}) {  // the last ones of World::Preload
    EXPECT_NE(maps->find(library), std::string::npos) << library;
  }
  const Result<Blas> blas = CheckBlas();  // this program's is the engine's
  ASSERT_TRUE(blas.has_value()) << blas.error().ToString();
  const bool in_torch = blas->file.find("/libtorch_cpu.") != std::string::npos;
  EXPECT_NE(maps->find("/openblas-openmp/") != std::string::npos, in_torch);
  EXPECT_EQ(maps->find("/openblas-pthread/"), std::string::npos);
}

// Tensor operations, MPI and the writer's thread all start after the fork.
TEST(Zygote, ARankTrainsInAForkedChildMoreThanOnce) {
  const finetune::SmallJob job("zygote");
  spec::JobSpec spec = finetune::SmallJob::Spec();
  spec.training.max_steps = 3;
  enginelink::Plan plan = PlanOf(job, spec);
  ZygoteProcess zygote;
  for (plan.attempt = 1; plan.attempt <= 2; ++plan.attempt) {
    std::array<int, 2> pair{};
    ASSERT_EQ(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair.data()), 0);
    UniqueFd ours(pair[0]), theirs(pair[1]);
    const UniqueFd memory(memfd_create("gang", MFD_CLOEXEC));
    zygote.Send({.id = plan.attempt,
                 .arguments = {"train", "--link-fd", "{link}", "--memory-fd", "{memory}"},
                 .fd_names = {"link", "memory"}},
                {theirs.get(), memory.get()});
    theirs.Reset();
    const std::string line = Encode(enginelink::ToEngine(plan));
    ASSERT_EQ(write(ours.get(), line.data(), line.size()), static_cast<ssize_t>(line.size()));
    EXPECT_GT(zygote.Hear<Spawned>().pid, 0);
    EXPECT_THAT(Drain(ours.get()), HasSubstr("\"outcome\":\"succeeded\""));
    EXPECT_EQ(StatusOf(zygote.Hear<Exited>().wait_status), kExitOk);
    EXPECT_EQ(Field(zygote.pid(), "Threads"), "1");
  }
}

TEST(Zygote, ChildrenGetTheirDescriptorsByName) {
  ZygoteProcess zygote;
  Pipe in, out;
  zygote.Send({.id = 2,
               .arguments = {"tokenize", "tests/parity/cases/tokenizers/bert-tiny"},
               .fd_names = {"stdin", "stdout"}},
              {in.read.get(), out.write.get()});
  in.read.Reset();
  out.write.Reset();
  ASSERT_GT(write(in.write.get(), "\"a\"\n", 4), 0);
  in.write.Reset();
  EXPECT_THAT(Drain(out.read.get()), testing::MatchesRegex("\\[[0-9,]+\\]\n"));
  zygote.Hear<Spawned>();
  EXPECT_EQ(StatusOf(zygote.Hear<Exited>().wait_status), kExitOk);
}

TEST(Zygote, ManyChildrenAtOnceKeepTheirIds) {
  ZygoteProcess zygote;
  std::map<int, std::uint64_t> id_of;
  std::vector<Pipe> inputs(8);
  for (std::uint64_t id = 0; id < inputs.size(); ++id) {
    zygote.Send({.id = id,
                 .arguments = {"tokenize", "tests/parity/cases/tokenizers/bert-tiny"},
                 .fd_names = {"stdin"}},
                {inputs[id].read.get()});
    inputs[id].read.Reset();
    id_of[zygote.Hear<Spawned>().pid] = id;
  }
  EXPECT_EQ(id_of.size(), inputs.size());
  for (Pipe& input : inputs) input.write.Reset();
  for (std::size_t i = 0; i < inputs.size(); ++i) {
    const auto exited = zygote.Hear<Exited>();
    EXPECT_EQ(id_of.at(exited.pid), exited.id);
    EXPECT_EQ(StatusOf(exited.wait_status), kExitOk);
  }
}

TEST(Zygote, APacketWithTheWrongDescriptorsIsRefused) {
  ZygoteProcess zygote;
  zygote.Send({.id = 3, .arguments = {"--version"}, .fd_names = {"stdout"}}, {});
  const auto spawned = zygote.Hear<Spawned>();
  EXPECT_EQ(spawned.id, 3u);
  EXPECT_EQ(spawned.pid, 0);
  EXPECT_THAT(spawned.error, HasSubstr("descriptors"));
}

// The child waits for input that never comes; that its stdout closes says it is gone.
struct WaitingChild {
  Pipe in, out;
  explicit WaitingChild(ZygoteProcess& zygote) {
    zygote.Send({.id = 9,
                 .arguments = {"tokenize", "tests/parity/cases/tokenizers/bert-tiny"},
                 .fd_names = {"stdin", "stdout"}},
                {in.read.get(), out.write.get()});
    in.read.Reset();
    out.write.Reset();
    EXPECT_GT(zygote.Hear<Spawned>().pid, 0);
  }
};

TEST(Zygote, ItsChildrenDieWithIt) {
  ZygoteProcess zygote;
  const WaitingChild child(zygote);
  zygote.Kill();
  EXPECT_TRUE(AwaitEnd(child.out.read.get()));
}

TEST(Zygote, ItEndsInGoodOrderWhenTheWorkerClosesTheSocket) {
  ZygoteProcess zygote;
  const WaitingChild child(zygote);
  zygote.Hang();
  EXPECT_TRUE(AwaitEnd(child.out.read.get()));
  EXPECT_EQ(StatusOf(zygote.Wait()), kExitOk);
}

TEST(Zygote, AKilledChildIsReportedWithItsSignal) {
  ZygoteProcess zygote;
  Pipe in;
  zygote.Send({.id = 4,
               .arguments = {"tokenize", "tests/parity/cases/tokenizers/bert-tiny"},
               .fd_names = {"stdin"}},
              {in.read.get()});
  const pid_t child = zygote.Hear<Spawned>().pid;
  ASSERT_GT(child, 0);
  kill(child, SIGKILL);
  EXPECT_EQ(StatusOf(zygote.Hear<Exited>().wait_status), -SIGKILL);
}

TEST(Zygote, RefusesWhatIsNoPacketSocket) {
  const Outcome outcome = RunEngine({"zygote", "--fd", "0"});
  EXPECT_EQ(outcome.status, kExitData);
  EXPECT_THAT(outcome.err, HasSubstr("SOCK_SEQPACKET"));
}

// With more than one thread fork is refused; the hooks' own process, not the engine.
TEST(Zygote, RefusesToForkWithASecondThread) {
  std::array<int, 2> pair{};
  ASSERT_EQ(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair.data()), 0);
  UniqueFd ours(pair[0]), theirs(pair[1]);
  const pid_t pid = fork();
  if (pid == 0) {
    ours.Reset();
    Pipe never;
    std::thread second([&never] {
      char byte = 0;
      [[maybe_unused]] const ssize_t size = read(never.read.get(), &byte, 1);
    });
    second.detach();
    const Status status = RunZygote(
        std::move(theirs), {.run = [](const auto&) { return 0; }, .set_threads = [](int) {}});
    _exit(status ? 0 : 1);
  }
  theirs.Reset();
  const std::string packet = EncodePacket(Spawn{.id = 5});
  ASSERT_GT(send(ours.get(), packet.data(), packet.size(), MSG_NOSIGNAL), 0);
  std::array<char, 65536> data{};
  pollfd ready{ours.get(), POLLIN, 0};
  ASSERT_GT(poll(&ready, 1, kDeadlineMs), 0);
  const ssize_t size = recv(ours.get(), data.data(), data.size(), 0);
  ASSERT_GT(size, 0);
  const auto event = enginelink::DecodeZygoteEvent({data.data(), static_cast<std::size_t>(size)});
  ASSERT_TRUE(event && std::holds_alternative<Spawned>(*event));
  EXPECT_EQ(std::get<Spawned>(*event).pid, 0);
  EXPECT_THAT(std::get<Spawned>(*event).error, HasSubstr("2 threads"));
  ours.Reset();
  int status = 0;
  waitpid(pid, &status, 0);
  EXPECT_EQ(StatusOf(status), 0);
}

}  // namespace
}  // namespace tutti::engine
