#include "worker/agent/coordinator_link.h"

#include <zmq.h>

#include <optional>

#include "common/base/check.h"
#include "common/base/log.h"
#include "common/wire/frame.h"
#include "common/wire/protocol.h"

namespace tutti::agent {
namespace {

constexpr int kLingerMs = 300;
constexpr int kReconnectMs = 50;
constexpr int kReconnectMaxMs = 500;
constexpr int kQueueMessages = 1000;
constexpr const char* kMonitor = "inproc://monitor";

Error ZmqError(std::string_view what, std::string where) {
  const int number = zmq_errno();
  return Error{.code = ErrorCode::kIo,
               .message = std::string(what) + ": " + zmq_strerror(number),
               .where = std::move(where)};
}

}  // namespace

Result<std::unique_ptr<CoordinatorLink>> CoordinatorLink::Connect(Options options) {
  std::unique_ptr<CoordinatorLink> link(new CoordinatorLink(std::move(options)));
  TUTTI_RETURN_IF_ERROR(link->Open());
  return link;
}

Status CoordinatorLink::Set(int option, const void* value, std::size_t size, const char* name) {
  if (zmq_setsockopt(socket_, option, value, size) == 0) return {};
  return Fail(ZmqError("ZeroMQ refuses an option", name));
}

Status CoordinatorLink::SetNumber(int option, int value, const char* name) {
  return Set(option, &value, sizeof value, name);
}

Status CoordinatorLink::Open() {
  context_ = zmq_ctx_new();
  if (context_ == nullptr) return Fail(ZmqError("cannot start ZeroMQ", ""));
  socket_ = zmq_socket(context_, ZMQ_DEALER);
  if (socket_ == nullptr) return Fail(ZmqError("cannot make a ZeroMQ socket", ""));
  const std::int64_t max_bytes = wire::kMaxMessageBytes;
  const auto set_key = [&](int option, const std::string& key, const char* name) {
    return Set(option, key.c_str(), key.size() + 1, name);
  };
  TUTTI_RETURN_IF_ERROR(set_key(ZMQ_CURVE_SERVERKEY, options_.server_key, "the coordinator's key"));
  TUTTI_RETURN_IF_ERROR(set_key(ZMQ_CURVE_PUBLICKEY, options_.keys.public_key, "curve.pub"));
  TUTTI_RETURN_IF_ERROR(set_key(ZMQ_CURVE_SECRETKEY, options_.keys.secret_key, "curve.key"));
  TUTTI_RETURN_IF_ERROR(Set(ZMQ_MAXMSGSIZE, &max_bytes, sizeof max_bytes, "MAXMSGSIZE"));
  TUTTI_RETURN_IF_ERROR(SetNumber(ZMQ_IMMEDIATE, 1, "IMMEDIATE"));
  TUTTI_RETURN_IF_ERROR(SetNumber(ZMQ_LINGER, kLingerMs, "LINGER"));
  TUTTI_RETURN_IF_ERROR(SetNumber(ZMQ_RECONNECT_IVL, kReconnectMs, "RECONNECT_IVL"));
  TUTTI_RETURN_IF_ERROR(SetNumber(ZMQ_RECONNECT_IVL_MAX, kReconnectMaxMs, "RECONNECT_IVL_MAX"));
  TUTTI_RETURN_IF_ERROR(SetNumber(ZMQ_SNDHWM, kQueueMessages, "SNDHWM"));
  TUTTI_RETURN_IF_ERROR(SetNumber(ZMQ_RCVHWM, kQueueMessages, "RCVHWM"));
  TUTTI_RETURN_IF_ERROR(OpenMonitor());
  if (zmq_connect(socket_, options_.address.c_str()) != 0) {
    return Fail(ZmqError("cannot connect", options_.address));
  }
  std::size_t size = sizeof fd_;
  if (zmq_getsockopt(socket_, ZMQ_FD, &fd_, &size) != 0) {
    return Fail(ZmqError("ZeroMQ has no descriptor", ""));
  }
  options_.loop.Watch(fd_, EPOLLIN, [](std::uint32_t) {});  // Pump comes after the round
  return {};
}

// A second socket on which ZeroMQ says how the first one's handshakes end.
Status CoordinatorLink::OpenMonitor() {
  if (zmq_socket_monitor(socket_, kMonitor, ZMQ_EVENT_HANDSHAKE_FAILED_AUTH) != 0) {
    return Fail(ZmqError("ZeroMQ cannot be watched", ""));
  }
  monitor_ = zmq_socket(context_, ZMQ_PAIR);
  if (monitor_ == nullptr || zmq_connect(monitor_, kMonitor) != 0) {
    return Fail(ZmqError("ZeroMQ cannot be watched", ""));
  }
  std::size_t size = sizeof monitor_fd_;
  if (zmq_getsockopt(monitor_, ZMQ_FD, &monitor_fd_, &size) != 0) {
    return Fail(ZmqError("ZeroMQ has no descriptor", ""));
  }
  options_.loop.Watch(monitor_fd_, EPOLLIN, [](std::uint32_t) {});
  return {};
}

void CoordinatorLink::PumpMonitor() {
  bool refused = false;
  while (true) {
    zmq_msg_t frame;
    zmq_msg_init(&frame);
    const bool received = zmq_msg_recv(&frame, monitor_, ZMQ_DONTWAIT) >= 0;
    // An event's number, its value, and in a second frame where.
    if (received && zmq_msg_more(&frame) != 0) refused = true;
    zmq_msg_close(&frame);
    if (!received) break;
  }
  if (refused) options_.on_key_refused();
}

CoordinatorLink::~CoordinatorLink() {
  if (fd_ >= 0) options_.loop.Forget(fd_);
  if (monitor_fd_ >= 0) options_.loop.Forget(monitor_fd_);
  if (monitor_ != nullptr) {
    zmq_socket_monitor(socket_, nullptr, 0);
    const int none = 0;
    zmq_setsockopt(monitor_, ZMQ_LINGER, &none, sizeof none);
    zmq_close(monitor_);
  }
  if (socket_ != nullptr) zmq_close(socket_);
  if (context_ != nullptr) zmq_ctx_term(context_);
}

bool CoordinatorLink::Send(const wire::ToCoordinator& message) {
  const std::string frame = message.SerializeAsString();
  if (static_cast<std::int64_t>(frame.size()) > wire::kMaxMessageBytes) {
    Log(kError, "message_too_large", {{"bytes", frame.size()}});
    return false;
  }
  return zmq_send(socket_, frame.data(), frame.size(), ZMQ_DONTWAIT) >= 0;
}

void CoordinatorLink::Pump() {
  if (pumping_) return;  // a handler that runs the loop
  pumping_ = true;
  while (true) {
    zmq_msg_t frame;
    zmq_msg_init(&frame);
    if (zmq_msg_recv(&frame, socket_, ZMQ_DONTWAIT) < 0) {
      zmq_msg_close(&frame);
      break;
    }
    std::optional<wire::ToWorker> message;
    if (zmq_msg_more(&frame) == 0) {
      message = wire::ParseFrame<wire::ToWorker>(
          {static_cast<const char*>(zmq_msg_data(&frame)), zmq_msg_size(&frame)});
    }
    zmq_msg_close(&frame);
    if (message) {
      options_.on_message(*message);
    } else {
      Log(kWarning, "frame_dropped", {{"from", "coordinator"}});
    }
  }
  PumpMonitor();
  pumping_ = false;
}

}  // namespace tutti::agent
