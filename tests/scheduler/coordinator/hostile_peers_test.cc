// Peers that mean no good, at the port for workers: whatever they send, the worker that behaves is
// served, memory stays within bounds, and what was dropped is counted.
#include <arpa/inet.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <sys/socket.h>

#include <random>
#include <vector>

#include "common/file/file.h"
#include "common/wire/protocol.h"
#include "with_worker.h"

namespace tutti::coordinator {
namespace {

using testing::HasSubstr;

constexpr std::int64_t kMiB = 1 << 20;

class HostilePeers : public WithWorker {
 protected:
  // The coordinator's peak of resident memory.
  std::int64_t PeakBytes() const {
    const std::string status =
        ReadFile("/proc/" + std::to_string(coordinator.pid()) + "/status").value();
    const std::size_t at = status.find("VmHWM:");
    return std::stoll(status.substr(at + 6)) * 1024;
  }
  // A heartbeat is answered, and HTTP is.
  void ExpectServed() {
    worker->Beat();
    EXPECT_TRUE(worker->Await([](const wire::ToWorker& m) { return m.has_heartbeat_ack(); }, 30));
    EXPECT_EQ(coordinator.Get("/healthz").status, 200);
  }
  // The value of a sample of /metrics, 0 when it is not there.
  std::int64_t Counted(const std::string& sample) const {
    const std::string text = coordinator.Get("/metrics").text;
    const std::size_t at = text.find(sample + " ");
    return at == std::string::npos ? 0 : std::stoll(text.substr(at + sample.size() + 1));
  }
  std::int64_t Dropped(const std::string& reason) const {
    return Counted("tutti_wire_dropped_frames_total{reason=\"" + reason + "\"}");
  }
  std::int64_t Refused(const std::string& reason) const {
    return Counted("tutti_wire_refused_peers_total{reason=\"" + reason + "\"}");
  }
  UniqueFd Connect() const {
    const std::string port = coordinator.zmq().substr(coordinator.zmq().rfind(':') + 1);
    UniqueFd fd(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_port = htons(static_cast<std::uint16_t>(std::stoi(port)));
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    EXPECT_EQ(::connect(fd.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address), 0);
    return fd;
  }
  std::size_t LogLines(const std::string& event) const {
    const std::string log = coordinator.log();
    std::size_t lines = 0;
    for (std::size_t at = log.find(event); at != std::string::npos; at = log.find(event, at + 1)) {
      ++lines;
    }
    return lines;
  }
};

TEST_F(HostilePeers, APlainPeerIsNotHeard) {
  zmq::context_t context;
  zmq::socket_t plain(context, zmq::socket_type::dealer);
  plain.set(zmq::sockopt::linger, 0);
  plain.set(zmq::sockopt::sndtimeo, 0);
  plain.connect(coordinator.zmq());
  wire::ToCoordinator message;
  message.set_session(99);
  *message.mutable_register_() = worker->Registration();
  const std::string frame = message.SerializeAsString();
  for (int i = 0; i < 100; ++i) (void)plain.send(zmq::buffer(frame), zmq::send_flags::dontwait);
  ExpectServed();
  plain.set(zmq::sockopt::rcvtimeo, 200);
  zmq::message_t answer;
  EXPECT_FALSE(plain.recv(answer));
  EXPECT_TRUE(WaitUntil([&] { return Refused("protocol") > 0; }));
  EXPECT_EQ(coordinator.Get("/api/v1/workers").body["data"].size(), 1U);
}

TEST_F(HostilePeers, BytesThatAreNoHandshakeCostNothing) {
  const std::int64_t before = PeakBytes();
  std::minstd_rand random(5);
  std::vector<UniqueFd> open;
  for (int i = 0; i < 300; ++i) {
    open.push_back(Connect());
    std::string bytes(std::size_t{1} + random() % 4096, '\0');
    for (char& byte : bytes) byte = static_cast<char>(random());
    // A third begin as ZeroMQ does, a third say that a huge frame follows.
    if (i % 3 == 0) bytes.insert(0, "\xff\0\0\0\0\0\0\0\1\x7f\3\0CURVE", 17);
    if (i % 3 == 1) bytes.insert(0, "\xff\x7f\xff\xff\xff\xff\xff\xff\xff\x7f", 10);
    (void)::send(open.back().get(), bytes.data(), bytes.size(), MSG_NOSIGNAL);
  }
  ExpectServed();
  EXPECT_LT(PeakBytes() - before, 64 * kMiB);
}

TEST_F(HostilePeers, StrangersThatKnockFillNoLog) {
  for (int i = 0; i < 60; ++i) {
    FakeWorker stranger(coordinator.dir(), coordinator.zmq(), "s" + std::to_string(i), false);
    wire::ToCoordinator message;
    *message.mutable_register_() = stranger.Registration();
    stranger.Send(std::move(message));
    EXPECT_FALSE(stranger.Receive(0.02));
  }
  ASSERT_TRUE(WaitUntil([&] { return LogLines("worker_key_refused") > 0; }));
  EXPECT_TRUE(WaitUntil([&] { return Refused("key") > 0; }));
  EXPECT_LT(LogLines("worker_key_refused"), 60U);
  ExpectServed();
  EXPECT_EQ(coordinator.Get("/api/v1/workers").body["data"].size(), 1U);
}

TEST_F(HostilePeers, AFloodOfNonsenseIsCountedAndOthersAreServed) {
  const std::int64_t before = PeakBytes();
  FakeWorker other(coordinator.dir(), coordinator.zmq(), "worker-2");
  other.session = 22;
  ASSERT_NE(other.Join(), "");
  constexpr int kFrames = 20'000;
  const std::string nonsense(512, '\xff');
  for (int i = 0; i < kFrames; ++i) {
    other.SendRaw(nonsense);
    if (i % 5'000 == 0) ExpectServed();
  }
  EXPECT_TRUE(WaitUntil([&] { return Dropped("malformed") == kFrames; }))
      << Dropped("malformed") << " of " << kFrames;
  ExpectServed();
  EXPECT_LT(PeakBytes() - before, 64 * kMiB);
  EXPECT_LT(LogLines("frames_dropped"), 1'000U);
}

TEST_F(HostilePeers, AFloodOfLargeFramesStaysWithinTheBudget) {
  const std::int64_t before = PeakBytes();
  FakeWorker other(coordinator.dir(), coordinator.zmq(), "worker-2");
  other.session = 22;
  ASSERT_NE(other.Join(), "");
  // Lists beyond any gang's, which would grow in memory, and text for a job that is not there.
  wire::ToCoordinator lists;
  for (int i = 0; i < 2'000'000; ++i) lists.mutable_heartbeat()->add_gangs();
  lists.set_session(22);
  const std::string list_frame = lists.SerializeAsString();
  wire::ToCoordinator text;
  text.set_session(22);
  text.mutable_log_chunk()->set_job("j-00000000");
  text.mutable_log_chunk()->set_attempt(1);
  text.mutable_log_chunk()->set_data(std::string(15 << 20, 'x'));
  const std::string text_frame = text.SerializeAsString();
  for (int i = 0; i < 20; ++i) {
    other.SendRaw(list_frame);
    other.SendRaw(text_frame);
  }
  EXPECT_TRUE(WaitUntil([&] { return Dropped("malformed") == 20; })) << Dropped("malformed");
  ExpectServed();
  // 64 MiB of messages that wait, what ZeroMQ holds of one peer, and what is parsed.
  EXPECT_LT(PeakBytes() - before, 512 * kMiB);
}

}  // namespace
}  // namespace tutti::coordinator
