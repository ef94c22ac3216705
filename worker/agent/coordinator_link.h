// The worker's end of the wire: a ZeroMQ DEALER with CURVE that reconnects by itself.
//
// Owned by the agent, on its loop's thread. Sending never blocks and queues only towards a
// coordinator that is connected: what matters is repeated by those who send it (wire.md).
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>

#include "common/base/result.h"
#include "common/curve/keys.h"
#include "common/wire/messages.pb.h"
#include "worker/agent/loop.h"

namespace tutti::agent {

class CoordinatorLink {
 public:
  struct Options {
    Loop& loop;
    std::string address;  // tcp://HOST:PORT
    std::string server_key;
    curve::KeyPair keys;
    std::function<void(const wire::ToWorker&)> on_message;
    // The coordinator does not know our key. It is not asked again.
    std::function<void()> on_key_refused;
  };

  static Result<std::unique_ptr<CoordinatorLink>> Connect(Options options);
  ~CoordinatorLink();  // what was sent still goes out, for at most kLingerMs
  CoordinatorLink(const CoordinatorLink&) = delete;
  CoordinatorLink& operator=(const CoordinatorLink&) = delete;

  // False: nobody is connected or the queue is full; the message is gone.
  bool Send(const wire::ToCoordinator& message);

  // Handles what has arrived. The loop calls it after each round: ZeroMQ's descriptor only says
  // that something changed.
  void Pump();

 private:
  explicit CoordinatorLink(Options options) : options_(std::move(options)) {}
  Status Open();
  Status OpenMonitor();
  void PumpMonitor();
  Status Set(int option, const void* value, std::size_t size, const char* name);
  Status SetNumber(int option, int value, const char* name);

  Options options_;
  void* context_ = nullptr;
  void* socket_ = nullptr;
  void* monitor_ = nullptr;
  int fd_ = -1;  // ZeroMQ's own
  int monitor_fd_ = -1;
  bool pumping_ = false;
};

}  // namespace tutti::agent
