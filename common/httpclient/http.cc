#include "common/httpclient/http.h"

#include <fcntl.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/stat.h>

#include <algorithm>
#include <array>
#include <boost/beast/core/flat_buffer.hpp>
#include <boost/beast/http/buffer_body.hpp>
#include <boost/beast/http/parser.hpp>
#include <boost/beast/http/read.hpp>
#include <boost/beast/http/string_body.hpp>
#include <boost/beast/http/write.hpp>
#include <limits>

#include "common/base/host.h"
#include "common/base/words.h"
#include "common/httpclient/socket.h"

namespace tutti::httpclient {
namespace {

namespace asio = boost::asio;
namespace bhttp = boost::beast::http;
using SystemError = boost::system::error_code;

constexpr std::size_t kPiece = std::size_t{64} << 10;
constexpr std::uint32_t kHeaderMax = 64 << 10;
constexpr Bytes kBodyMax{64 << 20};

Error Transport(const Url& url, std::string_view what, const SystemError& error) {
  if (error == asio::error::timed_out) {
    return {ErrorCode::kTimeout, std::string(what) + ": no answer in time", url.ToString()};
  }
  if (error == asio::error::operation_aborted) {
    return {ErrorCode::kUnavailable, "interrupted", url.ToString()};
  }
  return {ErrorCode::kUnavailable, std::string(what) + ": " + error.message(), url.ToString()};
}

// A connected socket, or why each of the host's addresses refused.
Result<Socket> Connect(const Url& url, const Request& request, Instant deadline) {
  addrinfo hints{};
  hints.ai_socktype = SOCK_STREAM;
  addrinfo* found = nullptr;
  const std::string& host = request.address.empty() ? url.host : request.address;
  if (!request.address.empty()) hints.ai_flags = AI_NUMERICHOST;
  const int code = ::getaddrinfo(host.c_str(), url.port.c_str(), &hints, &found);
  if (code != 0) {
    return Fail(ErrorCode::kUnavailable, std::string("cannot resolve: ") + ::gai_strerror(code),
                url.ToString());
  }
  const std::unique_ptr<addrinfo, decltype(&::freeaddrinfo)> addresses(found, &::freeaddrinfo);
  SystemError last = asio::error::host_not_found;
  for (const addrinfo* at = found; at != nullptr; at = at->ai_next) {
    UniqueFd fd(::socket(at->ai_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
    if (!fd) {
      last = {errno, boost::system::system_category()};
      continue;
    }
    const int on = 1;
    ::setsockopt(fd.get(), IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    const int raw = fd.get();
    if (::connect(raw, at->ai_addr, at->ai_addrlen) != 0 && errno != EINPROGRESS &&
        errno != EINTR) {
      last = {errno, boost::system::system_category()};
      continue;
    }
    Socket socket(std::move(fd), request.stop_fd);
    socket.set_deadline(std::min(deadline, MonotonicNow() + request.connect_timeout));
    if (SystemError error = socket.Wait(POLLOUT)) {
      last = error;
      if (error == asio::error::operation_aborted) break;
      continue;
    }
    int failed = 0;
    socklen_t size = sizeof failed;
    ::getsockopt(raw, SOL_SOCKET, SO_ERROR, &failed, &size);
    sockaddr_storage peer{};
    socklen_t peer_size = sizeof peer;
    if (failed == 0 && ::getpeername(raw, reinterpret_cast<sockaddr*>(&peer), &peer_size) == 0) {
      return socket;
    }
    if (failed != 0) last = {failed, boost::system::system_category()};
  }
  return Fail(Transport(url, "cannot connect", last));
}

class Reply final : public Incoming {
 public:
  Reply(Url url, Socket socket) : url_(std::move(url)), socket_(std::move(socket)) {
    parser_.header_limit(kHeaderMax);
    parser_.body_limit(std::numeric_limits<std::uint64_t>::max());  // ReadAll has its own
  }

  const Response& head() const override { return head_; }

  Status Write(const Request& request);
  Status ReadHead(const Request& request);
  Result<std::string> Read(Duration patience) override;

 private:
  Status WriteFile(const Request& request);

  Url url_;
  Socket socket_;
  boost::beast::flat_buffer buffer_;
  bhttp::response_parser<bhttp::buffer_body> parser_;
  Response head_;
};

Status Reply::WriteFile(const Request& request) {
  UniqueFd fd(::open(request.body_file.c_str(), O_RDONLY | O_CLOEXEC));
  if (!fd) return Fail(ErrnoError("cannot open", request.body_file.string(), errno));
  std::string block(kPiece, '\0');
  for (;;) {
    const ssize_t count = ::read(fd.get(), block.data(), block.size());
    if (count < 0 && errno == EINTR) continue;
    if (count < 0) return Fail(ErrnoError("cannot read", request.body_file.string(), errno));
    if (count == 0) return {};
    socket_.set_deadline(MonotonicNow() + request.timeout);
    std::size_t sent = 0;
    while (sent < static_cast<std::size_t>(count)) {
      SystemError error;
      sent += socket_.write_some(
          asio::buffer(block.data() + sent, static_cast<std::size_t>(count) - sent), error);
      if (error) return Fail(Transport(url_, "cannot send", error));
    }
  }
}

Status Reply::Write(const Request& request) {
  bhttp::request<bhttp::string_body> message;
  message.method_string(request.method);
  message.target(url_.prefix + request.target);
  message.version(11);
  message.set(bhttp::field::host, Bracketed(url_.host) + ":" + url_.port);
  message.set(bhttp::field::connection, "close");
  message.set(bhttp::field::user_agent, "tutti");
  for (const auto& [name, value] : request.headers) message.set(name, value);
  if (!request.body_file.empty()) {
    struct stat stat {};
    if (::stat(request.body_file.c_str(), &stat) != 0) {
      return Fail(ErrnoError("cannot stat", request.body_file.string(), errno));
    }
    message.content_length(static_cast<std::uint64_t>(stat.st_size));
  } else if (!request.body.empty() || request.method != "GET") {
    message.body() = request.body;
    if (request.method != "HEAD") message.prepare_payload();
  }
  SystemError error;
  bhttp::request_serializer<bhttp::string_body> serializer(message);
  if (!request.body_file.empty()) {
    bhttp::write_header(socket_, serializer, error);
    if (!error) return WriteFile(request);
  } else {
    bhttp::write(socket_, serializer, error);
  }
  if (error) return Fail(Transport(url_, "cannot send", error));
  return {};
}

Status Reply::ReadHead(const Request& request) {
  if (request.method == "HEAD") parser_.skip(true);
  SystemError error;
  bhttp::read_header(socket_, buffer_, parser_, error);
  if (error) return Fail(Transport(url_, "cannot read the answer", error));
  head_.status = static_cast<int>(parser_.get().result_int());
  for (const auto& field : parser_.get()) {
    head_.headers.emplace_back(LowerCase({field.name_string().data(), field.name_string().size()}),
                               std::string(field.value().data(), field.value().size()));
  }
  return {};
}

Result<std::string> Reply::Read(Duration patience) {
  socket_.set_deadline(MonotonicNow() + patience);
  std::string piece(kPiece, '\0');
  while (!parser_.is_done()) {
    parser_.get().body().data = piece.data();
    parser_.get().body().size = piece.size();
    SystemError error;
    bhttp::read_some(socket_, buffer_, parser_, error);
    const std::size_t count = piece.size() - parser_.get().body().size;
    if (error == bhttp::error::need_buffer) error = {};
    if (count > 0) {
      piece.resize(count);
      return piece;
    }
    if (error) return Fail(Transport(url_, "cannot read the answer", error));
  }
  return std::string();
}

}  // namespace

SystemError Socket::Wait(short events) {
  for (;;) {
    const Duration left = deadline_ - MonotonicNow();
    if (left <= Duration::zero()) return asio::error::timed_out;
    // Rounded up: a poll of 0 ms would spin through the last millisecond.
    const auto ms = std::chrono::ceil<std::chrono::milliseconds>(left).count();
    std::array<pollfd, 2> fds{{{fd_.get(), events, 0}, {stop_fd_, POLLIN, 0}}};
    const int ready = ::poll(fds.data(), fds.size(), static_cast<int>(std::min<long>(ms, 60'000)));
    if (ready < 0 && errno != EINTR) return {errno, boost::system::system_category()};
    if (ready > 0 && fds[1].revents != 0) return asio::error::operation_aborted;
    if (ready > 0 && fds[0].revents != 0) return {};
  }
}

std::string Url::ToString() const {
  return std::string(tls ? "https://" : "http://") + Bracketed(host) + ":" + port + prefix;
}

Result<Url> ParseUrl(std::string_view text) {
  const std::string whole(text);
  const auto bad = [&](std::string what) {
    return Fail(ErrorCode::kInvalid, std::move(what), whole,
                "write it as http://HOST:PORT or https://HOST:PORT");
  };
  Url url;
  url.tls = text.starts_with("https://");
  if (!url.tls && !text.starts_with("http://")) return bad("this is no http(s):// address");
  text.remove_prefix(url.tls ? 8 : 7);
  const std::size_t slash = text.find('/');
  if (slash != std::string_view::npos) url.prefix = text.substr(slash);
  while (!url.prefix.empty() && url.prefix.back() == '/') url.prefix.pop_back();
  std::string_view place = text.substr(0, slash);
  std::string_view port = url.tls ? "443" : "80";
  if (place.starts_with('[')) {
    const std::size_t close = place.find(']');
    if (close == std::string_view::npos) return bad("']' is missing");
    url.host = place.substr(1, close - 1);
    place.remove_prefix(close + 1);
    if (place.starts_with(':')) port = place.substr(1);
  } else {
    const std::size_t colon = place.rfind(':');
    url.host = place.substr(0, colon);
    if (colon != std::string_view::npos) port = place.substr(colon + 1);
  }
  const bool digits =
      !port.empty() && port.size() <= 5 &&
      std::all_of(port.begin(), port.end(), [](char c) { return c >= '0' && c <= '9'; });
  if (url.host.empty() || !digits) return bad("host or port is missing");
  const bool plain =
      std::all_of(whole.begin(), whole.end(), [](char c) { return c > ' ' && c < 0x7f; });
  if (!plain || url.host.find('@') != std::string::npos) {
    return bad("this is no plain address");
  }
  url.port = port;
  return url;
}

bool IsLoopback(const Url& url) { return IsLoopbackHost(url.host); }

std::string EncodeSegment(std::string_view text) {
  std::string out;
  for (const char c : text) {
    const auto byte = static_cast<unsigned char>(c);
    if (std::isalnum(byte) != 0 || c == '-' || c == '.' || c == '_' || c == '~') {
      out.push_back(c);
    } else {
      constexpr std::string_view kHex = "0123456789ABCDEF";
      out += {'%', kHex[byte >> 4], kHex[byte & 15]};
    }
  }
  return out;
}

std::string Response::Header(std::string_view name) const {
  for (const auto& [key, value] : headers) {
    if (key == name) return value;
  }
  return {};
}

Result<std::string> Incoming::ReadAll(Duration timeout, Bytes max) {
  const Instant deadline = MonotonicNow() + timeout;
  std::string body;
  for (;;) {
    TUTTI_ASSIGN_OR_RETURN(const std::string piece, Read(deadline - MonotonicNow()));
    if (piece.empty()) return body;
    body += piece;
    if (static_cast<std::int64_t>(body.size()) > max.count) {
      return Fail(ErrorCode::kTooLarge, "the answer is larger than " + FormatBytes(max));
    }
  }
}

Result<std::unique_ptr<Incoming>> Open(const Url& url, const Request& request) {
  const Instant deadline = MonotonicNow() + request.timeout;
  TUTTI_ASSIGN_OR_RETURN(Socket socket, Connect(url, request, deadline));
  socket.set_deadline(deadline);
  if (url.tls) TUTTI_RETURN_IF_ERROR(socket.StartTls(url.trust, url.host, url.ToString()));
  auto reply = std::make_unique<Reply>(url, std::move(socket));
  const Status sent = reply->Write(request);
  // A server that refuses a body answers before it has read all of it: look for that answer.
  if (!sent && sent.error().code != ErrorCode::kUnavailable) return Fail(sent.error());
  if (const Status head = reply->ReadHead(request); !head) {
    return Fail(sent ? head.error() : sent.error());
  }
  return reply;
}

Result<Response> Send(const Url& url, const Request& request) {
  TUTTI_ASSIGN_OR_RETURN(const std::unique_ptr<Incoming> incoming, Open(url, request));
  Response response = incoming->head();
  TUTTI_ASSIGN_OR_RETURN(response.body, incoming->ReadAll(request.timeout, kBodyMax));
  return response;
}

}  // namespace tutti::httpclient
