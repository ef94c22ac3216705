// A job's checkpoints as they lie on a worker's machine: looked at, verified, collected by an
// engine tool there, never on the loop's thread.
#include <nlohmann/json.hpp>
#include <utility>

#include "scheduler/coordinator/answers.h"

namespace tutti::coordinator {
namespace {

using nlohmann::json;

constexpr Duration kListDeadline = std::chrono::minutes(1);
constexpr Duration kBytesDeadline = std::chrono::minutes(30);  // reading every byte of all of them
constexpr std::int64_t kStepMax = std::int64_t{1} << 53;
constexpr std::int64_t kKeepMax = 1'000'000;

// The tool's answer, with what the ledger knows of the job.
using Shape = std::function<json(const core::Job&, json answer)>;

ToolCall CallOn(const core::Job& job, const std::string& action, json request) {
  request["action"] = action;
  request["job"] = job.id.ToString();
  const bool finished = core::IsFinished(job);
  request["may_resume"] = !finished;
  // A later attempt may begin while the tool runs: only what earlier ones left is nobody's.
  request["attempt"] = Number(job.attempt) + (core::ActiveGang(job) == nullptr ? 1 : 0);
  if (!finished && !job.checkpoints.empty()) {
    const core::CheckpointRecord& newest = job.checkpoints.back();
    request["newest"] = {{"step", newest.step},
                         {"attempt", Number(newest.attempt)},
                         {"state_digest", newest.state_digest}};
  }
  return {.tool = "checkpoints",
          .request = std::move(request),
          .files = {},
          .deadline = action == "list" ? kListDeadline : kBytesDeadline};
}

// A connected worker that sees the coordinator's own folder, where all of them come to; else the
// one that wrote the newest, which has a copy. nullopt: any will do.
std::optional<NodeId> WriterOf(const Api& api, const core::Job& job) {
  if (const auto sharing = api.workers.SharingJobsFolder()) return sharing;
  if (job.attempts.empty() || job.attempts.back().nodes.empty()) return std::nullopt;
  const NodeId node = job.attempts.back().nodes.front();
  return api.workers.Of(node) == nullptr ? std::nullopt : std::optional(node);
}

void AskTool(Api& api, const http::Responder& responder, const core::Job& job, ToolCall call,
             const Shape& shape) {
  const auto copy = std::make_shared<const core::Job>(job);
  DoOrRefuse(api, responder, [&api, responder, copy, shape, call = std::move(call)](Round& round) {
    api.workers.tools().Start(call, WriterOf(api, *copy), round.now(),
                              [responder, copy, shape](Round&, const Result<json>& answer) {
                                responder.Send(answer ? http::Json(200, shape(*copy, *answer))
                                                      : http::ErrorResponse(answer.error()));
                              });
  });
}

void OnJob(Api& api, const http::Responder& responder, const std::string& text,
           const std::string& action, const json& request, const Shape& shape) {
  WithJob(api, responder, text, [&api, responder, action, request, shape](const core::Job& job) {
    AskTool(api, responder, job, CallOn(job, action, request), shape);
  });
}

json WithTime(const core::Job& job, json checkpoint) {
  checkpoint["committed_at"] = nullptr;
  for (const core::CheckpointRecord& record : job.checkpoints) {
    if (checkpoint["step"] == record.step && checkpoint["attempt"] == Number(record.attempt)) {
      checkpoint["committed_at"] = record.committed_at.ToRfc3339();
    }
  }
  return checkpoint;
}

json ListJson(const core::Job& job, json answer) {
  json data = json::array();
  for (json& each : answer["checkpoints"]) data.push_back(WithTime(job, std::move(each)));
  return {{"job", job.id.ToString()}, {"data", std::move(data)}};
}

json CollectedJson(const core::Job& job, json answer) {
  answer["job"] = job.id.ToString();
  return answer;
}

void Verify(Api& api, const http::Request& request, const http::Responder& responder) {
  const json& body = BodyOf(request);
  const Status keys = CheckKeys(body, {"step"});
  const auto step = keys ? NumberIn(body, "step", 1, kStepMax, 0) : Fail(keys.error());
  if (!step) {
    responder.Send(step.error());
    return;
  }
  json asked = json::object();
  if (*step != 0) asked["step"] = *step;
  OnJob(api, responder, request.Param("job"), "verify", asked, ListJson);
}

void Collect(Api& api, const http::Request& request, const http::Responder& responder) {
  const json& body = BodyOf(request);
  const Status keys = CheckKeys(body, {"keep", "dry_run"});
  const auto keep = keys ? NumberIn(body, "keep", 0, kKeepMax, 1) : Fail(keys.error());
  if (!keep) {
    responder.Send(keep.error());
    return;
  }
  const auto dry_run = FlagIn(body, "dry_run");
  if (!dry_run) {
    responder.Send(dry_run.error());
    return;
  }
  const json asked = {{"keep", *keep}, {"dry_run", *dry_run}};
  OnJob(api, responder, request.Param("job"), "gc", asked, CollectedJson);
}

constexpr const char* kListSchema = R"({"type": "object", "required": ["job", "data"],
  "properties": {"job": {"type": "string"}, "data": {"type": "array", "items":
  {"type": "object", "required": ["step", "attempt", "path"], "properties": {
  "step": {"type": "integer"}, "attempt": {"type": "integer"}, "path": {"type": "string"},
  "state_digest": {"type": ["string", "null"]}, "size_bytes": {"type": ["integer", "null"]},
  "committed_at": {"type": ["string", "null"], "format": "date-time"},
  "ok": {"type": "boolean", "description": "of verify"},
  "message": {"type": ["string", "null"], "description": "of verify: what is wrong"}}}}}})";
constexpr const char* kVerifyRequest = R"({"type": "object", "properties": {
  "step": {"type": "integer", "minimum": 1, "description": "that one alone"}},
  "additionalProperties": false})";
constexpr const char* kCollectRequest = R"({"type": "object", "properties": {
  "keep": {"type": "integer", "minimum": 0, "description": "the newest so many stay; by default 1"},
  "dry_run": {"type": "boolean"}}, "additionalProperties": false})";
constexpr const char* kCollectAnswer = R"({"type": "object",
  "required": ["job", "kept", "removed", "leftovers", "freed_bytes"], "properties": {
  "job": {"type": "string"}, "kept": {"type": "array", "items": {"type": "object"}},
  "removed": {"type": "array", "items": {"type": "object"}},
  "leftovers": {"type": "integer", "description": "files of writers that died"},
  "freed_bytes": {"type": "integer"}}})";

}  // namespace

void RegisterCheckpointRoutes(http::Router& router, Api& api) {
  router.Add({.path = "/api/v1/jobs/{job}/checkpoints",
              .summary = "A job's checkpoints that are on disk, newest first",
              .response_schema = kListSchema,
              .access = http::Access::kViewer,
              .handler = [&api](const http::Request& request, const http::Responder& responder) {
                OnJob(api, responder, request.Param("job"), "list", json::object(), ListJson);
              }});
  router.Add({.method = http::Method::kPost,
              .path = "/api/v1/jobs/{job}/checkpoints/verify",
              .summary = "Reads checkpoints and compares them with their manifests",
              .request_schema = kVerifyRequest,
              .response_schema = kListSchema,
              .access = http::Access::kSubmitter,
              .body = http::Body::kJson,
              .handler = [&api](const http::Request& request, const http::Responder& responder) {
                Verify(api, request, responder);
              }});
  router.Add({.method = http::Method::kPost,
              .path = "/api/v1/jobs/{job}/checkpoints/gc",
              .summary = "Removes all but the newest checkpoints, never one that a job may need",
              .request_schema = kCollectRequest,
              .response_schema = kCollectAnswer,
              .access = http::Access::kAdmin,
              .body = http::Body::kJson,
              .handler = [&api](const http::Request& request, const http::Responder& responder) {
                Collect(api, request, responder);
              }});
}

}  // namespace tutti::coordinator
