#include "jobs/client/api.h"

#include <poll.h>

#include <algorithm>
#include <nlohmann/json.hpp>
#include <optional>

#include "jobs/client/interrupt.h"

namespace tutti::client {
namespace {

using nlohmann::json;

constexpr ErrorCode kCodes[] = {
    ErrorCode::kInvalid, ErrorCode::kUnsupported, ErrorCode::kNotFound, ErrorCode::kConflict,
    ErrorCode::kAuth,    ErrorCode::kQuota,       ErrorCode::kTooLarge, ErrorCode::kUnavailable,
    ErrorCode::kTimeout, ErrorCode::kDiskFull,    ErrorCode::kIo,       ErrorCode::kInternal,
};

ErrorCode CodeOfStatus(int status) {
  switch (status) {
    case 401:
    case 403:
      return ErrorCode::kAuth;
    case 404:
      return ErrorCode::kNotFound;
    case 409:
      return ErrorCode::kConflict;
    case 413:
      return ErrorCode::kTooLarge;
    case 429:
      return ErrorCode::kQuota;
    case 502:
    case 503:
      return ErrorCode::kUnavailable;
    case 408:
    case 504:
      return ErrorCode::kTimeout;
    case 507:
      return ErrorCode::kDiskFull;
    default:
      return status >= 500 ? ErrorCode::kInternal : ErrorCode::kInvalid;
  }
}

std::string Text(const json& object, const char* key) {
  const auto it = object.find(key);
  if (it == object.end() || it->is_null()) return {};
  return it->is_string() ? it->get<std::string>() : it->dump();
}

Answer<json> Parsed(const httpclient::Response& response, std::string_view what) {
  if (response.status < 200 || response.status > 299) {
    return tl::unexpected<Errors>(ErrorsOf(response, what));
  }
  json body = json::parse(response.body, nullptr, false);
  if (body.is_discarded()) {
    return Fails({ErrorCode::kInternal, "the answer is no JSON", std::string(what),
                  "is this a Tutti coordinator?"});
  }
  return body;
}

}  // namespace

Error ErrorOf(const json& value) {
  const json& error = value.is_object() && value.contains("error") && value["error"].is_object()
                          ? value["error"]
                          : value;
  if (!error.is_object())
    return {ErrorCode::kInternal, value.is_string() ? value.get<std::string>() : value.dump()};
  Error out{ErrorCode::kInternal, Text(error, "message"), Text(error, "where"),
            Text(error, "hint")};
  const std::string code = Text(error, "code");
  for (const ErrorCode known : kCodes) {
    if (ToString(known) == code) out.code = known;
  }
  return out;
}

Errors ErrorsOf(const httpclient::Response& response, std::string_view what) {
  const json body = json::parse(response.body, nullptr, false);
  Errors errors;
  if (body.is_object()) {
    if (const auto it = body.find("errors"); it != body.end() && it->is_array()) {
      for (const json& each : *it) errors.push_back(ErrorOf(each));
    }
    if (errors.empty() && body.contains("error")) errors.push_back(ErrorOf(body));
  }
  if (errors.empty()) {
    errors.push_back({CodeOfStatus(response.status),
                      "the coordinator answered " + std::to_string(response.status),
                      std::string(what)});
  }
  for (Error& error : errors) {
    if (error.code == ErrorCode::kAuth && error.hint.empty()) {
      error.hint = "set TUTTI_TOKEN to a token of this cluster";
    }
  }
  return errors;
}

Client::Client(EndpointOptions options, Environment env)
    : options_(std::move(options)), env_(std::move(env)) {}
Client::~Client() = default;

Result<Endpoint> Client::endpoint() {
  if (found_ == nullptr) {
    TUTTI_ASSIGN_OR_RETURN(Endpoint found, FindEndpoint(options_, env_));
    found_ = std::make_unique<Endpoint>(std::move(found));
  }
  return *found_;
}

bool Client::MayReturn() const {
  if (!options_.url.empty() || env_("TUTTI_URL")) return true;
  const auto data_dir = DataDirOf(options_, env_);
  return data_dir && SupervisorOf(*data_dir).has_value();
}

Result<std::unique_ptr<httpclient::Incoming>> Client::Open(httpclient::Request request) {
  TUTTI_ASSIGN_OR_RETURN(const Endpoint at, endpoint());
  if (!at.token.empty()) request.headers.emplace_back("Authorization", "Bearer " + at.token);
  request.stop_fd = InterruptFd();
  auto incoming = httpclient::Open(at.url, request);
  if (!incoming) {
    Forget();
    Error error = incoming.error();
    if (error.code == ErrorCode::kUnavailable && error.hint.empty() && !Interrupted()) {
      error.hint = MayReturn() ? "is the coordinator up? `tutti doctor` looks"
                               : "its cluster is gone: `tutti up --detach` starts it again";
    }
    return Fail(std::move(error));
  }
  return incoming;
}

Result<httpclient::Response> Client::Send(httpclient::Request request, Duration retry_for) {
  const Instant until = MonotonicNow() + retry_for;
  Backoff backoff;
  for (;;) {
    const auto once = [&]() -> Result<httpclient::Response> {
      TUTTI_ASSIGN_OR_RETURN(const std::unique_ptr<httpclient::Incoming> incoming, Open(request));
      httpclient::Response response = incoming->head();
      TUTTI_ASSIGN_OR_RETURN(response.body, incoming->ReadAll(request.timeout, Bytes{64 << 20}));
      return response;
    };
    Result<httpclient::Response> response = once();
    const bool again =
        response ? response->status == 503 : response.error().code == ErrorCode::kUnavailable;
    const Duration pause = backoff.Next();
    if (!again || Interrupted() || MonotonicNow() + pause > until) return response;
    Forget();
    Pause(pause);
  }
}

Answer<json> Client::Get(const std::string& target, CallOptions options) {
  const auto response =
      Send({.method = "GET", .target = target, .timeout = options.timeout}, options.retry_for);
  if (!response) return Fails(response.error());
  return Parsed(*response, target);
}

Answer<json> Client::Post(const std::string& target, const json& body, CallOptions options) {
  httpclient::Request request{.method = "POST",
                              .target = target,
                              .headers = {{"Content-Type", "application/json"}},
                              .body = body.dump(),
                              .timeout = options.timeout};
  if (!options.idempotency_key.empty()) {
    request.headers.emplace_back("Idempotency-Key", options.idempotency_key);
  }
  const auto response = Send(std::move(request), options.retry_for);
  if (!response) return Fails(response.error());
  return Parsed(*response, target);
}

std::string JobTarget(std::string_view job, std::string_view suffix) {
  return "/api/v1/jobs/" + httpclient::EncodeSegment(job) + std::string(suffix);
}

std::string ModelTarget(std::string_view model, std::string_view suffix) {
  return "/api/v1/models/" + httpclient::EncodeSegment(model) + std::string(suffix);
}

void Pause(Duration duration) {
  const auto ms = std::chrono::ceil<std::chrono::milliseconds>(duration).count();
  pollfd fd{InterruptFd(), POLLIN, 0};
  ::poll(&fd, 1, static_cast<int>(std::clamp<long>(ms, 0, 60'000)));
}

Duration Backoff::Next() {
  const Duration now = std::min(next_, max_);
  next_ = std::min(next_ * 2, max_);
  return now;
}

}  // namespace tutti::client
