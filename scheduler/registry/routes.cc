#include "scheduler/registry/routes.h"

#include <algorithm>
#include <nlohmann/json.hpp>
#include <utility>

namespace tutti::registry {
namespace {

using nlohmann::json;

constexpr Bytes kBlobMax{std::int64_t{1} << 40};
constexpr const char* kBlobPath = "/api/v1/blobs/{digest}";
constexpr const char* kBytesType = "application/octet-stream";

constexpr const char* kBlobSchema = R"json({
  "type": "object",
  "required": ["digest", "size_bytes"],
  "properties": {
    "digest": {"type": "string", "pattern": "^sha256:[0-9a-f]{64}$"},
    "size_bytes": {"type": "integer", "minimum": 0}
  }
})json";

constexpr const char* kModelSchema = R"json({
  "type": "object",
  "required": ["id", "job", "name", "task", "base", "digest", "path", "created_at", "files", "metrics"],
  "properties": {
    "id": {"type": "string", "description": "ft:{base}:local:{name}:{8}"},
    "job": {"type": "string"},
    "name": {"type": "string", "description": "the job's"},
    "task": {"type": "string"},
    "base": {"type": "string"},
    "digest": {"type": "string", "description": "of model.safetensors"},
    "path": {"type": "string", "description": "its folder on the coordinator's machine"},
    "created_at": {"type": "string", "format": "date-time"},
    "files": {"type": "array", "items": {
      "type": "object",
      "required": ["path", "digest", "size_bytes"],
      "properties": {
        "path": {"type": "string"},
        "digest": {"type": "string"},
        "size_bytes": {"type": "integer", "minimum": 0}
      }
    }},
    "metrics": {"type": "object", "additionalProperties": {"type": "number"}}
  }
})json";

Result<Digest> DigestOf(const http::Request& request) {
  const std::string& text = request.Param("digest");
  const auto digest = Digest::Parse(text);
  if (!digest) {
    return Fail(ErrorCode::kInvalid, "not a digest", text,
                "write 'sha256:' and 64 lower-case hex digits");
  }
  return *digest;
}

http::Response BlobFile(const BlobStore& blobs, const Digest& digest) {
  auto size = blobs.Touch(digest);
  if (!size) return http::ErrorResponse(size.error());
  auto fd = blobs.OpenBlob(digest);
  if (!fd) return http::ErrorResponse(fd.error());
  return {.headers = {{"content-type", kBytesType}},
          .body = http::FileBody{std::move(*fd), *size, '"' + digest.ToString() + '"'}};
}

// From the file X-Tutti-Link names, else from the body.
Result<bool> Take(const BlobStore& blobs, http::Request& request, const Digest& digest) {
  const auto link = request.Header("x-tutti-link");
  if (!link) return blobs.Adopt(request.file->Release(), request.file->digest(), digest);
  if (!request.loopback) {
    return Fail(ErrorCode::kAuth, "files are linked for clients on this machine alone",
                "x-tutti-link", "send the content as the body");
  }
  if (request.file->size() != Bytes{0}) {
    return Fail(ErrorCode::kInvalid, "there is a body and a file to link", "x-tutti-link",
                "send one of them");
  }
  return blobs.Link(fs::path(*link), digest);
}

http::Response PutBlob(const BlobStore& blobs, http::Request& request) {
  const auto digest = DigestOf(request);
  if (!digest) return http::ErrorResponse(digest.error());
  const auto taken = Take(blobs, request, *digest);
  if (!taken && taken.error().code == ErrorCode::kAuth) {
    return http::ErrorResponse(403, taken.error());
  }
  if (!taken) return http::ErrorResponse(taken.error());
  const auto size = blobs.Size(*digest);
  if (!size) return http::ErrorResponse(size.error());
  return http::Json(*taken ? 201 : 200,
                    {{"digest", digest->ToString()}, {"size_bytes", size->count}});
}

// Whoever cannot hash it before it is sent: a browser.
http::Response PostBlob(const BlobStore& blobs, http::Request& request) {
  const Digest digest = request.file->digest();
  const Bytes size = request.file->size();
  const auto taken = blobs.Adopt(request.file->Release(), digest, digest);
  if (!taken) return http::ErrorResponse(taken.error());
  return http::Json(*taken ? 201 : 200,
                    {{"digest", digest.ToString()}, {"size_bytes", size.count}});
}

http::Response ListModels(const ModelStore& models, const std::vector<ModelRecord>& records) {
  std::vector<const ModelRecord*> newest_first;
  for (const ModelRecord& record : records) newest_first.push_back(&record);
  std::stable_sort(
      newest_first.begin(), newest_first.end(),
      [](const ModelRecord* a, const ModelRecord* b) { return a->created_at > b->created_at; });
  json data = json::array();
  for (const ModelRecord* record : newest_first) {
    data.push_back(ModelJson(*record, models.DirectoryOf(record->job)));
  }
  return http::Json(200, {{"data", std::move(data)}});
}

// Files go by what the record says, never by what lies in the folder.
http::Response ModelFileAnswer(const BlobStore& blobs, const ModelRecord& record,
                               const std::string& path) {
  const auto file = std::find_if(record.files.begin(), record.files.end(),
                                 [&](const ModelFile& each) { return each.path == path; });
  if (file == record.files.end()) {
    return http::ErrorResponse(
        Error{ErrorCode::kNotFound, "the model " + record.id + " has no such file", path});
  }
  return BlobFile(blobs, file->digest);
}

void RegisterNewBlobRoute(http::Router& router, const BlobStore& blobs) {
  router.Add({.method = http::Method::kPost,
              .path = "/api/v1/blobs",
              .summary = "Stores the body under the digest it turns out to have; 200 when the blob "
                         "was there already",
              .response_schema = R"({"$ref": "#/components/schemas/Blob"})",
              .status = 201,
              .access = http::Access::kSubmitter,
              .body = http::Body::kFile,
              .body_max = kBlobMax,
              .run_on = http::RunOn::kPool,
              .handler = [&blobs](http::Request request, const http::Responder& responder) {
                responder.Send(PostBlob(blobs, request));
              }});
}

}  // namespace

json ModelJson(const ModelRecord& record, const fs::path& directory) {
  json files = json::array();
  for (const ModelFile& file : record.files) {
    files.push_back(
        {{"path", file.path}, {"digest", file.digest.ToString()}, {"size_bytes", file.size.count}});
  }
  json metrics = json::parse(record.metrics_json, nullptr, false);
  if (!metrics.is_object()) metrics = json::object();
  return {{"id", record.id},
          {"job", record.job.ToString()},
          {"name", record.job_name},
          {"task", record.task},
          {"base", record.base},
          {"digest", record.digest.ToString()},
          {"path", directory.string()},
          {"created_at", record.created_at.ToRfc3339()},
          {"files", std::move(files)},
          {"metrics", std::move(metrics)}};
}

void RegisterBlobRoutes(http::Router& router, const BlobStore& blobs) {
  router.AddSchema("Blob", kBlobSchema);
  const auto get = [&blobs](http::Request request, const http::Responder& responder) {
    const auto digest = DigestOf(request);
    responder.Send(digest ? BlobFile(blobs, *digest) : http::ErrorResponse(digest.error()));
  };
  router.Add({.method = http::Method::kHead,
              .path = kBlobPath,
              .summary = "Whether a blob is there, and its size",
              .access = http::Access::kViewer,
              .workers = true,
              .run_on = http::RunOn::kPool,
              .handler = get});
  router.Add({.method = http::Method::kGet,
              .path = kBlobPath,
              .summary = "A blob's content; ranges are honoured",
              .response_type = kBytesType,
              .access = http::Access::kViewer,
              .workers = true,
              .run_on = http::RunOn::kPool,
              .handler = get});
  router.Add({.method = http::Method::kPut,
              .path = kBlobPath,
              .summary = "Stores the body, or the file that X-Tutti-Link names; 200 when the blob "
                         "was there already",
              .response_schema = R"({"$ref": "#/components/schemas/Blob"})",
              .status = 201,
              .access = http::Access::kSubmitter,
              .workers = true,
              .body = http::Body::kFile,
              .body_max = kBlobMax,
              .run_on = http::RunOn::kPool,
              .handler = [&blobs](http::Request request, const http::Responder& responder) {
                responder.Send(PutBlob(blobs, request));
              }});
  RegisterNewBlobRoute(router, blobs);
}

void RegisterModelRoutes(http::Router& router, const ModelStore& models, ModelRecords records) {
  router.AddSchema("Model", kModelSchema);
  router.Add(
      {.path = "/api/v1/models",
       .summary = "Finished models, newest first",
       .response_schema = R"({"type": "object", "required": ["data"], "properties": {
                  "data": {"type": "array", "items": {"$ref": "#/components/schemas/Model"}}}})",
       .access = http::Access::kViewer,
       .handler = [&models, records](const http::Request&, const http::Responder& responder) {
         responder.Send(ListModels(models, *records()));
       }});
  router.Add({.path = "/api/v1/models/{model}",
              .summary = "One model, by its id, its job's id or its job's name",
              .response_schema = R"({"$ref": "#/components/schemas/Model"})",
              .access = http::Access::kViewer,
              .handler = [&models, records](const http::Request& request,
                                            const http::Responder& responder) {
                const auto all = records();
                const auto found = FindModel(*all, request.Param("model"));
                responder.Send(
                    found ? http::Json(200, ModelJson(**found, models.DirectoryOf((*found)->job)))
                          : http::ErrorResponse(found.error()));
              }});
  router.Add({.path = "/api/v1/models/{model}/files/{path...}",
              .summary = "A file of a model; ranges are honoured",
              .response_type = kBytesType,
              .access = http::Access::kViewer,
              .run_on = http::RunOn::kPool,
              .handler = [&models, records](const http::Request& request,
                                            const http::Responder& responder) {
                const auto all = records();
                const auto found = FindModel(*all, request.Param("model"));
                responder.Send(found
                                   ? ModelFileAnswer(models.blobs(), **found, request.Param("path"))
                                   : http::ErrorResponse(found.error()));
              }});
}

}  // namespace tutti::registry
