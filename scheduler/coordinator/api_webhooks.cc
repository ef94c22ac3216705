// Webhooks of the cluster: made, listed, tried, deleted, for admins; and what a user's own jobs'
// webhooks are signed with.
#include <nlohmann/json.hpp>
#include <utility>

#include "scheduler/coordinator/answers.h"
#include "scheduler/coordinator/json_null.h"
#include "scheduler/coordinator/webhooks.h"

namespace tutti::coordinator {
namespace {

using nlohmann::json;

constexpr const char* kWebhookSchema = R"({
  "type": "object", "required": ["id", "name", "url", "on", "user", "created_at", "waiting"],
  "properties": {
    "id": {"type": "string", "pattern": "^h-[0-9a-f]{8}$"},
    "name": {"type": "string"},
    "url": {"type": "string"},
    "on": {"type": "array", "items": {"type": "string"}, "description": "states of jobs"},
    "user": {"type": "string", "description": "who made it"},
    "created_at": {"type": "string", "format": "date-time"},
    "secret": {"type": "string", "description": "what its messages are signed with"},
    "waiting": {"type": "integer", "description": "messages that it has not taken yet"},
    "given_up": {"type": "integer", "description": "messages, since the coordinator started"},
    "last": {"type": ["object", "null"], "description": "the newest try since the coordinator started",
      "properties": {
        "at": {"type": "string", "format": "date-time"}, "took_ms": {"type": "integer"},
        "status": {"type": ["integer", "null"], "description": "of the answer"},
        "error": {"type": ["string", "null"], "description": "null: it was taken"}}}
  }})";
constexpr const char* kCreateWebhook = R"({
  "type": "object", "required": ["url"], "properties": {
    "url": {"type": "string", "maxLength": 2048},
    "name": {"type": "string", "maxLength": 63},
    "on": {"type": "array", "items": {"type": "string"}, "minItems": 1,
           "description": "states of jobs; default: succeeded, failed, cancelled"}},
  "additionalProperties": false})";
constexpr const char* kWebhookRef = R"({"$ref": "#/components/schemas/Webhook"})";
constexpr const char* kTriedSchema = R"({"type": "object",
  "required": ["at", "took_ms", "status", "error"], "properties": {
    "at": {"type": "string", "format": "date-time"}, "took_ms": {"type": "integer"},
    "status": {"type": ["integer", "null"]}, "error": {"type": ["string", "null"]}}})";

json TriedJson(const webhooks::Tried& tried) {
  return {{"at", tried.at.ToRfc3339()},
          {"took_ms", std::chrono::duration_cast<std::chrono::milliseconds>(tried.took).count()},
          {"status", CountOrNull(tried.status)},
          {"error", TextOrNull(tried.error)}};
}

json WebhookJson(const WebhookView& webhook) {
  json on = json::array();
  for (const spec::JobState state : StatesOf(webhook.row)) on.push_back(spec::ToString(state));
  return {
      {"id", webhook.row.id},         {"name", webhook.row.name},
      {"url", webhook.row.url},       {"on", std::move(on)},
      {"user", webhook.row.user},     {"created_at", webhook.row.created.ToRfc3339()},
      {"secret", webhook.secret},     {"waiting", webhook.waiting},
      {"given_up", webhook.given_up}, {"last", webhook.last ? TriedJson(*webhook.last) : json()}};
}

Result<std::vector<spec::JobState>> StatesIn(const json& body) {
  const auto found = body.find("on");
  if (found == body.end()) {
    return std::vector{spec::JobState::kSucceeded, spec::JobState::kFailed,
                       spec::JobState::kCancelled};
  }
  if (!found->is_array() || found->empty() || found->size() > spec::JobStateNames().size()) {
    return Fail(ErrorCode::kInvalid, "must be a list of states of jobs", "#/on");
  }
  std::vector<spec::JobState> states;
  for (std::size_t i = 0; i < found->size(); ++i) {
    const auto* text = (*found)[i].get_ptr<const std::string*>();
    const auto state = text == nullptr ? std::nullopt : spec::ParseJobState(*text);
    if (!state) {
      std::string names;
      for (const std::string_view name : spec::JobStateNames()) {
        names += (names.empty() ? "" : ", ") + std::string(name);
      }
      return Fail(ErrorCode::kInvalid,
                  (text == nullptr ? "this" : "'" + *text + "'") + std::string(" is no state"),
                  "#/on/" + std::to_string(i), "some of " + names);
    }
    states.push_back(*state);
  }
  return states;
}

Result<WebhookRequest> WebhookIn(const json& body, const http::Caller& caller) {
  TUTTI_RETURN_IF_ERROR(CheckKeys(body, {"url", "name", "on"}));
  WebhookRequest request{.user = caller.user};
  const auto url = body.find("url");
  if (url == body.end() || !url->is_string()) {
    return Fail(ErrorCode::kInvalid, "an address is required", "#/url",
                "one like https://hooks.example.org/path");
  }
  request.url = url->get<std::string>();
  TUTTI_ASSIGN_OR_RETURN(request.name, WordIn(body, "name", ""));
  TUTTI_ASSIGN_OR_RETURN(request.on, StatesIn(body));
  return request;
}

void Create(Api& api, const http::Request& request, const http::Responder& responder) {
  auto wanted = WebhookIn(BodyOf(request), request.caller);
  if (!wanted) {
    responder.Send(wanted.error());
    return;
  }
  AnswerRead(
      api, responder,
      [&api, wanted = *std::move(wanted)](const View& view) {
        return api.webhooks.Create(view, wanted);
      },
      [](const WebhookView& made) { return http::Json(201, WebhookJson(made)); });
}

void Test(Api& api, const http::Request& request, const http::Responder& responder) {
  api.loop.Read([&api, responder, text = request.Param("webhook")](const Result<View>& view) {
    if (!view) {
      responder.Send(view.error());
      return;
    }
    const Status sent = api.webhooks.Test(text, [responder](const webhooks::Tried& tried) {
      responder.Send(http::Json(200, TriedJson(tried)));
    });
    if (!sent) responder.Send(sent.error());
  });
}

void AddReading(http::Router& router, Api& api) {
  router.Add(
      {.path = "/api/v1/webhooks",
       .summary = "Webhooks of the cluster, oldest first",
       .response_schema = R"({"type": "object", "required": ["data"], "properties": {
                "data": {"type": "array", "items": {"$ref": "#/components/schemas/Webhook"}}}})",
       .access = http::Access::kAdmin,
       .handler = [&api](const http::Request&, const http::Responder& responder) {
         AnswerRead(
             api, responder,
             [&api](const View&) -> Result<std::vector<WebhookView>> {
               return api.webhooks.List();
             },
             [](const std::vector<WebhookView>& all) { return DataAnswer(all, WebhookJson); });
       }});
  router.Add({.path = "/api/v1/webhooks/secret",
              .summary = "What the messages of your own jobs' webhooks are signed with",
              .response_schema = R"({"type": "object", "required": ["user", "secret"],
                "properties": {"user": {"type": "string"}, "secret": {"type": "string"}}})",
              .access = http::Access::kSubmitter,
              .handler = [&api](const http::Request& request, const http::Responder& responder) {
                const std::string& user = request.caller.user;
                responder.Send(
                    http::Json(200, {{"user", user}, {"secret", api.webhooks.SecretOfUser(user)}}));
              }});
}

}  // namespace

void RegisterWebhookRoutes(http::Router& router, Api& api) {
  router.AddSchema("Webhook", kWebhookSchema);
  AddReading(router, api);
  router.Add({.method = http::Method::kPost,
              .path = "/api/v1/webhooks",
              .summary = "Makes a webhook, told whenever a job comes into one of these states",
              .request_schema = kCreateWebhook,
              .response_schema = kWebhookRef,
              .status = 201,
              .access = http::Access::kAdmin,
              .body = http::Body::kJson,
              .handler = [&api](const http::Request& request, const http::Responder& responder) {
                Create(api, request, responder);
              }});
  router.Add({.method = http::Method::kDelete,
              .path = "/api/v1/webhooks/{webhook}",
              .summary = "Deletes a webhook, by its id or its name, with what waits for it",
              .response_schema = kWebhookRef,
              .access = http::Access::kAdmin,
              .handler = [&api](const http::Request& request, const http::Responder& responder) {
                AnswerRead(
                    api, responder,
                    [&api, text = request.Param("webhook")](const View& view) {
                      return api.webhooks.Remove(view, text);
                    },
                    [](const WebhookView& gone) { return http::Json(200, WebhookJson(gone)); });
              }});
  router.Add({.method = http::Method::kPost,
              .path = "/api/v1/webhooks/{webhook}/test",
              .summary = "Sends it one message now; the answer says how that went",
              .response_schema = kTriedSchema,
              .access = http::Access::kAdmin,
              .handler = [&api](const http::Request& request, const http::Responder& responder) {
                Test(api, request, responder);
              }});
}

}  // namespace tutti::coordinator
