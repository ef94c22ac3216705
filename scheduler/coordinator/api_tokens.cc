// Tokens of people: made, listed, revoked. For admins.
#include <algorithm>
#include <nlohmann/json.hpp>
#include <utility>

#include "scheduler/coordinator/answers.h"
#include "scheduler/coordinator/json_null.h"
#include "scheduler/coordinator/tokens.h"

namespace tutti::coordinator {
namespace {

using nlohmann::json;

constexpr std::int64_t kLifetimeMaxMs = std::int64_t{3650} * 24 * 3600 * 1000;

constexpr const char* kTokenSchema = R"({
  "type": "object", "required": ["id", "scope", "name", "user", "created_at", "expired"],
  "properties": {
    "id": {"type": "string", "pattern": "^t-[0-9a-f]{10}$"},
    "token": {"type": "string", "description": "the secret: in the answer that makes it alone"},
    "scope": {"enum": ["viewer", "submitter", "admin"]},
    "name": {"type": "string"},
    "user": {"type": "string"},
    "created_at": {"type": "string", "format": "date-time"},
    "expires_at": {"type": ["string", "null"], "format": "date-time"},
    "last_used_at": {"type": ["string", "null"], "format": "date-time"},
    "expired": {"type": "boolean"}
  }})";
constexpr const char* kCreateSchema = R"({
  "type": "object", "properties": {
    "scope": {"enum": ["viewer", "submitter", "admin"], "default": "viewer"},
    "name": {"type": "string", "maxLength": 63},
    "user": {"type": "string", "maxLength": 63, "description": "default: the caller's"},
    "lifetime_ms": {"type": "integer", "minimum": 1, "description": "none: until it is revoked"}},
  "additionalProperties": false})";
constexpr const char* kTokenRef = R"({"$ref": "#/components/schemas/Token"})";

json TokenJson(const store::StoredToken& row) {
  const auto text = [](const std::optional<WallTime>& time) {
    return time ? json(time->ToRfc3339()) : json();
  };
  return {{"id", row.id},
          {"scope", row.scope},
          {"name", row.name},
          {"user", row.user},
          {"created_at", row.created.ToRfc3339()},
          {"expires_at", text(row.expires)},
          {"last_used_at", text(row.last_used)},
          {"expired", row.expires && *row.expires <= WallNow()}};
}

Result<TokenRequest> RequestOf(const json& body, const http::Caller& caller) {
  TUTTI_RETURN_IF_ERROR(CheckKeys(body, {"scope", "name", "user", "lifetime_ms"}));
  TokenRequest request;
  TUTTI_ASSIGN_OR_RETURN(const std::string scope, WordIn(body, "scope", "viewer"));
  const auto parsed = http::ParseScope(scope);
  if (!parsed) {
    return Fail(ErrorCode::kInvalid, "'" + scope + "' is no scope", "#/scope",
                "viewer, submitter or admin");
  }
  request.scope = *parsed;
  TUTTI_ASSIGN_OR_RETURN(request.user, WordIn(body, "user", caller.user));
  TUTTI_ASSIGN_OR_RETURN(request.name, WordIn(body, "name", ""));
  if (body.contains("lifetime_ms")) {
    TUTTI_ASSIGN_OR_RETURN(const std::int64_t ms,
                           NumberIn(body, "lifetime_ms", 1, kLifetimeMaxMs, std::nullopt));
    request.lifetime = std::chrono::milliseconds(ms);
  }
  return request;
}

void CreateToken(Api& api, const http::Request& request, const http::Responder& responder) {
  auto wanted = RequestOf(BodyOf(request), request.caller);
  if (!wanted) {
    responder.Send(wanted.error());
    return;
  }
  AnswerRead(
      api, responder,
      [&api, wanted = *std::move(wanted)](const View& view) {
        return api.tokens.Create(view, wanted);
      },
      [](const MadeToken& made) {
        json body = TokenJson(made.row);
        body["token"] = made.token;
        return http::Json(201, body);
      });
}

}  // namespace

void RegisterTokenRoutes(http::Router& router, Api& api) {
  router.AddSchema("Token", kTokenSchema);
  router.Add({.path = "/api/v1/tokens",
              .summary = "Tokens, oldest first; the one in the data directory's file is not among "
                         "them",
              .response_schema = R"({"type": "object", "required": ["data"], "properties": {
                "data": {"type": "array", "items": {"$ref": "#/components/schemas/Token"}}}})",
              .access = http::Access::kAdmin,
              .handler = [&api](const http::Request&, const http::Responder& responder) {
                AnswerRead(
                    api, responder, [&api](const View& view) { return api.tokens.List(view); },
                    [](const std::vector<store::StoredToken>& rows) {
                      return DataAnswer(rows, TokenJson);
                    });
              }});
  router.Add({.method = http::Method::kPost,
              .path = "/api/v1/tokens",
              .summary = "Makes a token; this answer alone shows it",
              .request_schema = kCreateSchema,
              .response_schema = kTokenRef,
              .status = 201,
              .access = http::Access::kAdmin,
              .body = http::Body::kJson,
              .handler = [&api](const http::Request& request, const http::Responder& responder) {
                CreateToken(api, request, responder);
              }});
  router.Add({.method = http::Method::kPost,
              .path = "/api/v1/tokens/{token}/revoke",
              .summary = "Ends a token at once, by its id or its name",
              .response_schema = kTokenRef,
              .access = http::Access::kAdmin,
              .handler = [&api](const http::Request& request, const http::Responder& responder) {
                AnswerRead(
                    api, responder,
                    [&api, text = request.Param("token")](const View& view) {
                      return api.tokens.Revoke(view, text);
                    },
                    [](const store::StoredToken& row) { return http::Json(200, TokenJson(row)); });
              }});
}

}  // namespace tutti::coordinator
