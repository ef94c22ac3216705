// Checkpoints over HTTP: workers that do not share the jobs folder put theirs there and fetch those
// of other machines.
#include <memory>
#include <nlohmann/json.hpp>
#include <utility>

#include "common/digest/sha256.h"
#include "scheduler/coordinator/answers.h"

namespace tutti::coordinator {
namespace {

using registry::CheckpointName;

constexpr const char* kPath = "/api/v1/jobs/{job}/checkpoints/{file}";
constexpr const char* kBytesType = "application/octet-stream";
constexpr Bytes kCheckpointMax{std::int64_t{1} << 40};

Result<CheckpointName> NameIn(const http::Request& request) {
  const auto name = CheckpointName::Parse(request.Param("file"));
  if (name) return *name;
  return Fail(ErrorCode::kInvalid, "not a checkpoint's file", request.Param("file"),
              "names are as step-00000200.a1.h5 and step-00000200.a1.json");
}

void Send(Api& api, const http::Request& request, const http::Responder& responder) {
  const auto name = NameIn(request);
  if (!name) {
    responder.Send(name.error());
    return;
  }
  AnswerRead(
      api, responder,
      [text = request.Param("job")](const View& view) { return JobReader::FindJob(view, text); },
      [&api, name = *name](const core::Job& job) {
        auto fd = api.checkpoints.OpenFile(job.id, name);
        const auto size = api.checkpoints.Size(job.id, name);
        if (!fd || !size) return http::ErrorResponse(fd ? size.error() : fd.error());
        return http::Response{.headers = {{"content-type", kBytesType}},
                              .body = http::FileBody{std::move(*fd), *size}};
      });
}

// The fence: what an attempt that is over still sends changes nothing.
Status CheckAttempt(const core::Ledger& ledger, const std::string& text,
                    const CheckpointName& name) {
  const auto id = JobId::Parse(text);
  const core::Job* job = id ? core::FindJob(ledger, *id) : nullptr;
  if (job == nullptr) return Fail(ErrorCode::kNotFound, "there is no such job", text);
  if (core::ActiveGang(*job) != nullptr && job->attempt == name.attempt) return {};
  return Fail(ErrorCode::kConflict,
              "attempt " + std::to_string(Number(name.attempt)) + " of job " + text + " is over",
              name.ToString());
}

Status CheckUpload(const http::Request& request) {
  const auto text = request.Header("x-tutti-digest");
  const auto digest = text ? Digest::Parse(*text) : std::nullopt;
  if (!digest) {
    return Fail(ErrorCode::kInvalid, "the content's digest is required", "x-tutti-digest",
                "'sha256:' and 64 lower-case hex digits");
  }
  if (request.file->digest() == *digest) return {};
  return Fail(ErrorCode::kInvalid,
              "the content's digest is " + request.file->digest().ToString() + ", not " +
                  digest->ToString(),
              request.Param("file"), "the upload was damaged or the file changed; send it again");
}

// Synced here, on a thread for file work; checked against the ledger and moved on the loop's, so
// that no attempt ends in between.
void Take(Api& api, http::Request& request, const http::Responder& responder) {
  const auto name = NameIn(request);
  if (!name) {
    responder.Send(name.error());
    return;
  }
  Status ready = CheckUpload(request);
  if (ready) ready = registry::CheckpointStore::Sync(request.file->path());
  if (!ready) {
    responder.Send(ready.error());
    return;
  }
  const auto upload = std::make_shared<const http::SpooledFile>(std::move(*request.file));
  DoOrRefuse(api, responder,
             [&api, responder, upload, name = *name, text = request.Param("job")](Round& round) {
               Status placed = CheckAttempt(round.state().ledger, text, name);
               if (placed)
                 placed = api.checkpoints.Place(upload->path(), *JobId::Parse(text), name);
               if (!placed) {
                 responder.Send(placed.error());
                 return;
               }
               responder.Send(http::Json(
                   201, {{"file", name.ToString()}, {"size_bytes", upload->size().count}}));
             });
}

}  // namespace

void RegisterCheckpointFileRoutes(http::Router& router, Api& api) {
  router.Add(
      {.path = kPath,
       .summary = "A file of a checkpoint: its HDF5 data or its manifest; ranges are honoured",
       .response_type = kBytesType,
       .access = http::Access::kViewer,
       .workers = true,
       .handler = [&api](const http::Request& request, const http::Responder& responder) {
         Send(api, request, responder);
       }});
  router.Add({.method = http::Method::kPut,
              .path = kPath,
              .summary = "A worker's file of the attempt that runs; X-Tutti-Digest is its SHA-256",
              .response_schema = R"({"type": "object", "properties": {
                "file": {"type": "string"}, "size_bytes": {"type": "integer"}}})",
              .status = 201,
              .access = http::Access::kAdmin,
              .workers = true,
              .body = http::Body::kFile,
              .body_max = kCheckpointMax,
              .run_on = http::RunOn::kPool,
              .handler = [&api](http::Request request, const http::Responder& responder) {
                Take(api, request, responder);
              }});
}

}  // namespace tutti::coordinator
