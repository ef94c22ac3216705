#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <boost/asio/post.hpp>
#include <boost/asio/write.hpp>
#include <cerrno>
#include <charconv>
#include <cstddef>
#include <ctime>
#include <utility>

#include "common/base/check.h"
#include "common/base/log.h"
#include "common/base/words.h"
#include "monitoring/metrics/metrics.h"
#include "scheduler/http/connection.h"
#include "scheduler/http/range.h"

namespace tutti::http {
namespace {

namespace asio = boost::asio;

constexpr std::int64_t kFilePiece = 64 * 1024;
constexpr std::size_t kWatched = 64;
constexpr auto kLinger = std::chrono::milliseconds(2'000);
constexpr auto kLingerAtStop = std::chrono::milliseconds(200);

// "Tue, 03 Feb 2026 04:05:06 GMT"
std::string HttpDate() {
  const std::time_t now = std::time(nullptr);
  std::tm parts{};
  ::gmtime_r(&now, &parts);
  std::array<char, 40> text{};
  const std::size_t size =
      std::strftime(text.data(), text.size(), "%a, %d %b %Y %H:%M:%S GMT", &parts);
  return {text.data(), size};
}

std::string Hex(std::size_t number) {
  std::array<char, 16> text{};
  const auto [end, error] = std::to_chars(text.data(), text.data() + text.size(), number, 16);
  return {text.data(), end};
}

// Header values come from handlers too, and hold file names and the like.
std::string HeaderValue(std::string value) {
  std::replace_if(
      value.begin(), value.end(), [](unsigned char c) { return c < 0x20 || c == 0x7f; }, '?');
  return value;
}

// If-None-Match: "*", or a list of tags that are compared weakly.
bool NamesTag(std::string_view header, std::string_view etag) {
  for (std::string_view tag : CommaWords(header)) {
    while (!tag.empty() && tag.front() == ' ') tag.remove_prefix(1);
    while (!tag.empty() && tag.back() == ' ') tag.remove_suffix(1);
    if (tag.starts_with("W/")) tag.remove_prefix(2);
    if (tag == "*" || tag == etag) return true;
  }
  return false;
}

}  // namespace

std::string Connection::Head(const Response& response, std::optional<std::int64_t> length) const {
  std::string head = "HTTP/1.1 " + std::to_string(response.status) + " " +
                     std::string(StatusText(response.status)) + "\r\n";
  const auto add = [&head](std::string_view name, std::string_view value) {
    head.append(name).append(": ").append(value).append("\r\n");
  };
  for (const auto& [name, value] : response.headers) add(name, HeaderValue(value));
  if (!Find(response.headers, "cache-control")) add("cache-control", "no-store");
  add("x-content-type-options", "nosniff");
  add("x-request-id", request_.id);
  add("date", HttpDate());
  const bool bodyless = response.status == 204 || response.status == 304;
  if (length && !bodyless) {
    add("content-length", std::to_string(*length));
  } else if (!http_1_0_ && !bodyless) {
    add("transfer-encoding", "chunked");
  }
  if (!keep_alive_) {
    add("connection", "close");
  } else if (http_1_0_) {
    add("connection", "keep-alive");
  }
  return head + "\r\n";
}

void Connection::Answer(Response response) {
  if (doing_ == Doing::kClosed) return;
  const auto self = kept_ != nullptr ? std::exchange(kept_, nullptr) : shared_from_this();
  TUTTI_CHECK(doing_ == Doing::kReading || doing_ == Doing::kHandling, "a second answer");
  doing_ = Doing::kWriting;
  if (shared_.stopping) keep_alive_ = false;
  status_ = response.status;
  if (std::holds_alternative<FileBody>(response.body)) return AnswerFile(std::move(response));
  if (std::holds_alternative<StreamBody>(response.body)) return StartStream(std::move(response));
  const std::string& body = std::get<std::string>(response.body);
  std::string bytes = Head(response, static_cast<std::int64_t>(body.size()));
  if (!is_head_) bytes += body;
  WriteAndFinish(std::move(bytes));
}

void Connection::AnswerFile(Response response) {
  auto& file = std::get<FileBody>(response.body);
  const std::int64_t size = file.size.count;
  response.headers.emplace_back("accept-ranges", "bytes");
  if (!file.etag.empty()) {
    response.headers.emplace_back("etag", file.etag);
    if (NamesTag(request_.Header("if-none-match").value_or(""), file.etag)) {
      status_ = response.status = 304;
      return WriteAndFinish(Head(response, std::nullopt));
    }
  }
  const auto if_range = request_.Header("if-range");
  const bool ranged = response.status == 200 && !is_head_ && (!if_range || *if_range == file.etag);
  const ByteRange range = ParseRange(ranged ? request_.Header("range").value_or("") : "", size);
  switch (range.kind) {
    case ByteRange::Kind::kWhole:
      break;
    case ByteRange::Kind::kPart:
      status_ = response.status = 206;
      response.headers.emplace_back("content-range",
                                    "bytes " + std::to_string(range.first) + "-" +
                                        std::to_string(range.first + range.length - 1) + "/" +
                                        std::to_string(size));
      break;
    case ByteRange::Kind::kUnsatisfiable: {
      status_ = 416;
      Response refusal =
          ErrorResponse(416, Error{ErrorCode::kInvalid, "the file has no such range", "range"});
      refusal.headers.emplace_back("content-range", "bytes */" + std::to_string(size));
      const std::string& body = std::get<std::string>(refusal.body);
      return WriteAndFinish(Head(refusal, static_cast<std::int64_t>(body.size())) +
                            (is_head_ ? "" : body));
    }
  }
  std::string head = Head(response, range.length);
  if (is_head_ || range.length == 0) return WriteAndFinish(std::move(head));
  file_ = std::move(file.fd);
  file_at_ = range.first;
  file_left_ = range.length;
  out_ = std::move(head);
  SendFilePiece();
}

// Sends what is in out_, then reads on. The head goes with the first piece.
void Connection::SendFilePiece() {
  const auto want = static_cast<std::size_t>(std::min(file_left_, kFilePiece));
  const std::size_t before = out_.size();
  out_.resize(before + want);
  ssize_t got = 0;
  do {
    got = ::pread(file_.get(), out_.data() + before, want, file_at_);
  } while (got < 0 && errno == EINTR);
  if (got <= 0) {
    // The length is promised: only cutting the connection tells the client.
    Log(kError, "http_file_read_failed", {{"errno", got < 0 ? errno : 0}});
    return Close();
  }
  out_.resize(before + static_cast<std::size_t>(got));
  file_at_ += got;
  file_left_ -= got;
  stream_.tcp().expires_after(shared_.options.write_deadline);
  asio::async_write(stream_, asio::buffer(out_),
                    [self = shared_from_this()](ErrorCodeAsio error, std::size_t) {
                      self->Written(error, [&connection = *self] {
                        connection.out_.clear();
                        if (connection.file_left_ > 0) return connection.SendFilePiece();
                        connection.file_.Reset();
                        connection.Finish();
                      });
                    });
}

void Connection::WriteAndFinish(std::string bytes) {
  out_ = std::move(bytes);
  stream_.tcp().expires_after(shared_.options.write_deadline);
  asio::async_write(stream_, asio::buffer(out_),
                    [self = shared_from_this()](ErrorCodeAsio error, std::size_t) {
                      self->Written(error, [&connection = *self] { connection.Finish(); });
                    });
}

void Connection::Written(ErrorCodeAsio error, const std::function<void()>& then) {
  if (error || doing_ == Doing::kClosed) return Close();
  stream_.tcp().expires_never();
  then();
}

void Connection::StartStream(Response response) {
  if (http_1_0_) keep_alive_ = false;  // the end of the connection is the end of the body
  if (is_head_) return WriteAndFinish(Head(response, std::nullopt));
  // TLS: the watch for the end reads ahead, and what it read would have to be kept.
  if (stream_.is_tls()) keep_alive_ = false;
  doing_ = Doing::kStreaming;
  out_ = Head(response, std::nullopt);
  streaming_ = std::make_unique<Streaming>(thread_.context);
  streaming_->body = std::move(std::get<StreamBody>(response.body));
  streaming_->writing = true;
  stream_.tcp().expires_after(shared_.options.write_deadline);
  asio::async_write(stream_, asio::buffer(out_),
                    [self = shared_from_this()](ErrorCodeAsio error, std::size_t) {
                      self->Written(error, [&connection = *self] {
                        connection.streaming_->writing = false;
                        if (connection.streaming_->ending) return connection.EndStream();
                        connection.WatchForEof();
                        connection.PullNext();
                      });
                    });
}

void Connection::PullNext() {
  streaming_->pulling = true;
  ArmHeartbeat();
  streaming_->body.pull(
      [mailbox = thread_.mailbox, weak = weak_from_this()](std::string piece, bool last) {
        mailbox->Post([weak, piece = std::move(piece), last]() mutable {
          if (auto self = weak.lock()) self->OnPiece(std::move(piece), last);
        });
      });
}

void Connection::OnPiece(std::string piece, bool last) {
  if (doing_ != Doing::kStreaming || !streaming_->pulling) return;
  if (streaming_->writing) {
    streaming_->next.emplace(std::move(piece), last);
    return;
  }
  if (!shared_.auth.StillHolds(request_.caller)) return EndStream();
  streaming_->pulling = false;
  streaming_->timer.cancel();
  if (piece.empty() && !last) return PullNext();
  WriteChunk(piece, last);
}

void Connection::EndStream() {
  keep_alive_ = false;
  if (streaming_->writing) return EndStreamOnceWritten();
  streaming_->pulling = false;
  streaming_->timer.cancel();
  WriteChunk({}, true);
}

// A slow client does not hold up the end.
void Connection::EndStreamOnceWritten() {
  if (std::exchange(streaming_->ending, true)) return;
  streaming_->timer.expires_after(kLingerAtStop);
  streaming_->timer.async_wait([weak = weak_from_this()](ErrorCodeAsio error) {
    const auto self = weak.lock();
    if (error || !self || self->doing_ != Doing::kStreaming) return;
    if (self->streaming_->writing) self->Close();
  });
}

void Connection::WriteChunk(std::string_view data, bool last) {
  out_.clear();
  if (http_1_0_) {
    out_ = data;
  } else {
    if (!data.empty()) out_.append(Hex(data.size())).append("\r\n").append(data).append("\r\n");
    if (last) out_ += "0\r\n\r\n";
  }
  streaming_->writing = true;
  stream_.tcp().expires_after(shared_.options.write_deadline);
  asio::async_write(stream_, asio::buffer(out_),
                    [self = shared_from_this(), last](ErrorCodeAsio error, std::size_t) {
                      self->Written(error, [&connection = *self, last] {
                        Streaming& streaming = *connection.streaming_;
                        streaming.writing = false;
                        if (last) {
                          connection.streaming_.reset();
                          return connection.Finish();
                        }
                        if (streaming.ending) return connection.EndStream();
                        if (!streaming.pulling) return connection.PullNext();
                        if (auto next = std::exchange(streaming.next, std::nullopt)) {
                          return connection.OnPiece(std::move(next->first), next->second);
                        }
                        connection.ArmHeartbeat();
                      });
                    });
}

void Connection::ArmHeartbeat() {
  if (streaming_->body.heartbeat.empty()) return;
  streaming_->timer.expires_after(streaming_->body.heartbeat_every);
  streaming_->timer.async_wait([weak = weak_from_this()](ErrorCodeAsio error) {
    const auto self = weak.lock();
    if (error || !self || self->doing_ != Doing::kStreaming) return;
    if (self->streaming_->writing || !self->streaming_->pulling) return;
    if (!self->shared_.auth.StillHolds(self->request_.caller)) return self->EndStream();
    self->WriteChunk(self->streaming_->body.heartbeat, false);
  });
}

// A client that goes away while nothing is written to it would otherwise stay until a heartbeat.
void Connection::WatchForEof() {
  if (stream_.is_tls()) {  // only TLS can tell an end from other bytes
    stream_.async_read_some(buffer_.prepare(kWatched),
                            [self = shared_from_this()](ErrorCodeAsio error, std::size_t) {
                              if (error && self->doing_ == Doing::kStreaming) self->Close();
                            });
    return;
  }
  stream_.tcp().socket().async_wait(
      asio::ip::tcp::socket::wait_read, [self = shared_from_this()](ErrorCodeAsio error) {
        if (error || self->doing_ != Doing::kStreaming) return;
        char byte = 0;
        const ssize_t got =
            ::recv(self->stream_.tcp().socket().native_handle(), &byte, 1, MSG_PEEK | MSG_DONTWAIT);
        // More bytes are the next request: it waits, and so does the watch.
        if (got == 0 || (got < 0 && errno != EAGAIN && errno != EINTR)) self->Close();
      });
}

void Connection::Finish() {
  if (shared_.options.metrics != nullptr) {
    shared_.options.metrics->Request(
        route_ != nullptr ? std::string_view(route_->path) : "unmatched", ToString(request_.method),
        status_, MonotonicNow() - started_);
  }
  std::string().swap(out_);
  parser_.reset();
  request_ = Request{};
  if (!keep_alive_ || shared_.stopping) return Linger();
  if (buffer_.size() > 0) return ReadHead();
  buffer_.shrink_to_fit();
  doing_ = Doing::kIdle;
  stream_.tcp().expires_after(shared_.options.idle_timeout);
  WaitForRequest();
}

// Closing with unread bytes would reset the connection and could destroy the answer on its way:
// half-close, and drop what comes until the client closes too or a deadline.
void Connection::Linger() {
  doing_ = Doing::kIdle;
  buffer_.clear();
  if (!stream_.is_tls()) return HalfClose();
  // A stream's watch may still read; its end is on its way before what is posted here.
  stream_.tcp().cancel();
  asio::post(thread_.context, [self = shared_from_this()] {
    if (self->doing_ == Doing::kClosed) return;
    self->stream_.tcp().expires_after(self->shared_.stopping ? kLingerAtStop : kLinger);
    self->stream_.async_shutdown([self](ErrorCodeAsio) {
      if (self->doing_ != Doing::kClosed) self->HalfClose();
    });
  });
}

void Connection::HalfClose() {
  ErrorCodeAsio ignored;
  stream_.tcp().socket().shutdown(asio::ip::tcp::socket::shutdown_send, ignored);
  stream_.tcp().expires_after(shared_.stopping ? kLingerAtStop : kLinger);
  Drop();
}

void Connection::Drop() {
  buffer_.clear();
  stream_.tcp().async_read_some(buffer_.prepare(4096),
                                [self = shared_from_this()](ErrorCodeAsio error, std::size_t) {
                                  if (error || self->shared_.stopping) return self->Close();
                                  self->Drop();
                                });
}

}  // namespace tutti::http
