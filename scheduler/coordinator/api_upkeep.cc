// Looking after the data directory: backups and the collection of blobs. For admins; both work on
// threads of their own and answer when they are done.
#include <memory>
#include <nlohmann/json.hpp>
#include <utility>

#include "scheduler/coordinator/answers.h"

namespace tutti::coordinator {
namespace {

using nlohmann::json;

constexpr std::int64_t kGraceMinMs = std::int64_t{10} * 60 * 1000;
constexpr std::int64_t kGraceMaxMs = std::int64_t{3650} * 24 * 3600 * 1000;

void Backup(Api& api, const http::Request& request, const http::Responder& responder) {
  const json& body = BodyOf(request);
  Status keys = CheckKeys(body, {"path"});
  const auto path = body.find("path");
  if (keys && (path == body.end() || !path->is_string())) {
    keys = Fail(ErrorCode::kInvalid, "must name a folder on the coordinator's machine", "#/path");
  }
  if (!keys) {
    responder.Send(keys.error());
    return;
  }
  const Status started =
      api.backups.Start(path->get<std::string>(), [responder](const Result<BackupReport>& made) {
        if (!made) {
          responder.Send(made.error());
          return;
        }
        const double seconds = std::chrono::duration<double>(made->took).count();
        responder.Send(http::Json(201, {{"path", made->path.string()},
                                        {"jobs", made->jobs},
                                        {"files", made->files},
                                        {"bytes", made->bytes},
                                        {"bytes_linked", made->bytes_linked},
                                        {"seconds", seconds}}));
      });
  if (!started) responder.Send(started.error());
}

Result<BlobCollector::Request> CollectionOf(const json& body) {
  TUTTI_RETURN_IF_ERROR(CheckKeys(body, {"dry_run", "grace_ms"}));
  BlobCollector::Request request;
  TUTTI_ASSIGN_OR_RETURN(request.dry_run, FlagIn(body, "dry_run"));
  if (body.contains("grace_ms")) {
    TUTTI_ASSIGN_OR_RETURN(const std::int64_t ms,
                           NumberIn(body, "grace_ms", kGraceMinMs, kGraceMaxMs, std::nullopt));
    request.grace = std::chrono::milliseconds(ms);
  }
  return request;
}

void CollectBlobs(Api& api, const http::Request& request, const http::Responder& responder) {
  auto collection = CollectionOf(BodyOf(request));
  if (!collection) {
    responder.Send(collection.error());
    return;
  }
  const bool dry_run = collection->dry_run;
  collection->done = [responder, dry_run](const Result<CollectedBlobs>& collected) {
    responder.Send(collected ? http::Json(200, {{"removed", collected->removed},
                                                {"freed_bytes", collected->bytes},
                                                {"dry_run", dry_run}})
                             : http::ErrorResponse(collected.error()));
  };
  api.collector.Ask(std::move(*collection));
}

constexpr const char* kBackupRequest = R"({"type": "object", "required": ["path"], "properties": {
  "path": {"type": "string", "description": "absolute, on the coordinator's machine: a folder that does not exist, or an empty one"}},
  "additionalProperties": false})";
constexpr const char* kBackupAnswer = R"({"type": "object",
  "required": ["path", "jobs", "files", "bytes", "bytes_linked", "seconds"], "properties": {
  "path": {"type": "string"}, "jobs": {"type": "integer"}, "files": {"type": "integer"},
  "bytes": {"type": "integer", "description": "of all files"},
  "bytes_linked": {"type": "integer", "description": "of those that share their room with the data directory"},
  "seconds": {"type": "number"}}})";
constexpr const char* kBlobGcRequest = R"({"type": "object", "properties": {
  "dry_run": {"type": "boolean"},
  "grace_ms": {"type": "integer", "minimum": 600000, "description": "instead of --blob-grace"}},
  "additionalProperties": false})";
constexpr const char* kBlobGcAnswer = R"({"type": "object",
  "required": ["removed", "freed_bytes", "dry_run"], "properties": {
  "removed": {"type": "integer"}, "freed_bytes": {"type": "integer"},
  "dry_run": {"type": "boolean"}}})";

}  // namespace

void RegisterUpkeepRoutes(http::Router& router, Api& api) {
  router.Add({.method = http::Method::kPost,
              .path = "/api/v1/backup",
              .summary = "A consistent copy of the data directory, made while the coordinator "
                         "serves; the answer comes when it is complete",
              .request_schema = kBackupRequest,
              .response_schema = kBackupAnswer,
              .status = 201,
              .access = http::Access::kAdmin,
              .body = http::Body::kJson,
              .run_on = http::RunOn::kPool,
              .handler = [&api](const http::Request& request, const http::Responder& responder) {
                Backup(api, request, responder);
              }});
  router.Add({.method = http::Method::kPost,
              .path = "/api/v1/blobs/gc",
              .summary = "Removes blobs that no job and no model needs and nobody touched lately",
              .request_schema = kBlobGcRequest,
              .response_schema = kBlobGcAnswer,
              .access = http::Access::kAdmin,
              .body = http::Body::kJson,
              .handler = [&api](const http::Request& request, const http::Responder& responder) {
                CollectBlobs(api, request, responder);
              }});
}

}  // namespace tutti::coordinator
