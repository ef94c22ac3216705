// A worker's end of the wire, driven by hand: a DEALER with CURVE that says what a test tells it.
// One thread.
#pragma once

#include <filesystem>
#include <functional>
#include <optional>
#include <string>
#include <zmq.hpp>

#include "common/curve/keys.h"
#include "common/wire/messages.pb.h"

namespace tutti::coordinator {

class FakeWorker {
 public:
  // Its own keys; with `allowed` they lie on the coordinator's list as `name`.
  FakeWorker(const std::filesystem::path& data_dir, const std::string& endpoint, std::string name,
             bool allowed = true);

  wire::Register Registration(std::uint32_t slots = 4) const;
  // Registers and waits for the answer; the node's id, or "" when none came.
  std::string Join(std::uint32_t slots = 4);

  void Send(wire::ToCoordinator message);
  void SendRaw(const std::string& frame);
  void SendParts(const std::vector<std::string>& frames);
  // The next message within `seconds`.
  std::optional<wire::ToWorker> Receive(double seconds = 30);
  // The next one that `wanted` says is it; others are passed over.
  std::optional<wire::ToWorker> Await(const std::function<bool(const wire::ToWorker&)>& wanted,
                                      double seconds = 60);

  void Beat(const std::vector<wire::GangStatus>& gangs = {});
  // Sends a report and waits for its acknowledgement.
  bool Report(wire::GangReport report);

  std::uint64_t session = 11;
  std::string name;

 private:
  zmq::context_t context_;
  zmq::socket_t socket_;
  std::uint64_t last_report_ = 0;
};

}  // namespace tutti::coordinator
