#include "jobs/cli/watch.h"

#include <algorithm>

#include "jobs/client/interrupt.h"

namespace tutti::cli {
namespace {

using Kind = WatchItem::Kind;

constexpr Duration kConnectTimeout = std::chrono::seconds(10);

}  // namespace

WatchItem EventWatch::Next(Duration patience) {
  if (client::Interrupted()) return {.kind = Kind::kInterrupted};
  if (ready_.empty() && stream_ == nullptr) return Connect(patience);
  if (ready_.empty()) {
    Result<std::string> piece = stream_->Read(patience);
    if (client::Interrupted()) return {.kind = Kind::kInterrupted};
    if (!piece && piece.error().code == ErrorCode::kTimeout) {
      if (MonotonicNow() - last_byte_ < kSilence) return {.kind = Kind::kQuiet};
      return Lose({ErrorCode::kTimeout, "the coordinator is silent"});
    }
    if (!piece) return Lose(piece.error());
    if (piece->empty()) return Lose({ErrorCode::kUnavailable, "the coordinator closed the stream"});
    last_byte_ = MonotonicNow();
    ready_ = parser_.Feed(*piece);
    std::reverse(ready_.begin(), ready_.end());
    if (ready_.empty()) return {.kind = Kind::kQuiet};
  }
  WatchItem item{.kind = Kind::kEvent, .event = std::move(ready_.back())};
  ready_.pop_back();
  if (!item.event.id.empty()) last_id_ = item.event.id;
  return item;
}

WatchItem EventWatch::Lose(Error error) {
  stream_.reset();
  client_.Forget();
  if (!lost_since_) {
    lost_since_ = MonotonicNow();
    backoff_.Reset();
    retry_at_ = *lost_since_ + backoff_.Next();
    return {.kind = Kind::kLost, .error = std::move(error)};
  }
  if (MonotonicNow() - *lost_since_ > kGrace) {
    return {.kind = Kind::kGone, .error = std::move(error)};
  }
  retry_at_ = MonotonicNow() + backoff_.Next();
  return {.kind = Kind::kQuiet};
}

WatchItem EventWatch::Connect(Duration patience) {
  const Duration wait = retry_at_ - MonotonicNow();
  if (wait > Duration::zero()) {
    client::Pause(std::min(wait, patience));
    if (client::Interrupted()) return {.kind = Kind::kInterrupted};
    if (wait > patience) return {.kind = Kind::kQuiet};
  }
  httpclient::Request request{.target = "/api/v1/events",
                              .headers = {{"Accept", "text/event-stream"}},
                              .timeout = kConnectTimeout};
  if (!job_.empty()) request.target += "?job=" + httpclient::EncodeSegment(job_);
  if (!last_id_.empty()) {
    request.headers.emplace_back("Last-Event-ID", last_id_);
  } else if (!job_.empty()) {
    request.target += "&after=0";
  }
  auto stream = client_.Open(request);
  if (client::Interrupted()) return {.kind = Kind::kInterrupted};
  if (!stream) return Lose(stream.error());
  const int status = (*stream)->head().status;
  if (status != 200) {
    httpclient::Response response = (*stream)->head();
    response.body = (*stream)->ReadAll(kConnectTimeout, Bytes{1 << 20}).value_or("");
    Error error = client::ErrorsOf(response, request.target).front();
    if (status >= 500) return Lose(std::move(error));
    return {.kind = Kind::kGone, .error = std::move(error)};
  }
  stream_ = std::move(*stream);
  parser_ = {};
  last_byte_ = MonotonicNow();
  const bool back = lost_since_.has_value();
  lost_since_.reset();
  return {.kind = back ? Kind::kBack : Kind::kQuiet};
}

}  // namespace tutti::cli
