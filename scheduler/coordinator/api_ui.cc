// The dashboard: its files below /ui/, and how a browser signs in.
#include <cstddef>
#include <nlohmann/json.hpp>
#include <string>
#include <utility>
#include <vector>

#include "common/digest/sha256.h"
#include "monitoring/dashboard/dashboard.h"
#include "scheduler/coordinator/answers.h"
#include "scheduler/http/sessions.h"

namespace tutti::coordinator {
namespace {

using nlohmann::json;

// No script, style or picture but our own, nobody's frame, no address told to others.
constexpr const char* kPolicy =
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; "
    "connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

http::Response&& Guarded(http::Response&& response) {
  response.headers.emplace_back("content-security-policy", kPolicy);
  response.headers.emplace_back("referrer-policy", "no-referrer");
  response.headers.emplace_back("cross-origin-opener-policy", "same-origin");
  return std::move(response);
}

http::Response SeeOther(std::string where) {
  return Guarded(http::Response{.status = 303, .headers = {{"location", std::move(where)}}});
}

bool TakesGzip(const http::Request& request) {
  const auto accepted = request.Header("accept-encoding");
  return accepted && accepted->find("gzip") != std::string_view::npos;
}

// Of each of dashboard::Assets(), which never change.
const std::string& EtagOf(const dashboard::Asset& asset) {
  static const std::vector<std::string> kTags = [] {
    std::vector<std::string> tags;
    for (const dashboard::Asset& each : dashboard::Assets()) {
      tags.push_back('"' + Sha256Of(each.gzip).ToHex().substr(0, 32) + '"');
    }
    return tags;
  }();
  return kTags[static_cast<std::size_t>(&asset - dashboard::Assets().data())];
}

// Paths that are no file are places inside the page.
http::Response Page(const http::Request& request) {
  const std::string& path = request.Param("path");
  const dashboard::Asset* asset = dashboard::Find(path);
  if (asset == nullptr) asset = dashboard::Find("index.html");
  const std::string& etag = EtagOf(*asset);
  http::Response answer{.headers = {{"content-type", std::string(asset->content_type)},
                                    {"cache-control", "no-cache"},
                                    {"vary", "accept-encoding"},
                                    {"etag", etag}}};
  const auto known = request.Header("if-none-match");
  if (known && known->find(etag) != std::string_view::npos) {
    answer.status = 304;
  } else if (TakesGzip(request)) {
    answer.headers.emplace_back("content-encoding", "gzip");
    answer.body = std::string(asset->gzip);
  } else {
    answer.body = dashboard::Plain(*asset);
  }
  return Guarded(std::move(answer));
}

http::Response MakeTicket(const Api& api, const http::Request& request) {
  const WallTime now = WallNow();
  const auto ticket = api.sessions.MakeTicket(request.caller.token, now);
  if (!ticket) return http::ErrorResponse(ticket.error());
  const std::int64_t life_ms = std::chrono::milliseconds(http::Sessions::kTicketLife).count();
  return http::Json(201, {{"path", "/ui/login?ticket=" + *ticket},
                          {"expires_at", WallTime{now.unix_ms + life_ms}.ToRfc3339()}});
}

http::Response LogIn(const Api& api, const http::Request& request) {
  const WallTime now = WallNow();
  const auto token = api.sessions.Redeem(request.Query("ticket").value_or(""), now);
  if (!token) return SeeOther("/ui/?ticket=used");
  return SeeOther("/ui/").With("set-cookie",
                               api.sessions.StartCookie(request.headers, *token, now));
}

json SessionJson(const http::Request& request) {
  return {{"user", request.caller.user}, {"scope", http::ToString(request.caller.scope)}};
}

constexpr const char* kTicketSchema = R"({"type": "object", "required": ["path", "expires_at"],
  "properties": {
  "path": {"type": "string", "description": "of this server: for one use within a minute"},
  "expires_at": {"type": "string", "format": "date-time"}}})";
constexpr const char* kSessionSchema = R"({"type": "object", "required": ["user", "scope"],
  "properties": {"user": {"type": "string"},
  "scope": {"enum": ["viewer", "submitter", "admin"]}}})";
constexpr const char* kSessionPath = "/api/v1/ui/session";

void RegisterPageRoutes(http::Router& router, Api& api) {
  for (const char* path : {"/", "/ui"}) {
    router.Add({.path = path,
                .summary = "To the dashboard",
                .response_type = "text/html",
                .status = 303,
                .access = http::Access::kOpen,
                .handler = [](const http::Request&, const http::Responder& responder) {
                  responder.Send(SeeOther("/ui/"));
                }});
  }
  router.Add({.path = "/ui/{path...}",
              .summary = "The dashboard",
              .response_type = "text/html",
              .access = http::Access::kOpen,
              .handler = [](const http::Request& request, const http::Responder& responder) {
                responder.Send(Page(request));
              }});
  router.Add({.path = "/ui/login",
              .summary = "Changes a ticket for a session's cookie",
              .response_type = "text/html",
              .query = {"ticket"},
              .status = 303,
              .access = http::Access::kOpen,
              .handler = [&api](const http::Request& request, const http::Responder& responder) {
                responder.Send(LogIn(api, request));
              }});
}

}  // namespace

void RegisterUiRoutes(http::Router& router, Api& api) {
  RegisterPageRoutes(router, api);
  router.Add({.method = http::Method::kPost,
              .path = "/api/v1/ui/tickets",
              .summary = "Makes an address that opens the dashboard with the caller's rights, once",
              .response_schema = kTicketSchema,
              .status = 201,
              .access = http::Access::kViewer,
              .handler = [&api](const http::Request& request, const http::Responder& responder) {
                responder.Send(MakeTicket(api, request));
              }});
  router.Add({.path = kSessionPath,
              .summary = "Who is asking",
              .response_schema = kSessionSchema,
              .access = http::Access::kViewer,
              .handler = [](const http::Request& request, const http::Responder& responder) {
                responder.Send(http::Json(200, SessionJson(request)));
              }});
  router.Add({.method = http::Method::kPost,
              .path = kSessionPath,
              .summary = "Starts a browser's session for the caller's token",
              .response_schema = kSessionSchema,
              .access = http::Access::kViewer,
              .handler = [&api](const http::Request& request, const http::Responder& responder) {
                responder.Send(
                    http::Json(200, SessionJson(request))
                        .With("set-cookie", api.sessions.StartCookie(
                                                request.headers, request.caller.token, WallNow())));
              }});
  router.Add({.method = http::Method::kDelete,
              .path = kSessionPath,
              .summary = "Ends the browser's session",
              .response_schema = R"({"type": "object"})",
              .access = http::Access::kOpen,
              .handler = [&api](const http::Request& request, const http::Responder& responder) {
                responder.Send(http::Json(200, json::object())
                                   .With("set-cookie", api.sessions.EndCookie(request.headers)));
              }});
}

}  // namespace tutti::coordinator
