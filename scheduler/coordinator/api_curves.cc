// Curves: of a job, of the cluster, of a worker; and what evaluations answered.
#include <nlohmann/json.hpp>
#include <utility>

#include "common/base/words.h"
#include "monitoring/history/history.h"
#include "scheduler/coordinator/answers.h"
#include "scheduler/coordinator/cluster_curves.h"

namespace tutti::coordinator {
namespace {

using nlohmann::json;

constexpr std::uint64_t kPointsDefault = 500;
constexpr std::uint64_t kPointsMax = 10'000;
constexpr std::size_t kNamesMax = 200;
constexpr std::uint64_t kStepsMax = 100;

std::vector<std::string> WordsIn(std::string_view text) {
  std::vector<std::string> words;
  for (const std::string_view word : CommaWords(text)) {
    if (!word.empty()) words.emplace_back(word);
  }
  return words;
}

// Milliseconds since 1970.
Result<std::optional<WallTime>> TimeIn(const http::Request& request, const char* name) {
  if (!request.Query(name)) return std::nullopt;
  TUTTI_ASSIGN_OR_RETURN(const std::uint64_t ms, request.QueryNumber(name, 0));
  if (ms >> 62 != 0) return Fail(ErrorCode::kInvalid, "is out of range", name);
  return WallTime{static_cast<std::int64_t>(ms)};
}

Result<history::Request> CurvesAsked(const http::Request& request) {
  history::Request asked;
  asked.names = WordsIn(request.Query("names").value_or(""));
  if (asked.names.size() > kNamesMax) {
    return Fail(ErrorCode::kTooLarge, "more than " + std::to_string(kNamesMax) + " names", "names");
  }
  if (request.Query("from_step")) {
    TUTTI_ASSIGN_OR_RETURN(const std::uint64_t step, request.QueryNumber("from_step", 0));
    if (step >> 62 != 0) return Fail(ErrorCode::kInvalid, "is out of range", "from_step");
    asked.from_step = static_cast<std::int64_t>(step);
  }
  TUTTI_ASSIGN_OR_RETURN(asked.from, TimeIn(request, "from_ms"));
  TUTTI_ASSIGN_OR_RETURN(asked.to, TimeIn(request, "to_ms"));
  TUTTI_ASSIGN_OR_RETURN(const std::uint64_t points, request.QueryNumber("points", kPointsDefault));
  if (points == 0 || points > kPointsMax) {
    return Fail(ErrorCode::kInvalid, "must be between 1 and " + std::to_string(kPointsMax),
                "points");
  }
  asked.points = static_cast<std::size_t>(points);
  return asked;
}

json CurvesJson(const std::vector<history::Series>& curves) {
  json data = json::array();
  for (const history::Series& series : curves) {
    json points = json::array();
    for (const history::Point& point : series.points) {
      points.push_back({{"at", point.at.ToRfc3339()},
                        {"step", point.step ? json(*point.step) : json()},
                        {"value", point.last},
                        {"min", point.min},
                        {"max", point.max}});
    }
    data.push_back({{"name", series.name}, {"points", std::move(points)}});
  }
  return {{"data", std::move(data)}};
}

// The subject is found on the loop's thread, its curves are read on a render thread.
template <typename FindSubject>
void AnswerCurves(Api& api, const http::Request& request, const http::Responder& responder,
                  FindSubject find) {
  auto asked = CurvesAsked(request);
  if (!asked || api.history == nullptr) {
    responder.Send(asked ? Error{ErrorCode::kUnavailable, "no metrics are kept"} : asked.error());
    return;
  }
  AnswerRead(api, responder, std::move(find),
             [&api, asked = std::move(*asked)](const std::string& subject) {
               history::Request whose = asked;
               whose.subject = subject;
               const auto curves = api.history->Read(whose);
               return curves ? http::Json(200, CurvesJson(*curves))
                             : http::ErrorResponse(curves.error());
             });
}

json SamplesJson(const std::vector<history::Note>& notes) {
  json data = json::array();
  for (const history::Note& note : notes) {
    data.push_back({{"step", note.step},
                    {"at", note.at.ToRfc3339()},
                    {"samples", json::parse(note.text, nullptr, /*allow_exceptions=*/false)}});
  }
  return {{"data", std::move(data)}};
}

Result<std::size_t> StepsAsked(const http::Request& request) {
  TUTTI_ASSIGN_OR_RETURN(const std::uint64_t limit, request.QueryNumber("limit", kStepsMax));
  if (limit >= 1 && limit <= kStepsMax) return static_cast<std::size_t>(limit);
  return Fail(ErrorCode::kInvalid, "must be between 1 and " + std::to_string(kStepsMax), "limit");
}

void AnswerSamples(Api& api, const http::Request& request, const http::Responder& responder) {
  const auto limit = StepsAsked(request);
  if (!limit || api.history == nullptr) {
    responder.Send(limit ? Error{ErrorCode::kUnavailable, "no metrics are kept"} : limit.error());
    return;
  }
  AnswerRead(
      api, responder,
      [text = request.Param("job")](const View& view) -> Result<std::string> {
        TUTTI_ASSIGN_OR_RETURN(const core::Job job, JobReader::FindJob(view, text));
        return job.id.ToString();
      },
      [&api, limit = *limit](const std::string& job) {
        const auto notes = api.history->Notes(job, limit);
        return notes ? http::Json(200, SamplesJson(*notes)) : http::ErrorResponse(notes.error());
      });
}

constexpr const char* kSamples = R"({"type": "object", "required": ["data"], "properties": {
  "data": {"type": "array", "items": {"type": "object", "required": ["step", "at", "samples"],
  "properties": {"step": {"type": "integer"}, "at": {"type": "string", "format": "date-time"},
  "samples": {"type": "array", "items": {"type": "object",
  "required": ["prompt", "answer", "expected", "ended"], "properties": {
  "prompt": {"type": "string"}, "answer": {"type": "string"},
  "expected": {"type": "string", "description": "what the evaluation row has"},
  "ended": {"type": "boolean", "description": "by an end token; else the answer was cut"}}}}}}}}})";

constexpr const char* kCurves = R"({"type": "object", "required": ["data"], "properties": {
  "data": {"type": "array", "items": {"type": "object", "required": ["name", "points"],
  "properties": {"name": {"type": "string"}, "points": {"type": "array", "items": {
  "type": "object", "required": ["at", "step", "value", "min", "max"], "properties": {
  "at": {"type": "string", "format": "date-time"},
  "step": {"type": ["integer", "null"]},
  "value": {"type": "number", "description": "the last of those the point stands for"},
  "min": {"type": "number"}, "max": {"type": "number"}}}}}}}}})";

}  // namespace

void RegisterCurveRoutes(http::Router& router, Api& api) {
  router.Add({.path = "/api/v1/jobs/{job}/metrics",
              .summary = "A job's curves: loss, learning rate, evaluations, speed, phases; at most "
                         "?points= of each",
              .response_schema = kCurves,
              .query = {"names", "from_step", "from_ms", "to_ms", "points"},
              .access = http::Access::kViewer,
              .handler = [&api](const http::Request& request, const http::Responder& responder) {
                AnswerCurves(
                    api, request, responder,
                    [text = request.Param("job")](const View& view) -> Result<std::string> {
                      TUTTI_ASSIGN_OR_RETURN(const core::Job job, JobReader::FindJob(view, text));
                      return job.id.ToString();
                    });
              }});
  router.Add(
      {.path = "/api/v1/jobs/{job}/samples",
       .summary = "What a language model answered at the newest ?limit= evaluations, by step",
       .response_schema = kSamples,
       .query = {"limit"},
       .access = http::Access::kViewer,
       .handler = [&api](const http::Request& request, const http::Responder& responder) {
         AnswerSamples(api, request, responder);
       }});
  router.Add({.path = "/api/v1/cluster/metrics",
              .summary = "Curves of the cluster: jobs that wait and run, slots",
              .response_schema = kCurves,
              .query = {"names", "from_ms", "to_ms", "points"},
              .access = http::Access::kViewer,
              .handler = [&api](const http::Request& request, const http::Responder& responder) {
                AnswerCurves(api, request, responder, [](const View&) -> Result<std::string> {
                  return std::string(kClusterSubject);
                });
              }});
  router.Add({.path = "/api/v1/workers/{worker}/metrics",
              .summary = "Curves of a worker, by name or id: processor, memory, disk, slots",
              .response_schema = kCurves,
              .query = {"names", "from_ms", "to_ms", "points"},
              .access = http::Access::kViewer,
              .handler = [&api](const http::Request& request, const http::Responder& responder) {
                AnswerCurves(
                    api, request, responder,
                    [text = request.Param("worker")](const View& view) -> Result<std::string> {
                      const core::Ledger& ledger = view.state->ledger;
                      for (const auto& [id, node] : ledger.nodes) {
                        if (node.name == text || id.ToString() == text) {
                          return WorkerSubject(node.name);
                        }
                      }
                      return Fail(ErrorCode::kNotFound, "there is no worker '" + text + "'", {},
                                  "'tutti worker list' shows those there are");
                    });
              }});
}

}  // namespace tutti::coordinator
