// One HTTP or HTTPS request and its answer, for blobs: bodies go from and to files, and nothing
// waits without a deadline. Blocking: for threads off the loop. Free functions, any thread.
#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <map>
#include <optional>
#include <span>
#include <stop_token>
#include <string>
#include <string_view>

#include "common/base/result.h"
#include "common/base/time.h"

namespace tutti::agent {

struct HttpUrl {
  std::string host;
  std::string port;
  bool tls = false;
  std::string pin =
      {};  // of the server's certificate; "": one that the system's authorities signed

  // "http://127.0.0.1:7717", "https://tutti.example:7717".
  static Result<HttpUrl> Parse(std::string_view text);
  bool IsLoopback() const;
};

struct HttpRequest {
  std::string method;
  std::string target;  // "/api/v1/blobs/sha256:…"
  std::map<std::string, std::string> headers;
  std::filesystem::path body_file;  // empty: `body`
  std::string body = {};            // JSON; empty: none
  int sink_status = 200;            // the answer whose body goes to the sink
};

struct HttpAnswer {
  int status = 0;
  std::uint64_t content_length = 0;
  std::string body;  // of an answer that no sink took, at most kAnswerMax
};
inline constexpr std::size_t kAnswerMax = std::size_t{1} << 20;

// Takes a piece of the body; an error ends the call with it.
using HttpSink = std::function<Status(std::span<const std::byte>)>;

struct HttpLimits {
  Duration connect = std::chrono::seconds(5);
  Duration silence = std::chrono::seconds(30);  // neither a byte in nor out
};

// The body of an answer with `request.sink_status` goes to `sink` when there is one, any other into
// HttpAnswer::body.
// kAuth: the server's certificate is not the one that is expected.
// kUnavailable: no connection, or it broke; kTimeout: silence, or `stop` was asked for.
Result<HttpAnswer> HttpCall(const HttpUrl& url, const HttpRequest& request, const HttpSink& sink,
                            std::stop_token stop, const HttpLimits& limits = {});

}  // namespace tutti::agent
