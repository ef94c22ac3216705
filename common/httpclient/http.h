// An HTTP/1.1 client in plain calls, over TLS or not: every one has a deadline, and ends early when
// a descriptor says so. One connection a request. Blocking; one thread at a time per object.
#pragma once

#include <filesystem>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "common/base/result.h"
#include "common/base/time.h"
#include "common/base/units.h"
#include "common/tls/trust.h"

namespace tutti::httpclient {

struct Url {
  std::string host;    // "127.0.0.1", "::1"
  std::string port;    // "7717"
  std::string prefix;  // "" or "/below", no slash at the end
  bool tls = false;
  tls::Trust trust = {};  // whom to believe, when tls

  std::string ToString() const;  // "http://127.0.0.1:7717"
};
// "http://HOST[:PORT][/path]" or https. kInvalid for anything else.
Result<Url> ParseUrl(std::string_view text);
// Whether the host is this machine by its name or address: 127.*, ::1, localhost.
bool IsLoopback(const Url& url);
// Percent-encodes all but unreserved characters, '/' too: for one segment of a path.
std::string EncodeSegment(std::string_view text);

struct Request {
  std::string method = "GET";
  std::string target{};  // "/api/v1/jobs?all=1"
  std::string
      address{};  // numeric: connect there, to what the caller resolved; "" = the url's host
  std::vector<std::pair<std::string, std::string>> headers{};
  std::string body{};
  std::filesystem::path body_file{};  // sent in place of `body` when not empty
  // From the start to the head of the answer; while a file is being sent, from its last piece.
  Duration timeout = std::chrono::seconds(30);
  Duration connect_timeout = std::chrono::seconds(5);  // of each of the host's addresses
  int stop_fd = -1;  // readable: give up (kUnavailable, "interrupted"); -1: nobody asks
};

struct Response {
  int status = 0;
  std::string body;
  std::vector<std::pair<std::string, std::string>> headers;  // names in lower case

  std::string Header(std::string_view lower_case_name) const;  // "" when absent
};

// An answer whose body is read piece by piece: a stream, or a large file.
class Incoming {
 public:
  virtual ~Incoming() = default;
  virtual const Response& head() const = 0;  // without body
  // The next piece; empty at the end. kTimeout when none came in `patience`: asking again is fine.
  virtual Result<std::string> Read(Duration patience) = 0;
  // The rest of the body, `max` bytes at most.
  Result<std::string> ReadAll(Duration timeout, Bytes max);
};

// Sends the request and reads the head of the answer, whatever its status. kUnavailable when nobody
// answers there, kTimeout when too late, kAuth when the server's certificate is not believed.
Result<std::unique_ptr<Incoming>> Open(const Url& url, const Request& request);
// The whole answer, of 64 MiB at most; its body may take `timeout` once more.
Result<Response> Send(const Url& url, const Request& request);

}  // namespace tutti::httpclient
