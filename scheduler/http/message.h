// What a handler sees: a Request with its body read whole (or spooled to a file), and the Response
// it gives. Plain values, owned by whoever holds them; no thread rule. No sockets in here.
#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <memory>
#include <nlohmann/json_fwd.hpp>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <variant>
#include <vector>

#include "common/base/result.h"
#include "common/base/time.h"
#include "common/base/units.h"
#include "common/digest/sha256.h"
#include "common/file/file.h"
#include "scheduler/http/access.h"

namespace tutti::http {

enum class Method : std::uint8_t { kGet, kHead, kPost, kPut, kPatch, kDelete };
std::string_view ToString(Method method);  // "GET"
std::optional<Method> ParseMethod(std::string_view text);

// Names and values in the order they came. Header names are in lower case.
using Fields = std::vector<std::pair<std::string, std::string>>;
// The first value of that name.
std::optional<std::string_view> Find(const Fields& fields, std::string_view name);

// An uploaded body on disk, digested while it arrived. The file goes with the object, unless it was
// renamed or Release()d before.
class SpooledFile {
 public:
  SpooledFile(std::filesystem::path path, Bytes size, Digest digest)
      : path_(std::move(path)), size_(size), digest_(digest) {}
  SpooledFile(SpooledFile&& other) noexcept;
  SpooledFile& operator=(SpooledFile&& other) noexcept;
  ~SpooledFile();

  const std::filesystem::path& path() const { return path_; }
  Bytes size() const { return size_; }
  const Digest& digest() const { return digest_; }
  std::filesystem::path Release() { return std::exchange(path_, {}); }

 private:
  std::filesystem::path path_;
  Bytes size_;
  Digest digest_;
};

struct Request {
  std::string id;          // what x-request-id will say
  Method method{};         //
  std::string path;        // as sent, still percent-encoded, without the query
  std::string_view route;  // the route's template; lives as long as the Router
  Fields params;           // path parameters, decoded
  Fields query;            // decoded
  Fields headers;          //
  std::string body;        // Body::kJson: valid UTF-8 JSON; kText: any; empty when spooled
  std::shared_ptr<const nlohmann::json> json;  // Body::kJson; null when no body came
  std::optional<SpooledFile> file;             // Body::kFile
  std::string peer;                            // "127.0.0.1"
  bool loopback = false;                       // the peer is this machine
  Caller caller;                               // whose token it was

  // TUTTI_CHECKs that the route's template has it.
  const std::string& Param(std::string_view name) const;
  std::optional<std::string_view> Query(std::string_view name) const { return Find(query, name); }
  std::optional<std::string_view> Header(std::string_view lower_case_name) const {
    return Find(headers, lower_case_name);
  }
  // A whole number of the query, `missing` when it isn't there. kInvalid when it is no number.
  Result<std::uint64_t> QueryNumber(std::string_view name, std::uint64_t missing) const;
  // "true" and "1", "false" and "0"; false when it isn't there. kInvalid for anything else.
  Result<bool> QueryFlag(std::string_view name) const;
};

// A file to answer with. The server sends the ranges a client asks for, and honours If-None-Match.
struct FileBody {
  UniqueFd fd;
  Bytes size;
  std::string etag = {};  // with its quotes; empty for none
};

// One piece of a stream. Call it exactly once a pull, on any thread, at once or later. An empty
// piece that is not the last only says "pull again".
using PieceSink = std::function<void(std::string piece, bool last)>;
// Asked for a piece whenever the client took the one before (back-pressure). It is destroyed, on an
// I/O thread, when the stream ended or the client went away: that is how a producer learns it.
using PullPiece = std::function<void(PieceSink sink)>;

struct StreamBody {
  PullPiece pull = nullptr;
  std::string heartbeat = {};  // sent when no piece came for so long; may be ""
  std::chrono::milliseconds heartbeat_every{15'000};
};

struct Response {
  int status = 200;
  Fields headers =
      {};  // content-type and what else; length, date, x-request-id come from the server
  std::variant<std::string, FileBody, StreamBody> body = {};

  Response&& With(std::string name, std::string value) && {
    headers.emplace_back(std::move(name), std::move(value));
    return std::move(*this);
  }
};

std::string_view StatusText(int status);
int StatusOf(ErrorCode code);  // common/base/result.h says which

Response Text(int status, std::string text, std::string content_type = "text/plain; charset=utf-8");
// Writes strings that are no UTF-8 with replacement characters.
Response Json(int status, const nlohmann::json& value);
// `{"error": {"code", "message", "where", "hint"}}`, absent where empty.
Response ErrorResponse(const Error& error);
Response ErrorResponse(int status, const Error& error);
// Several errors of one request: the first, with all in "errors". REQUIRES: not empty.
Response ErrorResponse(const std::vector<Error>& errors);
// A file as it is. kNotFound and kIo become error answers.
Response File(const std::filesystem::path& path, std::string content_type, std::string etag = {});

}  // namespace tutti::http
