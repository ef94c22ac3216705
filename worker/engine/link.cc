#include "worker/engine/link.h"

#include <poll.h>
#include <sys/socket.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <string>
#include <string_view>
#include <utility>
#include <variant>

namespace tutti::engine {
namespace {

using Clock = std::chrono::steady_clock;
using std::chrono::milliseconds;

constexpr milliseconds kSendDeadline = std::chrono::minutes(1);

Unexpected WorkerGone() { return Fail(ErrorCode::kUnavailable, "the worker is gone", "--link-fd"); }

int Left(Clock::time_point deadline) {
  const auto left = std::chrono::ceil<milliseconds>(deadline - Clock::now()).count();
  return static_cast<int>(std::max<std::int64_t>(left, 0));
}

// Later ones say the same again.
bool MayBeDropped(const enginelink::ToWorker& message) {
  return std::holds_alternative<enginelink::Beat>(message) ||
         std::holds_alternative<enginelink::Progress>(message);
}

}  // namespace

Status FdLink::ReadAvailable() {
  std::array<char, 65536> data{};
  while (true) {
    const ssize_t size = recv(socket_.get(), data.data(), data.size(), MSG_DONTWAIT);
    if (size > 0) {
      TUTTI_RETURN_IF_ERROR(lines_.Append({data.data(), static_cast<std::size_t>(size)}));
      continue;
    }
    if (size < 0 && errno == EINTR) continue;
    if (size < 0 && (errno == EAGAIN || errno == EWOULDBLOCK)) return {};
    if (size < 0 && errno != ECONNRESET) {
      return Fail(ErrnoError("cannot read from the worker", "--link-fd", errno));
    }
    return WorkerGone();
  }
}

Result<enginelink::Plan> FdLink::AwaitPlan(milliseconds deadline) {
  const auto give_up = Clock::now() + deadline;
  while (true) {
    const Status read = ReadAvailable();
    if (const auto line = lines_.Next()) {
      TUTTI_ASSIGN_OR_RETURN(enginelink::ToEngine message, enginelink::DecodeToEngine(*line));
      if (auto* plan = std::get_if<enginelink::Plan>(&message)) return std::move(*plan);
      return Fail(ErrorCode::kInvalid, "the worker's first line is no plan", "--link-fd");
    }
    TUTTI_RETURN_IF_ERROR(read);
    pollfd ready{socket_.get(), POLLIN, 0};
    if (poll(&ready, 1, Left(give_up)) == 0) {
      return Fail(ErrorCode::kTimeout, "the worker sent no plan", "--link-fd");
    }
  }
}

Status FdLink::Send(const enginelink::ToWorker& message) {
  const std::string line = enginelink::Encode(message);
  const std::lock_guard lock(sending_);
  const auto give_up = Clock::now() + kSendDeadline;
  for (std::string_view rest = line; !rest.empty();) {
    const ssize_t sent = send(socket_.get(), rest.data(), rest.size(), MSG_DONTWAIT | MSG_NOSIGNAL);
    if (sent >= 0) {
      rest.remove_prefix(static_cast<std::size_t>(sent));
      continue;
    }
    if (errno == EINTR) continue;
    if (errno != EAGAIN && errno != EWOULDBLOCK) return WorkerGone();
    if (rest.size() == line.size() && MayBeDropped(message)) return {};
    // Another thread may hear of a renewal meanwhile.
    const Clock::time_point until = std::min(give_up, LeaseEnd());
    if (Clock::now() >= until) {
      return Fail(ErrorCode::kUnavailable, "the worker does not read", "--link-fd");
    }
    pollfd ready{socket_.get(), POLLOUT, 0};
    poll(&ready, 1, Left(until));
  }
  return {};
}

void FdLink::SetLease(std::chrono::nanoseconds until) { lease_until_ = until; }

Clock::time_point FdLink::LeaseEnd() const { return Clock::time_point(lease_until_.load()); }

Status FdLink::TakeLines() {
  while (const auto line = lines_.Next()) {
    TUTTI_ASSIGN_OR_RETURN(const enginelink::ToEngine message, enginelink::DecodeToEngine(*line));
    if (const auto* stop = std::get_if<enginelink::Stop>(&message)) {
      heard_.stop = true;
      heard_.stop_checkpoint = heard_.stop_checkpoint || stop->checkpoint;
    } else if (std::holds_alternative<enginelink::CheckpointNow>(message)) {
      heard_.checkpoint_now = true;
    } else if (const auto* alive = std::get_if<enginelink::Alive>(&message)) {
      if (lease_until_.load() != kNoLease)
        SetLease(std::chrono::nanoseconds(alive->lease_until_ns));
    }
  }
  return {};
}

// What waits in the socket counts, as it says until when it holds: this process may have been
// stopped itself.
Status FdLink::Check() {
  TUTTI_RETURN_IF_ERROR(ReadAvailable());
  TUTTI_RETURN_IF_ERROR(TakeLines());
  if (Clock::now() < LeaseEnd()) return {};
  return Fail(ErrorCode::kTimeout, "the worker's lease of this gang has run out", "--link-fd",
              "its process hangs or is stopped, or its coordinator is silent");
}

Result<finetune::Control> FdLink::Poll() {
  TUTTI_RETURN_IF_ERROR(Check());
  return std::exchange(heard_, {});
}

void FdLink::AwaitEnd(milliseconds deadline) {
  const auto give_up = Clock::now() + deadline;
  while (ReadAvailable() && Clock::now() < give_up) {
    pollfd ready{socket_.get(), POLLIN, 0};
    poll(&ready, 1, Left(give_up));
  }
}

}  // namespace tutti::engine
