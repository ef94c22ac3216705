#include "scheduler/coordinator/worker_link.h"

#include <sys/eventfd.h>
#include <unistd.h>

#include <array>
#include <cstring>
#include <optional>
#include <utility>

#include "common/base/host.h"
#include "common/base/log.h"
#include "common/wire/protocol.h"
#include "scheduler/coordinator/worker_frame.h"

namespace tutti::coordinator {
namespace {

constexpr int kReceiveQueue = 16;            // messages of a peer; each may be large
constexpr int kSendQueue = 1000;             // messages to a peer
constexpr std::size_t kOutgoingMax = 65536;  // all peers
constexpr const char* kHandshakes = "inproc://handshakes";
constexpr int kHandshakeFailures = ZMQ_EVENT_HANDSHAKE_FAILED_NO_DETAIL |
                                   ZMQ_EVENT_HANDSHAKE_FAILED_PROTOCOL |
                                   ZMQ_EVENT_HANDSHAKE_FAILED_AUTH;
constexpr int kReceivedAtOnce = 256;  // before what waits is sent
// Handshakes are cut after so long; a peer that is gone is noticed by TCP keep-alive.
constexpr int kHandshakeMs = 10'000;
constexpr Duration kDropsLogEvery = std::chrono::seconds(1);  // of what was dropped

}  // namespace

WorkerLink::WorkerLink(WorkerLinkOptions options)
    : options_(std::move(options)),
      context_(1),
      zap_(std::make_unique<Zap>(context_, options_.allowed_dir)),
      socket_(context_, zmq::socket_type::router),
      handshakes_(context_, zmq::socket_type::pair) {}

Result<std::unique_ptr<WorkerLink>> WorkerLink::Open(WorkerLinkOptions options) {
  std::unique_ptr<WorkerLink> link(new WorkerLink(std::move(options)));
  TUTTI_RETURN_IF_ERROR(link->Bind());
  link->thread_ = std::thread([raw = link.get()] { raw->Run(); });
  return link;
}

Status WorkerLink::Bind() {
  wake_ = UniqueFd(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK));
  if (!wake_) return Fail(ErrnoError("cannot make an eventfd", "", errno));
  const std::string where = options_.host + ":" + std::to_string(options_.port);
  try {
    socket_.set(zmq::sockopt::curve_server, true);
    socket_.set(zmq::sockopt::curve_secretkey, options_.keys.secret_key);
    socket_.set(zmq::sockopt::zap_domain, std::string(Zap::kDomain));
    socket_.set(zmq::sockopt::maxmsgsize, wire::kMaxMessageBytes);
    socket_.set(zmq::sockopt::handshake_ivl, kHandshakeMs);
    socket_.set(zmq::sockopt::rcvhwm, kReceiveQueue);
    socket_.set(zmq::sockopt::sndhwm, kSendQueue);
    socket_.set(zmq::sockopt::router_mandatory, true);
    socket_.set(zmq::sockopt::tcp_keepalive, 1);
    socket_.set(zmq::sockopt::linger, 100);
    const bool v6 = options_.host.find(':') != std::string::npos;
    if (v6) socket_.set(zmq::sockopt::ipv6, true);
    const int watched = zmq_socket_monitor(socket_.handle(), kHandshakes, kHandshakeFailures);
    if (watched != 0) throw zmq::error_t();
    handshakes_.connect(kHandshakes);
    socket_.bind("tcp://" + Bracketed(options_.host) + ":" +
                 (options_.port == 0 ? "*" : std::to_string(options_.port)));
    endpoint_ = socket_.get(zmq::sockopt::last_endpoint);
  } catch (const zmq::error_t& error) {
    if (error.num() == EADDRINUSE) {
      return Fail(ErrorCode::kConflict, "the port is taken", where, "port 0 takes a free one");
    }
    return Fail(ErrorCode::kIo, std::string("cannot listen for workers: ") + error.what(), where);
  }
  return {};
}

WorkerLink::~WorkerLink() {
  stopping_ = true;
  const std::uint64_t one = 1;
  if (wake_) (void)!::write(wake_.get(), &one, sizeof one);
  if (thread_.joinable()) thread_.join();
  zmq_socket_monitor(socket_.handle(), nullptr, 0);
  handshakes_.close();
  socket_.close();
  context_.shutdown();
  zap_.reset();
}

void WorkerLink::Send(const std::string& route, const wire::ToWorker& message) {
  Outgoing out{route, message.SerializeAsString()};
  if (static_cast<std::int64_t>(out.frame.size()) > wire::kMaxMessageBytes) {
    Log(kError, "message_too_large", {{"bytes", out.frame.size()}});
    return;
  }
  {
    const std::lock_guard lock(mutex_);
    if (outgoing_.size() >= kOutgoingMax) return;
    outgoing_.push_back(std::move(out));
  }
  const std::uint64_t one = 1;
  (void)!::write(wake_.get(), &one, sizeof one);
}

void WorkerLink::Run() {
  std::array<zmq_pollitem_t, 3> items = {{{socket_.handle(), 0, ZMQ_POLLIN, 0},
                                          {handshakes_.handle(), 0, ZMQ_POLLIN, 0},
                                          {nullptr, wake_.get(), ZMQ_POLLIN, 0}}};
  while (!stopping_) {
    zmq_poll(items.data(), static_cast<int>(items.size()), 1000);
    std::uint64_t count = 0;
    (void)!::read(wake_.get(), &count, sizeof count);
    for (int i = 0; i < kReceivedAtOnce && !stopping_ && ReceiveOne(); ++i) {
    }
    CountRefused();
    SendWaiting();
  }
  SendWaiting();
}

// An event is its number and value in six bytes, and a frame that says where.
void WorkerLink::CountRefused() {
  for (int i = 0; i < kReceivedAtOnce; ++i) {
    zmq::message_t event, where;
    if (!handshakes_.recv(event, zmq::recv_flags::dontwait)) return;
    if (event.more()) (void)handshakes_.recv(where, zmq::recv_flags::dontwait);
    std::uint16_t number = 0;
    if (event.size() < sizeof number) continue;
    std::memcpy(&number, event.data(), sizeof number);
    options_.on_refused(number == ZMQ_EVENT_HANDSHAKE_FAILED_AUTH ? "key" : "protocol");
  }
}

// Counts every one and logs some: a flood of nonsense is no reason to fill the disk.
void WorkerLink::Dropped(std::string_view reason) {
  options_.on_dropped(reason);
  ++dropped_;
  const Instant now = MonotonicNow();
  if (now < next_log_) return;
  next_log_ = now + kDropsLogEvery;
  Log(kWarning, "frames_dropped",
      {{"reason", reason}, {"frames", std::exchange(dropped_, std::uint64_t{0})}});
}

// False when nothing is there. A message is exactly the route and one frame.
bool WorkerLink::ReceiveOne() {
  try {
    zmq::message_t route;
    if (!socket_.recv(route, zmq::recv_flags::dontwait)) return false;
    if (!route.more()) {
      Dropped("parts");
      return true;
    }
    zmq::message_t frame;
    if (!socket_.recv(frame, zmq::recv_flags::dontwait)) return false;
    if (frame.more()) {
      for (bool more = true; more;) {
        zmq::message_t rest;
        more = socket_.recv(rest, zmq::recv_flags::dontwait) && rest.more();
      }
      Dropped("parts");
      return true;
    }
    auto message = ParseWorkerFrame(frame.to_string_view());
    if (!message) {
      Dropped("malformed");
      return true;
    }
    const char* user = zmq_msg_gets(frame.handle(), "User-Id");
    const char* address = zmq_msg_gets(frame.handle(), "Peer-Address");
    options_.on_message(Peer{.route = route.to_string(),
                             .user = user == nullptr ? "" : user,
                             .local = address != nullptr && IsLoopbackHost(address)},
                        std::move(*message));
    return true;
  } catch (const zmq::error_t& error) {
    Log(kWarning, "receive_failed", {{"error", error.what()}});
    return false;
  }
}

void WorkerLink::SendWaiting() {
  std::deque<Outgoing> all;
  {
    const std::lock_guard lock(mutex_);
    all.swap(outgoing_);
  }
  for (const Outgoing& out : all) {
    try {
      // A full queue or a route that is gone: the message is dropped, its sender repeats it.
      if (!socket_.send(zmq::buffer(out.route),
                        zmq::send_flags::sndmore | zmq::send_flags::dontwait)) {
        continue;
      }
      (void)socket_.send(zmq::buffer(out.frame), zmq::send_flags::dontwait);
    } catch (const zmq::error_t&) {
      // EHOSTUNREACH: the peer is gone.
    }
  }
}

}  // namespace tutti::coordinator
