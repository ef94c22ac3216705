// WorkerLink: the coordinator's end of the wire (docs/formats/wire.md): a ZeroMQ ROUTER with CURVE,
// owned by one thread. Frames are parsed with caps; what does not parse is dropped and counted.
//
// Open and the destructor belong to one thread; Send to any.
#pragma once

#include <atomic>
#include <cstdint>
#include <deque>
#include <filesystem>
#include <functional>
#include <memory>
#include <mutex>
#include <string>
#include <thread>
#include <zmq.hpp>

#include "common/base/result.h"
#include "common/base/time.h"
#include "common/curve/keys.h"
#include "common/file/file.h"
#include "common/wire/messages.pb.h"
#include "scheduler/coordinator/zap.h"

namespace tutti::coordinator {

// Where a message came from and whose it is. `route` is ZeroMQ's name of the connection, `user` the
// NAME of the key that it authenticated with.
struct Peer {
  std::string route;
  std::string user;
  bool local = false;  // it comes from this machine's loopback
  bool operator==(const Peer&) const = default;
};

struct WorkerLinkOptions {
  std::string host = "127.0.0.1";
  std::uint16_t port = 0;  // 0 = any free one
  curve::KeyPair keys;
  std::filesystem::path allowed_dir;
  // On the link's thread; may wait, then the peers wait.
  std::function<void(const Peer&, wire::ToCoordinator)> on_message;
  std::function<void(std::string_view reason)> on_dropped;  // is logged already
  std::function<void(std::string_view reason)> on_refused;  // a peer, at the handshake
};

class WorkerLink {
 public:
  // Bound when it returns. kConflict when the port is taken.
  static Result<std::unique_ptr<WorkerLink>> Open(WorkerLinkOptions options);
  ~WorkerLink();
  WorkerLink(const WorkerLink&) = delete;
  WorkerLink& operator=(const WorkerLink&) = delete;

  const std::string& endpoint() const { return endpoint_; }  // "tcp://127.0.0.1:7718"

  // Best effort: what nobody takes any more is dropped. Never blocks.
  void Send(const std::string& route, const wire::ToWorker& message);

 private:
  explicit WorkerLink(WorkerLinkOptions options);
  Status Bind();
  void Run();
  bool ReceiveOne();
  void CountRefused();
  void SendWaiting();
  void Dropped(std::string_view reason);

  struct Outgoing {
    std::string route;
    std::string frame;
  };

  const WorkerLinkOptions options_;
  zmq::context_t context_;
  std::unique_ptr<Zap> zap_;
  zmq::socket_t socket_;
  zmq::socket_t handshakes_;  // tells of those that failed
  std::string endpoint_;
  UniqueFd wake_;  // an eventfd: there is something to send, or to stop
  std::mutex mutex_;
  std::deque<Outgoing> outgoing_;
  std::atomic<bool> stopping_ = false;
  std::uint64_t dropped_ = 0;  // since it was last logged; the thread's
  Instant next_log_;
  std::thread thread_;
};

}  // namespace tutti::coordinator
