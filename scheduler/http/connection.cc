#include "scheduler/http/connection.h"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <boost/asio/post.hpp>
#include <boost/asio/write.hpp>
#include <boost/beast/http/error.hpp>
#include <boost/beast/http/read.hpp>
#include <cerrno>
#include <charconv>
#include <cstddef>
#include <exception>
#include <limits>
#include <nlohmann/json.hpp>
#include <span>
#include <utility>

#include "common/base/log.h"
#include "common/base/words.h"
#include "monitoring/metrics/metrics.h"
#include "scheduler/http/json.h"
#include "scheduler/http/uri.h"

namespace tutti::http {
namespace {

namespace asio = boost::asio;
namespace beast = boost::beast;
namespace bhttp = boost::beast::http;

constexpr std::size_t kFirstRead = 512;  // all that a connection holds while nothing comes
constexpr std::size_t kPiece = 64 * 1024;
constexpr std::size_t kJsonPiece = 8 * 1024;
constexpr std::int64_t kIgnoredBodyMax = 4096;  // of routes that take none

std::string View(beast::string_view text) { return {text.data(), text.size()}; }

// 16 hex digits, unlike any other of this process's life; they are no secret.
std::string NewRequestId() {
  static const auto start = static_cast<std::uint64_t>(WallNow().unix_ms);
  static std::atomic<std::uint64_t> next{0};
  std::uint64_t mixed = start * 0x9e3779b97f4a7c15u + ++next * 0xbf58476d1ce4e5b9u;
  mixed ^= mixed >> 29;
  std::string id;
  for (int shift = 60; shift >= 0; shift -= 4)
    id.push_back("0123456789abcdef"[(mixed >> shift) & 15]);
  return "req-" + id;
}

Error Bad(std::string message, std::string where = {}) {
  return {ErrorCode::kInvalid, std::move(message), std::move(where)};
}

}  // namespace

void Mailbox::Post(std::function<void()> work) {
  const std::lock_guard lock(mutex_);
  if (context_ != nullptr) asio::post(*context_, std::move(work));
}

void Mailbox::Close() {
  const std::lock_guard lock(mutex_);
  context_ = nullptr;
}

void Shared::Opened() {
  const std::lock_guard lock(mutex);
  ++open;
  if (options.metrics != nullptr) options.metrics->Connections(static_cast<std::int64_t>(open));
}

void Shared::Closed() {
  const std::lock_guard lock(mutex);
  --open;
  if (options.metrics != nullptr) options.metrics->Connections(static_cast<std::int64_t>(open));
  closed.notify_all();
}

Connection::Spool::~Spool() {
  if (!path.empty()) ::unlink(path.c_str());
}

Connection::Connection(asio::ip::tcp::socket socket, Shared& shared, IoThread& thread)
    : shared_(shared),
      thread_(thread),
      stream_(beast::tcp_stream(std::move(socket))),
      buffer_(static_cast<std::size_t>(shared.options.header_max.count) + kPiece) {
  thread_.connections.insert(this);
}

Connection::~Connection() {
  thread_.connections.erase(this);
  shared_.Closed();
}

void Connection::Start() {
  ErrorCodeAsio ignored;
  stream_.tcp().socket().set_option(asio::ip::tcp::no_delay(true), ignored);
  peer_ = stream_.tcp().socket().remote_endpoint(ignored).address();
  stream_.tcp().expires_after(shared_.options.header_deadline);
  doing_ = Doing::kIdle;
  if (shared_.stopping) return Close();
  if (shared_.options.identity) return WaitForHello();
  WaitForRequest();
}

void Connection::Wind() {
  keep_alive_ = false;
  if (doing_ == Doing::kIdle || doing_ == Doing::kReading) return Close();
  if (doing_ == Doing::kStreaming) EndStream();
}

void Connection::Close() {
  if (doing_ == Doing::kClosed) return;
  const auto self = std::exchange(kept_, nullptr);
  doing_ = Doing::kClosed;
  if (streaming_ != nullptr) streaming_->timer.cancel();
  stream_.tcp().close();
  // Whoever feeds the stream learns that nobody listens any more.
  if (streaming_ != nullptr) streaming_->body.pull = nullptr;
}

void Connection::WaitForRequest() {
  stream_.async_read_some(buffer_.prepare(kFirstRead),
                          [self = shared_from_this()](ErrorCodeAsio error, std::size_t bytes) {
                            if (error || self->doing_ == Doing::kClosed) return self->Close();
                            self->buffer_.commit(bytes);
                            self->ReadHead();
                          });
}

void Connection::Begin() {
  doing_ = Doing::kReading;
  started_ = MonotonicNow();
  request_ = Request{};
  request_.id = NewRequestId();
  route_ = nullptr;
  keep_alive_ = false;
  is_head_ = false;
  body_size_ = 0;
}

void Connection::ReadHead() {
  Begin();
  buffer_.reserve(kJsonPiece);
  parser_ = std::make_unique<Parser>();
  parser_->header_limit(static_cast<std::uint32_t>(shared_.options.header_max.count));
  parser_->body_limit(std::numeric_limits<std::uint64_t>::max());  // ours is per route
  stream_.tcp().expires_after(shared_.options.header_deadline);
  bhttp::async_read_header(
      stream_, buffer_, *parser_,
      [self = shared_from_this()](ErrorCodeAsio error, std::size_t) { self->OnHead(error); });
}

void Connection::OnHead(ErrorCodeAsio error) {
  if (doing_ == Doing::kClosed) return;
  if (error == bhttp::error::header_limit || error == bhttp::error::buffer_overflow) {
    return Refuse(431, {ErrorCode::kTooLarge, "the request's headers are too long"});
  }
  if (error && error.category() == bhttp::make_error_code(bhttp::error::bad_method).category() &&
      error != bhttp::error::end_of_stream && error != bhttp::error::partial_message) {
    return Refuse(400, Bad("the request is malformed: " + error.message()));
  }
  if (error) return Close();
  stream_.tcp().expires_never();
  if (Status taken = TakeHead(); !taken) return Refuse(400, std::move(taken).error());
  if (std::optional<Response> answer = CheckHead()) {
    // A body that nobody will read makes the connection useless.
    if (!parser_->is_done()) keep_alive_ = false;
    return Answer(std::move(*answer));
  }
  StartBody();
}

Status Connection::TakeHead() {
  const auto& message = parser_->get();
  http_1_0_ = message.version() < 11;
  const bool keep_alive = message.keep_alive() && !shared_.stopping;
  int hosts = 0;
  int lengths = 0;
  int encodings = 0;
  for (const auto& field : message) {
    std::string name = LowerCase(View(field.name_string()));
    std::string value = View(field.value());
    if (name == "host") ++hosts;
    if (name == "content-length") {
      ++lengths;
      if (value.find_first_not_of("0123456789") != std::string::npos) {
        return Fail(Bad("not a number of bytes", name));
      }
    }
    if (name == "transfer-encoding") {
      ++encodings;
      if (LowerCase(value) != "chunked") return Fail(Bad("only chunked is understood", name));
    }
    request_.headers.emplace_back(std::move(name), std::move(value));
  }
  // A second reading of where the body ends is how requests are smuggled.
  if (lengths + encodings > 1) return Fail(Bad("the body's length is given twice"));
  if (encodings > 0 && http_1_0_) return Fail(Bad("HTTP/1.0 has no chunked bodies"));
  if (hosts > 1 || (hosts == 0 && !http_1_0_)) return Fail(Bad("one Host header is needed"));

  const auto method = ParseMethod(View(message.method_string()));
  is_head_ = method == Method::kHead;
  const std::string target = View(message.target());
  const std::size_t question = target.find('?');
  request_.path = target.substr(0, question);
  if (question != std::string::npos) {
    TUTTI_ASSIGN_OR_RETURN(request_.query,
                           ParseQuery(std::string_view(target).substr(question + 1)));
  }
  if (!method) {
    return Fail(Bad("the method '" + View(message.method_string()) + "' is not known"));
  }
  request_.method = *method;
  request_.peer = peer_.to_string();
  request_.loopback = peer_.is_loopback();
  keep_alive_ = keep_alive;
  return {};
}

std::optional<Response> Connection::CheckHead() {
  metrics::HttpMetrics* metrics = shared_.options.metrics;
  const auto deny = [metrics](const Denial& denial) {
    if (metrics != nullptr) metrics->AuthFailure(denial.reason);
    Response answer = ErrorResponse(denial.status, denial.error);
    if (denial.status == 401) answer.headers.emplace_back("www-authenticate", "Bearer");
    if (denial.retry_after) {
      answer.headers.emplace_back("retry-after", std::to_string(denial.retry_after->count()));
    }
    return answer;
  };
  if (auto origin = shared_.auth.CheckOrigin(request_.headers); !origin) {
    return deny(origin.error());
  }
  auto match = shared_.router.Find(request_.method, request_.path);
  if (!match) {
    Error error = match.error();
    if (error.code == ErrorCode::kInvalid) return ErrorResponse(400, error);
    if (error.code == ErrorCode::kNotFound) return ErrorResponse(404, error);
    const std::string allow = std::exchange(error.hint, "");
    return ErrorResponse(405, error).With("allow", allow);
  }
  route_ = match->route;
  request_.route = route_->path;
  request_.params = std::move(match->params);
  const bool changes = request_.method != Method::kGet && request_.method != Method::kHead;
  auto caller = shared_.auth.Check(
      request_.headers, {.access = route_->access, .workers = route_->workers, .changes = changes},
      request_.peer);
  if (!caller) return deny(caller.error());
  request_.caller = *std::move(caller);
  const auto length = parser_->content_length();
  const std::int64_t max = route_->body == Body::kNone ? kIgnoredBodyMax : route_->body_max.count;
  if (length && *length > static_cast<std::uint64_t>(max)) {
    return ErrorResponse(
        Error{ErrorCode::kTooLarge, "the body is longer than " + FormatBytes(Bytes{max})});
  }
  return std::nullopt;
}

void Connection::StartBody() {
  if (route_->body == Body::kFile) {
    spool_ = std::make_unique<Spool>();
    static std::atomic<std::uint64_t> serial{0};
    const auto path = shared_.options.spool_dir /
                      ("upload." + std::to_string(::getpid()) + "." + std::to_string(++serial));
    spool_->fd = UniqueFd(::open(path.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600));
    if (!spool_->fd) {
      const Error error = ErrnoError("cannot take the upload", path.filename().string(), errno);
      spool_.reset();
      return Refuse(StatusOf(error.code), error);
    }
    spool_->path = path;
  }
  if (parser_->is_done()) return BodyDone();
  const auto expect = request_.Header("expect");
  if (!expect) return ReadBody();
  if (LowerCase(*expect) != "100-continue")
    return Refuse(400, Bad("Expect says the unknown", "expect"));
  out_ = "HTTP/1.1 100 Continue\r\n\r\n";
  stream_.tcp().expires_after(shared_.options.write_deadline);
  asio::async_write(stream_, asio::buffer(out_),
                    [self = shared_from_this()](ErrorCodeAsio error, std::size_t) {
                      self->Written(error, [self] { self->ReadBody(); });
                    });
}

void Connection::ReadBody() {
  // JSON gets one deadline for all of it; a file may take long, as long as it moves.
  if (body_size_ == 0 || route_->body == Body::kFile) {
    stream_.tcp().expires_after(shared_.options.body_deadline);
  }
  const std::size_t most = route_->body == Body::kFile ? kPiece : kJsonPiece;
  const std::uint64_t left = parser_->content_length_remaining().value_or(most);
  piece_.resize(static_cast<std::size_t>(std::min<std::uint64_t>(left, most)));
  auto& body = parser_->get().body();
  body.data = piece_.data();
  body.size = piece_.size();
  body.more = true;
  bhttp::async_read_some(
      stream_, buffer_, *parser_,
      [self = shared_from_this()](ErrorCodeAsio error, std::size_t) { self->OnBody(error); });
}

void Connection::OnBody(ErrorCodeAsio error) {
  if (doing_ == Doing::kClosed) return;
  if (error == bhttp::error::need_buffer) error = {};
  if (error == bhttp::error::end_of_stream || error == bhttp::error::partial_message) {
    return Close();
  }
  if (error && error.category() == bhttp::make_error_code(bhttp::error::bad_chunk).category()) {
    return Refuse(400, Bad("the body is malformed: " + error.message()));
  }
  if (error) return Close();
  const std::size_t got = piece_.size() - parser_->get().body().size;
  if (Status taken = TakePiece(std::string_view(piece_).substr(0, got)); !taken) {
    return Refuse(StatusOf(taken.error().code), taken.error());
  }
  if (parser_->is_done()) {
    stream_.tcp().expires_never();
    return BodyDone();
  }
  ReadBody();
}

Status Connection::TakePiece(std::string_view piece) {
  body_size_ += static_cast<std::int64_t>(piece.size());
  const std::int64_t max = route_->body == Body::kNone ? kIgnoredBodyMax : route_->body_max.count;
  if (body_size_ > max) {
    return Fail(ErrorCode::kTooLarge, "the body is longer than " + FormatBytes(Bytes{max}));
  }
  switch (route_->body) {
    case Body::kNone:
      return {};
    case Body::kJson:
    case Body::kText:
      request_.body += piece;
      return {};
    case Body::kFile:
      spool_->hash.Update(piece);
      return WriteAll(spool_->fd.get(), std::as_bytes(std::span(piece)), "the upload");
  }
  return {};
}

void Connection::BodyDone() {
  std::string().swap(piece_);
  if (spool_ != nullptr) {
    request_.file.emplace(std::exchange(spool_->path, {}), Bytes{body_size_},
                          spool_->hash.Finish());
    spool_.reset();
  }
  if (route_->body == Body::kJson && !request_.body.empty()) {
    auto json = ParseJson(request_.body);
    if (!json) return Answer(ErrorResponse(400, json.error()));
    request_.json = std::make_shared<const nlohmann::json>(std::move(*json));
  }
  Handle();
}

Responder Connection::MakeResponder() {
  return Responder([mailbox = thread_.mailbox, weak = weak_from_this()](Response response) {
    auto shared = std::make_shared<Response>(std::move(response));
    mailbox->Post([weak, shared] {
      if (auto self = weak.lock()) self->Answer(std::move(*shared));
    });
  });
}

void Connection::Handle() {
  doing_ = Doing::kHandling;
  kept_ = shared_from_this();
  Request kept;  // what the answer still needs of the request
  kept.id = request_.id;
  kept.method = request_.method;
  kept.caller = request_.caller;
  for (const char* name : {"range", "if-range", "if-none-match"}) {
    if (const auto value = request_.Header(name)) kept.headers.emplace_back(name, *value);
  }
  auto run = [route = route_, request = std::exchange(request_, std::move(kept)),
              responder = MakeResponder()]() mutable {
    const std::string id = request.id;
    try {
      route->handler(std::move(request), responder);
    } catch (const std::exception& error) {
      Log(kError, "http_handler_threw", {{"route", route->path}, {"what", error.what()}});
      responder.Send(Error{ErrorCode::kInternal, "the request failed inside the server", id});
    }
  };
  if (route_->run_on == RunOn::kPool) {
    asio::post(shared_.pool, std::move(run));
  } else {
    run();
  }
}

void Connection::Refuse(int status, Error error) {
  keep_alive_ = false;
  spool_.reset();
  Answer(ErrorResponse(status, error));
}

}  // namespace tutti::http
