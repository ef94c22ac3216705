// The objects of the API as JSON Schemas, and the document that has all of it.
#include <memory>

#include "common/version/version.h"
#include "scheduler/coordinator/api.h"
#include "scheduler/registry/routes.h"

namespace tutti::coordinator {
namespace {

constexpr const char* kEstimate = R"json({
  "type": ["object", "null"],
  "properties": {
    "memory_bytes_per_rank": {"type": ["integer", "null"]},
    "disk_bytes": {"type": ["integer", "null"]},
    "export_bytes": {"type": ["integer", "null"]},
    "total_steps": {"type": ["integer", "null"]},
    "rows": {"type": ["integer", "null"]},
    "tokens": {"type": ["integer", "null"]},
    "training_seconds": {"type": ["number", "null"]},
    "warnings": {"type": "array", "items": {"type": "string"}},
    "start_at": {"type": ["string", "null"], "format": "date-time"},
    "start_at_earliest": {"type": ["string", "null"], "format": "date-time"},
    "start_at_latest": {"type": ["string", "null"], "format": "date-time"},
    "end_at": {"type": ["string", "null"], "format": "date-time"},
    "end_at_earliest": {"type": ["string", "null"], "format": "date-time"},
    "end_at_latest": {"type": ["string", "null"], "format": "date-time"}
  }
})json";

constexpr const char* kProgress = R"json({
  "type": ["object", "null"],
  "properties": {
    "step": {"type": "integer"},
    "total_steps": {"type": "integer"},
    "epoch": {"type": ["number", "null"]},
    "loss": {"type": ["number", "null"]},
    "learning_rate": {"type": ["number", "null"]},
    "grad_norm": {"type": ["number", "null"]},
    "tokens_per_second": {"type": ["number", "null"]},
    "eta_seconds": {"type": ["number", "null"]}
  }
})json";

constexpr const char* kJob = R"json({
  "type": "object",
  "required": ["id", "name", "task", "model", "state", "reason", "message", "attempt", "queue",
               "priority", "user", "submitted_at", "since", "ranks", "progress", "eval",
               "estimate", "measured", "attempts", "checkpoints", "result"],
  "properties": {
    "id": {"type": "string", "pattern": "^j-[0-9a-z]{8}$"},
    "name": {"type": "string"},
    "task": {"type": "string"},
    "model": {"type": "string"},
    "state": {"enum": ["validating", "queued", "starting", "running", "succeeded", "failed",
                       "cancelled", "paused", "preempting", "recovering", "resizing",
                       "cancelling"]},
    "reason": {"type": ["string", "null"]},
    "message": {"type": ["string", "null"]},
    "attempt": {"type": ["integer", "null"]},
    "queue": {"type": "string"},
    "priority": {"type": "integer"},
    "user": {"type": "string"},
    "held": {"type": "boolean"},
    "sequence": {"type": "integer", "description": "of its submission"},
    "submitted_at": {"type": "string", "format": "date-time"},
    "since": {"type": "string", "format": "date-time"},
    "finished_at": {"type": ["string", "null"], "format": "date-time"},
    "ranks": {"type": "object", "properties": {
      "min": {"type": "integer"}, "max": {"type": "integer"},
      "current": {"type": ["integer", "null"]}}},
    "progress": {"$ref": "#/components/schemas/Progress"},
    "eval": {"type": ["object", "null"], "properties": {"step": {"type": "integer"}},
             "additionalProperties": {"type": ["number", "null"]}},
    "pending": {"type": ["object", "null"], "description": "of a job that waits in the queue",
      "properties": {
        "missing_slots": {"type": "integer", "description": "of its smallest gang"},
        "missing_gpus": {"type": "integer", "description": "likewise"},
        "jobs_ahead": {"type": "integer"},
        "would_help": {"type": "array", "items": {"type": "string"},
                       "description": "what would let it start now; of a single job"}}},
    "depends_on": {"type": "array", "items": {"type": "string"}},
    "sweep": {"type": ["object", "null"], "description": "of a trial", "properties": {
      "id": {"type": "string"}, "trial": {"type": "integer"}, "parameters": {"type": "object"}}},
    "stalled": {"type": "array", "description": "ranks that hold the gang up now",
      "items": {"type": "object", "properties": {
        "rank": {"type": "integer"}, "worker": {"type": "string"},
        "stopped": {"type": "boolean", "description": "by a signal"},
        "phase": {"type": "string"}, "step": {"type": "integer"},
        "collective": {"type": "string"}, "sequence": {"type": "integer"},
        "silent_seconds": {"type": "number"}, "message": {"type": "string"}}}},
    "straggler": {"type": ["object", "null"],
      "description": "a rank that is much slower than the median one; seconds a step",
      "properties": {
        "rank": {"type": "integer"}, "worker": {"type": "string"},
        "compute_seconds": {"type": "number"}, "median_seconds": {"type": "number"},
        "delay_seconds": {"type": "number"}}},
    "estimate": {"$ref": "#/components/schemas/Estimate"},
    "measured": {"type": ["object", "null"], "properties": {
      "memory_bytes_peak": {"type": "integer"}}},
    "used": {"type": "object", "description": "by ended attempts", "properties": {
      "slot_hours": {"type": "number"}, "gpu_hours": {"type": "number"}}},
    "attempts": {"type": "array", "items": {"type": "object", "properties": {
      "attempt": {"type": "integer"}, "ranks": {"type": "integer"},
      "workers": {"type": "array", "items": {"type": "string"}},
      "placed_at": {"type": "string", "format": "date-time"},
      "started_at": {"type": ["string", "null"], "format": "date-time"},
      "ended_at": {"type": ["string", "null"], "format": "date-time"},
      "reason": {"type": ["string", "null"]}, "message": {"type": ["string", "null"]},
      "from_step": {"type": ["integer", "null"]}, "bits_changed": {"type": "boolean"}}}},
    "checkpoints": {"type": "array", "items": {"type": "object", "properties": {
      "step": {"type": "integer"}, "attempt": {"type": "integer"}, "path": {"type": "string"},
      "state_digest": {"type": "string"}, "size_bytes": {"type": "integer"},
      "committed_at": {"type": "string", "format": "date-time"}}}},
    "result": {"type": ["object", "null"], "properties": {
      "model": {"type": "string"}, "path": {"type": "string"}, "digest": {"type": "string"},
      "metrics": {"type": "object", "additionalProperties": {"type": "number"}}}}
  }
})json";

constexpr const char* kEvent = R"json({
  "type": "object",
  "required": ["seq", "type", "job", "at"],
  "properties": {
    "seq": {"type": "integer", "description": "rising; volatile events have none"},
    "type": {"type": "string"},
    "job": {"type": "string"},
    "at": {"type": "string", "format": "date-time"},
    "attempt": {"type": "integer"}
  }
})json";

constexpr const char* kWorker = R"json({
  "type": "object",
  "required": ["id", "name", "state", "slots", "slots_used", "gangs"],
  "properties": {
    "id": {"type": "string", "pattern": "^w-[0-9a-z]{8}$"},
    "name": {"type": "string"},
    "state": {"enum": ["up", "lost", "left"]},
    "version": {"type": "string"},
    "slots": {"type": "integer"},
    "slots_used": {"type": "integer"},
    "gpus": {"type": "integer"},
    "gpus_used": {"type": "integer"},
    "gpu_model": {"type": ["string", "null"]},
    "cores": {"type": "integer"},
    "memory_bytes": {"type": ["integer", "null"]},
    "memory_bytes_used": {"type": ["integer", "null"]},
    "cpu_seconds": {"type": ["number", "null"], "description": "of all its processes, ever rising"},
    "disk_free_bytes": {"type": ["integer", "null"]},
    "cpu_model": {"type": ["string", "null"]},
    "numerics_fingerprint": {"type": ["string", "null"]},
    "pid": {"type": ["integer", "null"]},
    "zygote_pid": {"type": ["integer", "null"]},
    "last_seen_at": {"type": ["string", "null"], "format": "date-time"},
    "address": {"type": ["string", "null"]},
    "draining": {"type": "boolean"},
    "labels": {"type": "object", "additionalProperties": {"type": "string"}},
    "gangs": {"type": "array", "items": {"type": "object", "properties": {
      "job": {"type": "string"}, "attempt": {"type": "integer"}, "ranks": {"type": "integer"},
      "stopping": {"type": "boolean"},
      "rank_pids": {"type": "array", "items": {"type": "integer"}}}}}
  }
})json";

constexpr const char* kCluster = R"json({
  "type": "object",
  "required": ["version", "revision", "generation", "data_dir", "policy", "read_only", "slots",
               "gpus", "jobs"],
  "properties": {
    "version": {"type": "string"},
    "revision": {"type": "string"},
    "generation": {"type": "integer"},
    "data_dir": {"type": "string"},
    "policy": {"type": "string"},
    "read_only": {"type": "boolean"},
    "slots": {"type": "object", "properties": {
      "total": {"type": "integer"}, "used": {"type": "integer"}}},
    "gpus": {"type": "object", "properties": {
      "total": {"type": "integer"}, "used": {"type": "integer"}}},
    "jobs": {"type": "object", "additionalProperties": {"type": "integer"}}
  }
})json";

}  // namespace

void AddSchemas(http::Router& router) {
  router.AddSchema("Estimate", kEstimate);
  router.AddSchema("Progress", kProgress);
  router.AddSchema("Job", kJob);
  router.AddSchema("Event", kEvent);
  router.AddSchema("Worker", kWorker);
  router.AddSchema("Cluster", kCluster);
}

void RegisterRoutes(http::Router& router, Api& api) {
  AddSchemas(router);
  RegisterClusterRoutes(router, api);
  RegisterQueueRoutes(router, api);
  RegisterSweepRoutes(router, api);
  RegisterWorkloadRoutes(router, api);
  RegisterCheckpointFileRoutes(router, api);
  RegisterWorkerRoutes(router, api);
  RegisterCheckpointRoutes(router, api);
  RegisterJoinRoutes(router, api);
  RegisterJobRoutes(router, api);
  RegisterActionRoutes(router, api);
  RegisterReadRoutes(router, api);
  RegisterLogLineRoutes(router, api);
  RegisterCurveRoutes(router, api);
  RegisterToolRoutes(router, api);
  RegisterTokenRoutes(router, api);
  RegisterWebhookRoutes(router, api);
  RegisterUpkeepRoutes(router, api);
  RegisterSpecRoutes(router, api);
  RegisterUiRoutes(router, api);
  registry::RegisterBlobRoutes(router, api.blobs);
  registry::RegisterModelRoutes(router, api.model_store, [&api] { return api.models.Records(); });
  const auto document = std::make_shared<std::string>();
  router.Add({.path = "/api/v1/openapi.json",
              .summary = "This document",
              .response_schema = R"({"type": "object"})",
              .access = http::Access::kViewer,
              .handler = [document](const http::Request&, const http::Responder& responder) {
                responder.Send(http::Text(200, *document, "application/json"));
              }});
  *document = http::OpenApiDocument(router, "Tutti", Version());
}

}  // namespace tutti::coordinator
