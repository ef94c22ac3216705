// Letting workers of other machines in, and out.
#include <nlohmann/json.hpp>
#include <utility>

#include "common/base/check.h"
#include "common/base/log.h"
#include "common/join/join_string.h"
#include "common/version/version.h"
#include "common/wire/protocol.h"
#include "scheduler/coordinator/answers.h"

namespace tutti::coordinator {
namespace {

using internal::Concat;
using nlohmann::json;

constexpr std::int64_t kDayMs = std::int64_t{24} * 3600 * 1000;
constexpr std::int64_t kJoinLifetimeMaxMs = 365 * kDayMs;
constexpr std::size_t kJoinTextMax = 256;

constexpr const char* kTokenRequest = R"({"type": "object", "properties": {
  "lifetime_ms": {"type": "integer", "minimum": 1, "description": "default: a day"},
  "name": {"type": "string", "description": "the worker has to have; default: any"}},
  "additionalProperties": false})";
constexpr const char* kTokenAnswer = R"({"type": "object", "required": ["join", "expires_at"],
  "properties": {
    "join": {"type": "string", "description": "for tutti worker --join; it works once"},
    "expires_at": {"type": "string", "format": "date-time"},
    "name": {"type": ["string", "null"]},
    "http": {"type": "string"}, "zmq": {"type": "string"}}})";
constexpr const char* kEnrollRequest = R"({"type": "object",
  "required": ["secret", "name", "public_key", "protocol", "version"], "properties": {
    "secret": {"type": "string"}, "name": {"type": "string"},
    "public_key": {"type": "string", "description": "CURVE, Z85"},
    "protocol": {"type": "integer"}, "version": {"type": "string"}},
  "additionalProperties": false})";
constexpr const char* kEnrollAnswer = R"({"type": "object", "properties": {
  "name": {"type": "string"}}})";

Result<std::string> TextIn(const json& body, const char* name) {
  const auto found = body.find(name);
  const std::string* text = found == body.end() ? nullptr : found->get_ptr<const std::string*>();
  if (text != nullptr && !text->empty() && text->size() <= kJoinTextMax) return *text;
  return Fail(ErrorCode::kInvalid, "a text is required", name);
}

void SendError(const http::Responder& responder, const Error& error) {
  // The caller has no token to be wrong: what it may not do is refused.
  if (error.code == ErrorCode::kAuth) {
    responder.Send(http::ErrorResponse(403, error));
  } else {
    responder.Send(error);
  }
}

void MakeToken(Api& api, const http::Request& request, const http::Responder& responder) {
  const json& body = BodyOf(request);
  Status valid = CheckKeys(body, {"lifetime_ms", "name"});
  const auto lifetime = NumberIn(body, "lifetime_ms", 1, kJoinLifetimeMaxMs, kDayMs);
  if (valid && !lifetime) valid = Fail(lifetime.error());
  std::string name;
  if (valid && body.contains("name")) {
    auto text = TextIn(body, "name");
    if (text) name = std::move(*text);
    if (!text) valid = Fail(text.error());
  }
  if (!valid) {
    responder.Send(valid.error());
    return;
  }
  DoOrRefuse(api, responder, [&api, responder, name, ms = *lifetime](Round&) {
    JoinString join = api.workers.JoinTarget();
    if (join.http.empty()) {
      responder.Send(
          Error{ErrorCode::kUnavailable, "the coordinator is starting", {}, "try again"});
      return;
    }
    const auto made = api.enrollments.Make(std::chrono::milliseconds(ms), name, WallNow());
    if (!made) {
      responder.Send(made.error());
      return;
    }
    join.secret = made->secret;
    join.name = name;
    responder.Send(http::Json(201, {{"join", FormatJoin(join)},
                                    {"expires_at", made->expires.ToRfc3339()},
                                    {"name", name.empty() ? json() : json(name)},
                                    {"http", join.http},
                                    {"zmq", join.zmq}}));
  });
}

Result<JoinClaim> ClaimIn(const json& body) {
  TUTTI_RETURN_IF_ERROR(CheckKeys(body, {"secret", "name", "public_key", "protocol", "version"}));
  TUTTI_ASSIGN_OR_RETURN(const std::string version, TextIn(body, "version"));
  TUTTI_ASSIGN_OR_RETURN(const std::int64_t protocol,
                         NumberIn(body, "protocol", 0, 1 << 30, std::nullopt));
  if (protocol != wire::kProtocol) {
    return Fail(
        ErrorCode::kConflict,
        Concat("this worker is Tutti ", version, " and speaks protocol ", protocol,
               "; the coordinator is Tutti ", Version(), " and speaks protocol ", wire::kProtocol),
        "version", "install the same version on both machines");
  }
  JoinClaim claim;
  TUTTI_ASSIGN_OR_RETURN(claim.secret, TextIn(body, "secret"));
  TUTTI_ASSIGN_OR_RETURN(claim.name, TextIn(body, "name"));
  TUTTI_ASSIGN_OR_RETURN(claim.public_key, TextIn(body, "public_key"));
  return claim;
}

void Enroll(Api& api, const http::Request& request, const http::Responder& responder) {
  const auto claim = ClaimIn(BodyOf(request));
  if (!claim) {
    SendError(responder, claim.error());
    return;
  }
  DoOrRefuse(api, responder, [&api, responder, claim = *claim, peer = request.peer](Round&) {
    const Status enrolled = api.enrollments.Enroll(claim, WallNow());
    if (!enrolled) {
      Log(kWarning, "enroll_refused",
          {{"worker", claim.name}, {"peer", peer}, {"error", enrolled.error().ToString()}});
      return SendError(responder, enrolled.error());
    }
    api.workers.Allow(claim.name);
    responder.Send(http::Json(200, {{"name", claim.name}}));
  });
}

void RemoveWorker(Api& api, const http::Request& request, const http::Responder& responder) {
  DoOrRefuse(api, responder, [&api, responder, name = request.Param("worker")](Round&) {
    const Status removed = api.enrollments.Remove(name);
    if (!removed) {
      responder.Send(removed.error());
      return;
    }
    api.workers.Revoke(name);
    responder.Send(http::Json(200, {{"name", name}}));
  });
}

}  // namespace

void RegisterJoinRoutes(http::Router& router, Api& api) {
  router.Add({.method = http::Method::kPost,
              .path = "/api/v1/worker-tokens",
              .summary = "A join string for a worker on another machine",
              .request_schema = kTokenRequest,
              .response_schema = kTokenAnswer,
              .status = 201,
              .access = http::Access::kAdmin,
              .body = http::Body::kJson,
              .handler = [&api](const http::Request& request, const http::Responder& responder) {
                MakeToken(api, request, responder);
              }});
  router.Add({.method = http::Method::kPost,
              .path = "/api/v1/workers/enroll",
              .summary = "A worker with a join string's secret asks to be let in",
              .request_schema = kEnrollRequest,
              .response_schema = kEnrollAnswer,
              .access = http::Access::kOpen,
              .body = http::Body::kJson,
              .handler = [&api](const http::Request& request, const http::Responder& responder) {
                Enroll(api, request, responder);
              }});
  router.Add({.method = http::Method::kPost,
              .path = "/api/v1/workers/{worker}/remove",
              .summary = "Takes a worker's key back: it stops, and may not connect any more",
              .response_schema = kEnrollAnswer,
              .access = http::Access::kAdmin,
              .handler = [&api](const http::Request& request, const http::Responder& responder) {
                RemoveWorker(api, request, responder);
              }});
}

}  // namespace tutti::coordinator
