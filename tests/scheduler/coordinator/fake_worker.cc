#include "fake_worker.h"

#include <gtest/gtest.h>

#include "common/base/time.h"
#include "common/file/file.h"
#include "common/wire/protocol.h"

namespace tutti::coordinator {

FakeWorker::FakeWorker(const std::filesystem::path& data_dir, const std::string& endpoint,
                       std::string worker_name, bool allowed)
    : name(std::move(worker_name)), socket_(context_, zmq::socket_type::dealer) {
  const auto keys = curve::MakeKeyPair();
  const auto server = curve::LoadKey(data_dir / "coordinator/curve.pub");
  EXPECT_TRUE(keys && server);
  if (allowed) {
    EXPECT_TRUE(WriteFileAtomically(data_dir / "coordinator/allowed" / (name + ".pub"),
                                    keys->public_key + "\n"));
  }
  socket_.set(zmq::sockopt::curve_serverkey, *server);
  socket_.set(zmq::sockopt::curve_publickey, keys->public_key);
  socket_.set(zmq::sockopt::curve_secretkey, keys->secret_key);
  socket_.set(zmq::sockopt::linger, 0);
  socket_.set(zmq::sockopt::reconnect_ivl, 20);
  socket_.connect(endpoint);
}

wire::Register FakeWorker::Registration(std::uint32_t slots) const {
  wire::Register message;
  message.set_protocol(wire::kProtocol);
  message.set_version("0.0.test");
  message.set_name(name);
  message.set_pid(4242);
  message.mutable_resources()->set_slots(slots);
  message.mutable_resources()->set_cores(slots);
  message.mutable_resources()->set_memory_bytes(std::uint64_t{8} << 30);
  message.mutable_resources()->set_numerics_fingerprint("cpu");
  (*message.mutable_labels())["disk"] = "ssd";
  return message;
}

std::string FakeWorker::Join(std::uint32_t slots) {
  wire::ToCoordinator message;
  *message.mutable_register_() = Registration(slots);
  Send(std::move(message));
  const auto answer = Await([](const wire::ToWorker& m) { return m.has_registered(); });
  if (!answer) return "";
  Beat();
  return answer->registered().node();
}

void FakeWorker::Send(wire::ToCoordinator message) {
  message.set_session(session);
  SendRaw(message.SerializeAsString());
}

void FakeWorker::SendRaw(const std::string& frame) {
  socket_.send(zmq::buffer(frame), zmq::send_flags::none);
}

void FakeWorker::SendParts(const std::vector<std::string>& frames) {
  for (std::size_t i = 0; i < frames.size(); ++i) {
    const bool last = i + 1 == frames.size();
    socket_.send(zmq::buffer(frames[i]), last ? zmq::send_flags::none : zmq::send_flags::sndmore);
  }
}

std::optional<wire::ToWorker> FakeWorker::Receive(double seconds) {
  socket_.set(zmq::sockopt::rcvtimeo, static_cast<int>(seconds * 1000));
  zmq::message_t frame;
  if (!socket_.recv(frame)) return std::nullopt;
  wire::ToWorker message;
  EXPECT_TRUE(message.ParseFromArray(frame.data(), static_cast<int>(frame.size())));
  return message;
}

std::optional<wire::ToWorker> FakeWorker::Await(
    const std::function<bool(const wire::ToWorker&)>& wanted, double seconds) {
  const Instant deadline =
      MonotonicNow() + std::chrono::milliseconds(static_cast<std::int64_t>(seconds * 1000));
  for (;;) {
    const auto left = std::chrono::duration<double>(deadline - MonotonicNow()).count();
    if (left <= 0) return std::nullopt;
    auto message = Receive(left);
    if (message && wanted(*message)) return message;
  }
}

void FakeWorker::Beat(const std::vector<wire::GangStatus>& gangs) {
  wire::ToCoordinator message;
  auto* beat = message.mutable_heartbeat();
  for (const wire::GangStatus& gang : gangs) *beat->add_gangs() = gang;
  beat->set_memory_used_bytes(1 << 20);
  beat->set_disk_free_bytes(1 << 30);
  Send(std::move(message));
}

bool FakeWorker::Report(wire::GangReport report) {
  report.set_report_id(++last_report_);
  wire::ToCoordinator message;
  *message.mutable_gang_report() = std::move(report);
  Send(std::move(message));
  return Await([&](const wire::ToWorker& m) {
           return m.has_report_ack() && m.report_ack().report_id() == last_report_;
         })
      .has_value();
}

}  // namespace tutti::coordinator
