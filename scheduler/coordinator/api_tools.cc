// Engine tools on behalf of users: a dry run's inspect, trying and evaluating a model.
#include <nlohmann/json.hpp>
#include <utility>

#include "scheduler/coordinator/answers.h"
#include "scheduler/coordinator/inspection.h"
#include "scheduler/coordinator/job_json.h"
#include "scheduler/coordinator/json_null.h"
#include "scheduler/coordinator/pushed_events.h"
#include "scheduler/coordinator/submission.h"
#include "scheduler/core/disk.h"
#include "scheduler/core/place.h"

namespace tutti::coordinator {
namespace {

using nlohmann::json;

constexpr Duration kTryDeadline = std::chrono::minutes(2);
constexpr Duration kEvalDeadline = std::chrono::minutes(30);
constexpr std::size_t kTextsMax = 10'000;
constexpr std::int64_t kTopKMax = 10'000;

// A tool's own "not found" is about its input, not about the route.
Error ForAnswer(Error error) {
  if (error.code == ErrorCode::kNotFound) error.code = ErrorCode::kInvalid;
  return error;
}

std::string Line(const json& object) {
  return object.dump(-1, ' ', false, json::error_handler_t::replace);
}

void RunTool(Api& api, const http::Responder& responder, ToolCall call) {
  DoOrRefuse(api, responder, [&api, responder, call = std::move(call)](Round& round) {
    api.workers.tools().Start(
        call, std::nullopt, round.now(), [responder](Round&, const Result<json>& answer) {
          responder.Send(answer ? http::Json(200, *answer)
                                : http::ErrorResponse(ForAnswer(answer.error())));
        });
  });
}

// The same as server-sent events: "piece" as the tool speaks, then "done" with its answer, or
// "error". A client that goes away ends the tool.
void StreamTool(Api& api, const http::Responder& responder, ToolCall call) {
  const auto events = std::make_shared<PushedEvents>();
  call.on_piece = [events](const json& said) {
    const auto piece = said.find("piece");
    if (piece != said.end() && piece->is_object()) events->Push("piece", Line(*piece), false);
  };
  DoOrRefuse(api, responder, [&api, responder, events, call = std::move(call)](Round& round) {
    Tools& tools = api.workers.tools();
    const std::uint64_t id =
        tools.Start(call, std::nullopt, round.now(), [events](Round&, const Result<json>& answer) {
          if (answer) return events->Push("done", Line(*answer), true);
          const http::Response error = http::ErrorResponse(ForAnswer(answer.error()));
          events->Push("error", std::get<std::string>(error.body), true);
        });
    responder.Send(events->Respond(
        [&api, id] { api.loop.Do([&api, id](Round&) { api.workers.tools().Cancel(id); }); }));
  });
}

// What inspect found, and what admission would say to it.
http::Response Inspected(const core::State& state, const core::JobRequest& request,
                         const json& answer) {
  core::Job job;
  job.request = request;
  job.estimate = ReadEstimate(answer);
  core::Estimate& estimate = *job.estimate;
  if (const Status limit = core::LimitHolds(request, estimate); !limit) {
    return http::ErrorResponse(limit.error());
  }
  const Status fits =
      core::CouldEverFit(state.ledger, request, request.ranks_min, core::MemoryPerRank(job));
  if (!fits) return http::ErrorResponse(fits.error());
  if (const Status holds = core::CouldEverHold(state, estimate); !holds) {
    return http::ErrorResponse(holds.error());
  }
  std::string no_room = core::NoRoomText(job, core::Plan(state.ledger, state.liveness));
  if (!no_room.empty()) estimate.warnings.push_back("it would wait for disk: " + no_room);
  json shown = EstimateJson(estimate);
  const JobReader::Outlook outlook = JobReader::OutlookOf(state, job);
  AddExpected(shown, "start_at", outlook.start);
  AddExpected(shown, "end_at", outlook.end);
  return http::Json(200, {{"estimate", std::move(shown)}, {"report", answer}});
}

void InspectSpec(Api& api, const http::Request& request, const http::Responder& responder) {
  const json& body = BodyOf(request);
  if (const Status keys = CheckKeys(body, {"spec"}); !keys) {
    responder.Send(keys.error());
    return;
  }
  const auto job = ReadSpec(body);
  if (!job) {
    responder.Send(http::ErrorResponse(job.error()));
    return;
  }
  Status good = CheckInputs(*job, api.blobs);
  if (good) good = CheckWebhooks(*job, api.webhooks.for_jobs());
  if (!good) {
    responder.Send(good.error());
    return;
  }
  DoOrRefuse(
      api, responder,
      [&api, responder, call = InspectCall(*job), depends_on = job->schedule.depends_on,
       submit = SubmitOf(*job, request.caller.user)](Round& round) mutable {
        const Status found = FindDependencies(round.state().ledger, depends_on, submit.request);
        if (!found) {
          responder.Send(found.error());
          return;
        }
        // What a submit would say, without doing it.
        const auto outcome = core::Step(round.state(), core::Input{WallNow(), submit}, round.now());
        if (!outcome) {
          responder.Send(outcome.error());
          return;
        }
        api.workers.tools().Start(
            call, std::nullopt, round.now(),
            [responder, request = submit.request](Round& later, const Result<json>& answer) {
              responder.Send(answer ? Inspected(later.state(), request, *answer)
                                    : http::ErrorResponse(ForAnswer(answer.error())));
            });
      });
}

// The model's files below "model/".
Result<registry::ModelRecord> ModelNamed(const Api& api, const std::string& text) {
  const auto records = api.models.Records();
  TUTTI_ASSIGN_OR_RETURN(const registry::ModelRecord* record, registry::FindModel(*records, text));
  return *record;
}

ToolCall CallOn(const registry::ModelRecord& record, std::string tool) {
  ToolCall call{.tool = std::move(tool), .request = {{"model_dir", "model"}}, .files = {}};
  for (const registry::ModelFile& file : record.files) {
    call.files.push_back({"model/" + file.path, file.digest.ToString(),
                          static_cast<std::uint64_t>(file.size.count)});
  }
  return call;
}

Status CheckTexts(const json& body) {
  const auto texts = body.find("texts");
  const bool good =
      texts != body.end() && texts->is_array() && !texts->empty() && texts->size() <= kTextsMax &&
      std::all_of(texts->begin(), texts->end(), [](const json& text) { return text.is_string(); });
  if (good) return {};
  return Fail(ErrorCode::kInvalid, "must be a list of 1 to " + std::to_string(kTextsMax) + " texts",
              "#/texts");
}

// With "stream": true in its request where pieces are asked for.
Result<ToolCall> TryCall(const Api& api, const http::Request& request) {
  const json& body = BodyOf(request);
  TUTTI_RETURN_IF_ERROR(CheckKeys(body, {"texts", "top_k", "generation", "stream"}));
  TUTTI_RETURN_IF_ERROR(CheckTexts(body));
  TUTTI_ASSIGN_OR_RETURN(const std::int64_t top_k, NumberIn(body, "top_k", 1, kTopKMax, 0));
  TUTTI_ASSIGN_OR_RETURN(const registry::ModelRecord record,
                         ModelNamed(api, request.Param("model")));
  ToolCall call = CallOn(record, "try");
  call.request["texts"] = body["texts"];
  if (top_k != 0) call.request["top_k"] = top_k;
  if (const auto generation = body.find("generation"); generation != body.end()) {
    call.request["generation"] = *generation;
  }
  TUTTI_ASSIGN_OR_RETURN(call.request["stream"], FlagIn(body, "stream"));
  call.deadline = kTryDeadline;
  return call;
}

struct EvalRequest {
  ToolCall call;
  JobId job;  // whose spec has columns and max_length
};

Result<EvalRequest> EvalCall(const Api& api, const http::Request& request) {
  const json& body = BodyOf(request);
  TUTTI_RETURN_IF_ERROR(CheckKeys(body, {"data"}));
  const auto data = body.find("data");
  const bool good = data != body.end() && data->is_object() && data->contains("path") &&
                    (*data)["path"].is_string() && data->contains("digest") &&
                    (*data)["digest"].is_string();
  if (!good) {
    return Fail(ErrorCode::kInvalid, "must have path and digest of an uploaded file", "#/data");
  }
  const auto digest = Digest::Parse((*data)["digest"].get<std::string>());
  if (!digest) return Fail(ErrorCode::kInvalid, "not a digest", "#/data/digest");
  const auto size = api.blobs.Touch(*digest);
  if (!size) {
    return Fail(ErrorCode::kInvalid, "the data was not uploaded", digest->ToString(),
                "PUT it to /api/v1/blobs/{digest} first");
  }
  const std::string name =
      std::filesystem::path((*data)["path"].get<std::string>()).filename().string();
  const std::string place = "data/" + name;
  TUTTI_RETURN_IF_ERROR(CheckPlainRelative(place));
  if (name.empty()) return Fail(ErrorCode::kInvalid, "names no file", "#/data/path");
  TUTTI_ASSIGN_OR_RETURN(const registry::ModelRecord record,
                         ModelNamed(api, request.Param("model")));
  EvalRequest out{.call = CallOn(record, "eval"), .job = record.job};
  out.call.request["data_path"] = place;
  out.call.files.push_back({place, digest->ToString(), static_cast<std::uint64_t>(size->count)});
  out.call.deadline = kEvalDeadline;
  return out;
}

// What a model that learned from preferences is compared with: what its job started from. An
// adapter brings its base along.
void AddReference(const json& spec, ToolCall& call) {
  const json::json_pointer dpo("/method/dpo"), lora("/method/dpo/lora"), files("/inputs/model");
  if (!spec.contains(dpo) || (spec.contains(lora) && !spec.at(lora).is_null())) return;
  if (!spec.contains(files)) return;
  call.request["reference_dir"] = "reference";
  for (const json& file : spec.at(files)) {
    call.files.push_back({"reference/" + file.at("path").get<std::string>(),
                          file.at("digest").get<std::string>(),
                          file.at("size_bytes").get<std::uint64_t>()});
  }
}

void EvalModel(Api& api, const http::Request& request, const http::Responder& responder) {
  auto asked = EvalCall(api, request);
  if (!asked) {
    responder.Send(asked.error());
    return;
  }
  api.loop.Read([&api, responder, asked = *asked](const Result<View>& view) {
    if (!view) {
      responder.Send(view.error());
      return;
    }
    ToolCall call = asked.call;
    if (const auto job = JobReader::FindJob(*view, asked.job.ToString())) {
      json spec = json::parse(job->spec_json, nullptr, false);
      AddReference(spec, call);
      call.request["spec"] = std::move(spec);
    }
    RunTool(api, responder, std::move(call));
  });
}

constexpr const char* kInspectRequest = R"({"type": "object", "required": ["spec"],
  "properties": {"spec": {"type": "object", "description": "a resolved spec with its inputs"}},
  "additionalProperties": false})";
constexpr const char* kInspectAnswer = R"({"type": "object", "required": ["estimate", "report"],
  "properties": {"estimate": {"$ref": "#/components/schemas/Estimate"},
  "report": {"type": "object"}}})";
constexpr const char* kTryRequest = R"({"type": "object", "required": ["texts"], "properties": {
  "texts": {"type": "array", "minItems": 1, "items": {"type": "string"}},
  "top_k": {"type": "integer", "minimum": 1, "description": "labels of a text, of a classifier"},
  "stream": {"type": "boolean", "description": "answer with server-sent events: piece {answer, text} as texts grow, then done with the answer, or error"},
  "generation": {"type": "object", "description": "of a language model: max_new_tokens, num_beams, temperature, top_k, top_p, seed, repetition_penalty and Transformers' other names"}},
  "additionalProperties": false})";
constexpr const char* kTryAnswer = R"({"type": "object", "required": ["results"], "properties": {
  "results": {"type": "array", "items": {"type": "array", "items": {"type": "object",
  "description": "a classifier's label and score, or a language model's text", "properties": {
  "label": {"type": "string"}, "score": {"type": "number"}, "text": {"type": "string"},
  "tokens": {"type": "integer"}, "ended": {"type": "boolean"}}}}}}})";
constexpr const char* kEvalRequest = R"({"type": "object", "required": ["data"], "properties": {
  "data": {"type": "object", "required": ["path", "digest"], "properties": {
  "path": {"type": "string"}, "digest": {"type": "string"},
  "size_bytes": {"type": "integer", "minimum": 0}}}}, "additionalProperties": false})";
constexpr const char* kEvalAnswer = R"({"type": "object",
  "description": "the task's metrics and the rows", "additionalProperties": {"type": "number"}})";

}  // namespace

void RegisterToolRoutes(http::Router& router, Api& api) {
  router.Add({.method = http::Method::kPost,
              .path = "/api/v1/inspect",
              .summary = "What inspect finds in a spec's model and data; creates nothing",
              .request_schema = kInspectRequest,
              .response_schema = kInspectAnswer,
              .access = http::Access::kSubmitter,
              .body = http::Body::kJson,
              .body_max = Bytes{4 << 20},
              .run_on = http::RunOn::kPool,
              .handler = [&api](const http::Request& request, const http::Responder& responder) {
                InspectSpec(api, request, responder);
              }});
  router.Add({.method = http::Method::kPost,
              .path = "/api/v1/models/{model}/try",
              .summary = "What a model says of texts, best first",
              .request_schema = kTryRequest,
              .response_schema = kTryAnswer,
              .access = http::Access::kSubmitter,
              .body = http::Body::kJson,
              .body_max = Bytes{8 << 20},
              .handler = [&api](const http::Request& request, const http::Responder& responder) {
                auto call = TryCall(api, request);
                if (!call) {
                  responder.Send(call.error());
                  return;
                }
                const bool stream = call->request["stream"] == true;
                (stream ? StreamTool : RunTool)(api, responder, std::move(*call));
              }});
  router.Add({.method = http::Method::kPost,
              .path = "/api/v1/models/{model}/eval",
              .summary = "A model's metrics on an uploaded file",
              .request_schema = kEvalRequest,
              .response_schema = kEvalAnswer,
              .access = http::Access::kSubmitter,
              .body = http::Body::kJson,
              .run_on = http::RunOn::kPool,
              .handler = [&api](const http::Request& request, const http::Responder& responder) {
                EvalModel(api, request, responder);
              }});
}

}  // namespace tutti::coordinator
