#include "tests/worker/agent/fake_coordinator.h"

#include <poll.h>
#include <zmq.h>

#include <array>
#include <fstream>

#include "common/base/check.h"
#include "common/wire/protocol.h"
#include "tests/worker/agent/blob_server.h"

namespace tutti::agent {
namespace {

using namespace std::chrono_literals;

constexpr Duration kPatience = 20s;

}  // namespace

FakeCoordinator::FakeCoordinator(const std::filesystem::path& key_file, std::string http_url)
    : http_url_(std::move(http_url)), address_("tcp://127.0.0.1:*") {
  std::array<char, 41> open{}, secret{};
  TUTTI_CHECK(zmq_curve_keypair(open.data(), secret.data()) == 0);
  secret_ = secret.data();
  std::ofstream(key_file) << open.data() << "\n";
  context_ = zmq_ctx_new();
  Open();
}

FakeCoordinator::~FakeCoordinator() {
  Close();
  zmq_ctx_term(context_);
}

void FakeCoordinator::Open() {
  socket_ = zmq_socket(context_, ZMQ_ROUTER);
  const int on = 1, linger = 0;
  zmq_setsockopt(socket_, ZMQ_CURVE_SERVER, &on, sizeof on);
  zmq_setsockopt(socket_, ZMQ_CURVE_SECRETKEY, secret_.c_str(), secret_.size() + 1);
  zmq_setsockopt(socket_, ZMQ_LINGER, &linger, sizeof linger);
  const Instant end = MonotonicNow() + kPatience;
  while (zmq_bind(socket_, address_.c_str()) != 0) {  // the port of the one before, still closing
    TUTTI_CHECK(MonotonicNow() < end, zmq_strerror(zmq_errno()));
    poll(nullptr, 0, 5);
  }
  std::array<char, 256> bound{};
  std::size_t size = bound.size();
  TUTTI_CHECK(zmq_getsockopt(socket_, ZMQ_LAST_ENDPOINT, bound.data(), &size) == 0);
  address_ = bound.data();
}

void FakeCoordinator::Close() { zmq_close(socket_); }

void FakeCoordinator::Restart() {
  Close();
  identity_.clear();
  known_.clear();
  ++generation_;
  Open();
}

bool FakeCoordinator::Until(const std::function<bool()>& condition) {
  const Instant end = MonotonicNow() + kPatience;
  while (!condition()) {
    if (MonotonicNow() >= end) return false;
    zmq_pollitem_t item{socket_, 0, ZMQ_POLLIN, 0};
    if (zmq_poll(&item, 1, 5) <= 0) continue;
    std::array<char, 256> identity{};
    const int size = zmq_recv(socket_, identity.data(), identity.size(), 0);
    zmq_msg_t frame;
    zmq_msg_init(&frame);
    TUTTI_CHECK(size > 0 && zmq_msg_recv(&frame, socket_, 0) >= 0);
    wire::ToCoordinator message;
    TUTTI_CHECK(
        message.ParseFromArray(zmq_msg_data(&frame), static_cast<int>(zmq_msg_size(&frame))));
    zmq_msg_close(&frame);
    if (silent) continue;
    identity_.assign(identity.data(), static_cast<std::size_t>(size));
    session_ = message.session();
    Handle(message);
  }
  return true;
}

void FakeCoordinator::Send(wire::ToWorker message) {
  message.set_session(session_);
  message.set_generation(generation_);
  const std::string frame = message.SerializeAsString();
  zmq_send(socket_, identity_.data(), identity_.size(), ZMQ_SNDMORE);
  zmq_send(socket_, frame.data(), frame.size(), 0);
}

void FakeCoordinator::Handle(const wire::ToCoordinator& message) {
  wire::ToWorker answer;
  if (message.has_register_()) {
    registers.push_back(message.register_());
    if (!refuse_with.empty()) {
      answer.mutable_refused()->set_message(refuse_with);
      return Send(answer);
    }
    known_.insert(session_);
    wire::Registered& registered = *answer.mutable_registered();
    registered.set_node("w-00000001");
    registered.set_heartbeat_interval_ms(50);
    registered.set_lease_ms(lease_ms);
    registered.set_number(message.register_().number());
    registered.set_http_url(http_url_);
    registered.set_http_token(BlobServer::kToken);
    registered.set_log_window_bytes(log_window_bytes);
    return Send(answer);
  }
  if (message.has_goodbye()) {
    ++goodbyes;
    return;
  }
  if (known_.count(session_) == 0) {
    answer.mutable_reregister();
    return Send(answer);
  }
  if (message.has_heartbeat()) {
    heartbeat = message.heartbeat();
    ++heartbeats;
    answer.mutable_heartbeat_ack()->set_number(message.heartbeat().number());
    Send(answer);
  } else if (message.has_gang_report()) {
    const wire::GangReport& report = message.gang_report();
    if (!seen_reports_.insert(report.report_id()).second) {
      ++report_repeats;
    } else {
      reports.push_back(report);
    }
    answer.mutable_report_ack()->set_report_id(report.report_id());
    if (acknowledge) Send(answer);
  } else if (message.has_gang_progress()) {
    progress.push_back(message.gang_progress().payload_json());
  } else if (message.has_log_chunk()) {
    HandleLog(message.log_chunk());
  } else if (message.has_tool_result()) {
    tool_results.push_back(message.tool_result());
  } else if (message.has_tool_output()) {
    tool_outputs.push_back(message.tool_output());
  }
}

void FakeCoordinator::HandleLog(const wire::LogChunk& chunk) {
  std::uint64_t& end = log_ends_[{chunk.attempt(), chunk.rank()}];
  if (chunk.offset() == end) {
    logs[chunk.rank()] += chunk.data();
    end += chunk.data().size();
  }
  wire::ToWorker answer;
  answer.mutable_log_ack()->set_job(chunk.job());
  answer.mutable_log_ack()->set_attempt(chunk.attempt());
  answer.mutable_log_ack()->set_rank(chunk.rank());
  answer.mutable_log_ack()->set_up_to_offset(end);
  Send(answer);
}

bool FakeCoordinator::Lists(const std::string& job, std::uint32_t attempt) const {
  for (const wire::GangStatus& gang : heartbeat.gangs()) {
    if (gang.job() == job && gang.attempt() == attempt) return true;
  }
  return false;
}

std::vector<int> FakeCoordinator::RankPids(const std::string& job, std::uint32_t attempt) const {
  std::vector<int> pids;
  for (const wire::GangStatus& gang : heartbeat.gangs()) {
    if (gang.job() != job || gang.attempt() != attempt) continue;
    for (const std::uint32_t pid : gang.rank_pids()) pids.push_back(static_cast<int>(pid));
  }
  return pids;
}

std::string FakeCoordinator::Said(std::uint64_t request) const {
  std::string said;
  std::uint64_t heard = 0;
  for (const wire::ToolOutput& output : tool_outputs) {
    if (output.request_id() != request || output.sequence() != heard + 1) continue;
    ++heard;
    for (const std::string& object : output.json()) said += object;
  }
  return said;
}

const wire::GangEnded* FakeCoordinator::Ended(const std::string& job, std::uint32_t attempt) const {
  for (auto it = reports.rbegin(); it != reports.rend(); ++it) {
    if (it->job() == job && it->attempt() == attempt && it->has_ended()) return &it->ended();
  }
  return nullptr;
}

}  // namespace tutti::agent
