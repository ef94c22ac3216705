#include "worker/agent/http_client.h"

#include <algorithm>
#include <array>
#include <boost/asio/connect.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/beast/core.hpp>
#include <boost/beast/http.hpp>
#include <exception>
#include <limits>

#include "common/base/host.h"
#include "common/tls/stream.h"
#include "common/tls/trust.h"

namespace tutti::agent {
namespace {

namespace beast = boost::beast;
namespace http = boost::beast::http;
namespace net = boost::asio;
using tcp = net::ip::tcp;
using boost::system::error_code;

constexpr auto kLookAtStop = std::chrono::milliseconds(100);
constexpr std::size_t kBlockBytes = 256 << 10;

// One connection for one call. Asynchronous underneath, so that every wait ends at a deadline or
// when it is asked to stop.
class Call {
 public:
  Call(const HttpUrl& url, std::stop_token stop, const HttpLimits& limits)
      : url_(url), stop_(std::move(stop)), limits_(limits), stream_(beast::tcp_stream(context_)) {}

  Status Connect() {
    tcp::resolver resolver(context_);
    tcp::resolver::results_type addresses;
    TUTTI_RETURN_IF_ERROR(Await("cannot resolve", limits_.connect, [&](auto done) {
      resolver.async_resolve(url_.host, url_.port,
                             [&, done](error_code error, tcp::resolver::results_type found) {
                               addresses = std::move(found);
                               done(error);
                             });
    }));
    TUTTI_RETURN_IF_ERROR(Await("cannot connect", limits_.connect, [&](auto done) {
      stream_.tcp().async_connect(addresses,
                                  [done](error_code error, const auto&) { done(error); });
    }));
    return url_.tls ? StartTls() : Status{};
  }

  template <typename Body>
  Status Write(http::request<Body>& request) {
    http::request_serializer<Body> serializer(request);
    while (!serializer.is_done()) {
      TUTTI_RETURN_IF_ERROR(Await("cannot send", limits_.silence, [&](auto done) {
        http::async_write_some(stream_, serializer,
                               [done](error_code error, std::size_t) { done(error); });
      }));
    }
    return {};
  }

  Result<HttpAnswer> Read(const HttpRequest& request, const HttpSink& sink) {
    http::response_parser<http::buffer_body> parser;
    parser.body_limit(std::numeric_limits<std::uint64_t>::max());  // the sink knows its own
    if (request.method == "HEAD") parser.skip(true);
    TUTTI_RETURN_IF_ERROR(Await("no answer", limits_.silence, [&](auto done) {
      http::async_read_header(stream_, buffer_, parser,
                              [done](error_code error, std::size_t) { done(error); });
    }));
    HttpAnswer answer;
    answer.status = static_cast<int>(parser.get().result_int());
    answer.content_length = parser.content_length() ? *parser.content_length() : 0;
    const bool to_sink = sink && answer.status == request.sink_status;
    std::string block(kBlockBytes, '\0');
    while (!parser.is_done()) {
      parser.get().body().data = block.data();
      parser.get().body().size = block.size();
      TUTTI_RETURN_IF_ERROR(Await("the answer broke off", limits_.silence, [&](auto done) {
        http::async_read_some(stream_, buffer_, parser, [done](error_code error, std::size_t) {
          done(error == http::error::need_buffer ? error_code{} : error);
        });
      }));
      const std::size_t size = block.size() - parser.get().body().size;
      if (to_sink) {
        TUTTI_RETURN_IF_ERROR(sink(std::as_bytes(std::span(block.data(), size))));
      } else if (answer.body.size() + size <= kAnswerMax) {
        answer.body.append(block, 0, size);
      }
    }
    return answer;
  }

 private:
  Status StartTls() {
    TUTTI_ASSIGN_OR_RETURN(const tls::Context context, tls::ClientContext({.pin = url_.pin}));
    SSL& ssl = stream_.UseTls(context);
    TUTTI_RETURN_IF_ERROR(tls::ExpectHost(ssl, url_.host));
    Status status = Await("", limits_.connect, [&](auto done) {
      stream_.async_handshake_as_client([done](error_code error) { done(error); });
    });
    if (status || status.error().code == ErrorCode::kTimeout) return status;
    return Fail(tls::HandshakeError(ssl, status.error().message, status.error().where));
  }

  // Starts an operation and runs it to its end.
  template <typename Start>
  Status Await(std::string_view what, Duration limit, Start start) {
    std::optional<error_code> result;
    start([&result](error_code error) { result = error; });
    const Instant end = MonotonicNow() + limit;
    std::string_view gave_up;
    context_.restart();
    while (!result) {
      context_.run_one_for(kLookAtStop);
      if (result || !gave_up.empty()) continue;
      if (stop_.stop_requested()) gave_up = "it was stopped";
      if (MonotonicNow() >= end) gave_up = "no answer in time";
      if (!gave_up.empty()) stream_.tcp().close();  // the operation ends with an error
      if (context_.stopped()) context_.restart();
    }
    const std::string where = url_.host + ":" + url_.port;
    if (!gave_up.empty()) {
      return Fail(
          ErrorCode::kTimeout,
          std::string(what.empty() ? "no TLS connection" : what) + ": " + std::string(gave_up),
          where);
    }
    if (!*result) return {};
    const std::string prefix = what.empty() ? "" : std::string(what) + ": ";
    return Fail(ErrorCode::kUnavailable, prefix + result->message(), where);
  }

  const HttpUrl& url_;
  std::stop_token stop_;
  const HttpLimits& limits_;
  net::io_context context_{1};
  tls::Stream stream_;
  beast::flat_buffer buffer_;
};

template <typename Body>
void FillHeader(const HttpUrl& url, const HttpRequest& from, http::request<Body>& request) {
  request.version(11);
  request.method_string(from.method);
  request.target(from.target);
  request.set(http::field::host, url.host + ":" + url.port);
  request.set(http::field::connection, "close");
  for (const auto& [name, value] : from.headers) request.set(name, value);
}

Result<HttpAnswer> CallUnguarded(const HttpUrl& url, const HttpRequest& request,
                                 const HttpSink& sink, std::stop_token stop,
                                 const HttpLimits& limits) {
  Call call(url, std::move(stop), limits);
  TUTTI_RETURN_IF_ERROR(call.Connect());
  if (!request.body.empty()) {
    http::request<http::string_body> message;
    FillHeader(url, request, message);
    message.body() = request.body;
    message.prepare_payload();
    TUTTI_RETURN_IF_ERROR(call.Write(message));
  } else if (request.body_file.empty()) {
    http::request<http::empty_body> message;
    FillHeader(url, request, message);
    if (request.method != "GET" && request.method != "HEAD") message.content_length(0);
    TUTTI_RETURN_IF_ERROR(call.Write(message));
  } else {
    http::request<http::file_body> message;
    FillHeader(url, request, message);
    error_code error;
    message.body().open(request.body_file.c_str(), beast::file_mode::scan, error);
    if (error) return Fail(ErrnoError("cannot open", request.body_file.string(), error.value()));
    message.prepare_payload();
    // A server that refuses a body answers and closes while it is being sent: its answer says why.
    if (Status sent = call.Write(message); !sent) {
      auto answer = call.Read(request, sink);
      if (!answer) return Fail(sent.error());
      return answer;
    }
  }
  return call.Read(request, sink);
}

}  // namespace

Result<HttpUrl> HttpUrl::Parse(std::string_view text) {
  HttpUrl url;
  url.tls = text.starts_with("https://");
  const std::string_view scheme = url.tls ? "https://" : "http://";
  if (!text.starts_with(scheme)) {
    return Fail(ErrorCode::kInvalid, "not an HTTP address", std::string(text));
  }
  text.remove_prefix(scheme.size());
  text = text.substr(0, text.find('/'));
  const std::size_t colon = text.rfind(':');
  const bool has_port = colon != std::string_view::npos && text.find(']', colon) == text.npos;
  url.host = text.substr(0, has_port ? colon : text.size());
  url.port = has_port ? std::string(text.substr(colon + 1)) : url.tls ? "443" : "80";
  if (url.host.size() > 2 && url.host.front() == '[' && url.host.back() == ']') {
    url.host = url.host.substr(1, url.host.size() - 2);
  }
  if (url.host.empty() || url.port.empty()) {
    return Fail(ErrorCode::kInvalid, "not an HTTP address", std::string(text));
  }
  return url;
}

bool HttpUrl::IsLoopback() const { return IsLoopbackHost(host); }

Result<HttpAnswer> HttpCall(const HttpUrl& url, const HttpRequest& request, const HttpSink& sink,
                            std::stop_token stop, const HttpLimits& limits) {
  try {
    return CallUnguarded(url, request, sink, std::move(stop), limits);
  } catch (const std::exception& exception) {
    return Fail(ErrorCode::kInternal, exception.what(), url.host + ":" + url.port);
  }
}

}  // namespace tutti::agent
