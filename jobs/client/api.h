// The native HTTP API (docs/formats/http-api.md) as a client calls it: JSON in and out, the API's
// errors as ours, one place that knows where the coordinator is. One thread at a time per object.
#pragma once

#include <memory>
#include <nlohmann/json_fwd.hpp>
#include <string>
#include <vector>

#include "common/base/result.h"
#include "common/httpclient/http.h"
#include "jobs/client/endpoint.h"

namespace tutti::client {

// What one request got wrong: never empty.
using Errors = std::vector<Error>;
template <typename T>
using Answer = tl::expected<T, Errors>;
inline tl::unexpected<Errors> Fails(Error error) {
  return tl::unexpected<Errors>(Errors{std::move(error)});
}

// The errors of an answer whose status is no success: those its body lists, else one made of the
// status.
Errors ErrorsOf(const httpclient::Response& response, std::string_view what);
// An `{"error": {…}}` (or the object inside) as an Error.
Error ErrorOf(const nlohmann::json& json);

struct CallOptions {
  Duration timeout = std::chrono::seconds(30);
  Duration retry_for = Duration::zero();  // try again that long while nobody answers, or with 503
  std::string idempotency_key{};
};

class Client {
 public:
  Client(EndpointOptions options, Environment env);
  ~Client();
  Client(const Client&) = delete;
  Client& operator=(const Client&) = delete;

  Answer<nlohmann::json> Get(const std::string& target, CallOptions options = {});
  Answer<nlohmann::json> Post(const std::string& target, const nlohmann::json& body,
                              CallOptions options = {});
  // Any request with the token added; the caller judges the status.
  Result<httpclient::Response> Send(httpclient::Request request,
                                    Duration retry_for = Duration::zero());
  Result<std::unique_ptr<httpclient::Incoming>> Open(httpclient::Request request);

  // Found once and kept; Forget makes the next call look again (the file may name another now).
  Result<Endpoint> endpoint();
  void Forget() { found_.reset(); }
  // Whether something keeps the coordinator alive, so that waiting for its return makes sense.
  bool MayReturn() const;

 private:
  EndpointOptions options_;
  Environment env_;
  std::unique_ptr<Endpoint> found_;
};

// "/api/v1/jobs/{job}" + suffix, the name encoded.
std::string JobTarget(std::string_view job, std::string_view suffix = "");
std::string ModelTarget(std::string_view model, std::string_view suffix = "");

// Waits, or less when interrupted.
void Pause(Duration duration);

// 100 ms, 200 ms, … `max`.
class Backoff {
 public:
  explicit Backoff(Duration max = std::chrono::seconds(2)) : max_(max) {}
  Duration Next();
  void Reset() { next_ = kFirst; }

 private:
  static constexpr Duration kFirst = std::chrono::milliseconds(100);
  Duration max_;
  Duration next_ = kFirst;
};

}  // namespace tutti::client
