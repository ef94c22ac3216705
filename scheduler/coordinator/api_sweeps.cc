// Sweeps: many trials of one spec, submitted together, shown as a table with the best one.
#include <functional>
#include <map>
#include <nlohmann/json.hpp>
#include <optional>
#include <set>
#include <utility>

#include "common/digest/sha256.h"
#include "jobs/spec/name.h"
#include "jobs/spec/sweep.h"
#include "scheduler/coordinator/answers.h"
#include "scheduler/coordinator/job_json.h"
#include "scheduler/coordinator/json_null.h"
#include "scheduler/coordinator/random_bits.h"
#include "scheduler/coordinator/submission.h"

namespace tutti::coordinator {
namespace {

using nlohmann::json;

constexpr std::size_t kSweepKeyMax = 256;  // characters of an idempotency key
constexpr int kSweepIdTries = 4;

// ---- reading ---------------------------------------------------------------------------------

struct SweepView {
  std::string id;
  std::vector<JobView> trials;  // by number
};

std::optional<double> MetricIn(const json& metrics, const std::string& name) {
  const auto found = metrics.find(name);
  if (found == metrics.end() || !found->is_number()) return std::nullopt;
  return found->get<double>();
}

// The trial's metric as far as it is known: of its result, of its newest evaluation.
std::optional<double> ValueOf(const JobView& view) {
  const std::string& metric = view.job.request.trial.metric;
  if (metric.empty()) return std::nullopt;
  if (const auto* done = std::get_if<core::Succeeded>(&view.job.phase)) {
    const json metrics = json::parse(done->metrics_json, nullptr, false);
    if (const auto value = metrics.is_object() ? MetricIn(metrics, metric) : std::nullopt) {
      return value;
    }
  }
  if (view.progress && view.progress->eval) {
    const auto value = view.progress->eval->metrics.find(metric);
    if (value != view.progress->eval->metrics.end()) return value->second;
  }
  if (!view.job.rungs.empty()) return view.job.rungs.back();
  return std::nullopt;
}

json TrialJson(const JobView& view, std::optional<double> value) {
  const core::Trial& trial = view.job.request.trial;
  const bool has_progress = view.progress && view.progress->progress;
  const auto total = view.job.estimate ? view.job.estimate->total_steps : 0;
  return {{"trial", trial.number},
          {"job", view.job.id.ToString()},
          {"state", spec::ToString(view.shown.state)},
          {"reason", TextOrNull(view.shown.reason)},
          {"message", TextOrNull(view.shown.message)},
          {"parameters", ParametersJson(trial)},
          {"step", has_progress ? json(view.progress->progress->step) : json()},
          {"total_steps", CountOrNull(total)},
          {"value", value ? json(*value) : json()},
          {"rungs", view.job.rungs}};
}

// Which trial is the best: of those that succeeded, else of all that have a value.
std::optional<std::size_t> BestOf(const SweepView& sweep,
                                  const std::vector<std::optional<double>>& values) {
  for (const bool succeeded_only : {true, false}) {
    std::optional<std::size_t> best;
    for (std::size_t i = 0; i < values.size(); ++i) {
      const core::Job& job = sweep.trials[i].job;
      if (!values[i]) continue;
      if (succeeded_only && !std::holds_alternative<core::Succeeded>(job.phase)) continue;
      const bool better = !best || (job.request.trial.maximize ? *values[i] > *values[*best]
                                                               : *values[i] < *values[*best]);
      if (better) best = i;
    }
    if (best) return best;
  }
  return std::nullopt;
}

json SweepJson(const SweepView& sweep) {
  const core::Trial& any = sweep.trials.front().job.request.trial;
  json trials = json::array();
  std::vector<std::optional<double>> values;
  std::size_t finished = 0;
  for (const JobView& view : sweep.trials) {
    values.push_back(ValueOf(view));
    trials.push_back(TrialJson(view, values.back()));
    finished += core::IsFinished(view.job) ? 1 : 0;
  }
  const auto best = BestOf(sweep, values);
  json out = {{"id", sweep.id},
              {"name", any.sweep_name},
              {"method", any.method},
              {"metric", TextOrNull(any.metric)},
              {"mode", any.metric.empty() ? json() : json(any.maximize ? "max" : "min")},
              {"of", any.of},
              {"finished", finished},
              {"best", best ? trials[*best] : json()}};
  out["trials"] = std::move(trials);
  return out;
}

// Of those in the ledger by that id, or the newest by that name.
Result<SweepView> FindSweep(JobReader& jobs, const View& view, const std::string& text) {
  const core::Ledger& ledger = view.state->ledger;
  const std::set<JobId>* found = nullptr;
  std::uint64_t newest = 0;
  for (const auto& [id, trials] : ledger.trials) {
    const core::Job& first = ledger.jobs.at(*trials.begin());
    if (id != text && first.request.trial.sweep_name != text) continue;
    if (found != nullptr && first.sequence < newest) continue;
    found = &trials;
    newest = first.sequence;
    if (id == text) break;
  }
  if (found == nullptr) {
    return Fail(ErrorCode::kNotFound, "there is no sweep '" + text + "'", {},
                "'tutti sweep list' shows those there are");
  }
  SweepView sweep;
  std::map<std::uint32_t, const core::Job*> by_number;
  for (const JobId id : *found) {
    const core::Job& job = ledger.jobs.at(id);
    by_number[job.request.trial.number] = &job;
    sweep.id = job.request.trial.sweep;
  }
  for (const auto& [number, job] : by_number) sweep.trials.push_back(jobs.ViewOf(view, *job));
  return sweep;
}

using SweepRows = std::vector<json>;

Result<SweepRows> ListSweeps(const View& view) {
  const core::Ledger& ledger = view.state->ledger;
  std::map<std::uint64_t, json, std::greater<>> rows;  // the newest first
  for (const auto& [id, trials] : ledger.trials) {
    const core::Job& first = ledger.jobs.at(*trials.begin());
    std::size_t finished = 0;
    for (const JobId job : trials) finished += core::IsFinished(ledger.jobs.at(job)) ? 1 : 0;
    rows[first.sequence] = {{"id", id},
                            {"name", first.request.trial.sweep_name},
                            {"method", first.request.trial.method},
                            {"of", first.request.trial.of},
                            {"finished", finished},
                            {"submitted_at", first.submitted_at.ToRfc3339()}};
  }
  SweepRows list;
  for (auto& [sequence, row] : rows) list.push_back(std::move(row));
  return list;
}

// ---- submitting ------------------------------------------------------------------------------

using SweepSubmission = std::vector<Submission>;  // one a trial

void GiveIds(SweepSubmission& trials) {
  for (Submission& trial : trials) trial.input.job = JobId(RandomBits());
  const std::string first = trials.front().input.job.ToString();
  for (Submission& trial : trials) {
    trial.input.request.trial.sweep = "s-" + first.substr(JobTag::kPrefix.size());
  }
}

Result<core::Reply> StepSweep(Round& round, SweepSubmission trials) {
  core::SubmitSweep sweep;
  for (Submission& trial : trials) {
    TUTTI_RETURN_IF_ERROR(
        FindDependencies(round.state().ledger, trial.depends_on, trial.input.request));
    sweep.trials.push_back(std::move(trial.input));
  }
  return round.Step(std::move(sweep));
}

void AnswerSweep(Api& api, const http::Responder& responder, const std::string& text, int status) {
  AnswerRead(
      api, responder, [&api, text](const View& view) { return FindSweep(api.jobs, view, text); },
      [status](const SweepView& sweep) { return http::Json(status, SweepJson(sweep)); });
}

void Submit(Api& api, const http::Responder& responder, SweepSubmission submission, int tries) {
  GiveIds(submission);
  DoOrRefuse(api, responder, [&api, responder, submission, tries](Round& round) {
    auto reply = StepSweep(round, submission);
    std::string id;
    if (reply) {
      const JobId first = std::get<core::SweepReply>(*reply).jobs.front();
      id = round.state().ledger.jobs.at(first).request.trial.sweep;
    }
    round.After([&api, responder, submission, tries, reply, id](const Status& stored) {
      if (!stored) {
        responder.Send(stored.error());
      } else if (reply) {
        AnswerSweep(api, responder, id, std::get<core::SweepReply>(*reply).created ? 201 : 200);
      } else if (reply.error().code == ErrorCode::kUnavailable && tries > 1) {
        Submit(api, responder, submission, tries - 1);
      } else {
        responder.Send(reply.error());
      }
    });
  });
}

// What all trials have in common.
Result<core::Trial> ReadHead(const json& body) {
  TUTTI_RETURN_IF_ERROR(CheckKeys(body, {"name", "method", "metric", "mode", "trials"}));
  const auto text = [&](const char* key) {
    const auto found = body.find(key);
    return found != body.end() && found->is_string() ? found->get<std::string>() : std::string();
  };
  core::Trial head;
  head.sweep_name = text("name");
  if (!spec::IsName(head.sweep_name)) return Fail(ErrorCode::kInvalid, "is no name", "#/name");
  const auto method = spec::ParseSweepMethod(text("method"));
  if (!method) return Fail(ErrorCode::kInvalid, "must be grid, random or asha", "#/method");
  head.method = spec::ToString(*method);
  head.metric = text("metric");
  head.maximize = text("mode") != "min";
  if (*method == spec::SweepMethod::kAsha && head.metric.empty()) {
    return Fail(ErrorCode::kInvalid, "asha needs the metric that trials are compared by",
                "#/metric");
  }
  const auto trials = body.find("trials");
  if (trials == body.end() || !trials->is_array() || trials->empty() ||
      trials->size() > core::kTrialsMax) {
    return Fail(ErrorCode::kInvalid,
                "must be a list of 1 to " + std::to_string(core::kTrialsMax) + " trials",
                "#/trials");
  }
  head.of = static_cast<std::uint32_t>(trials->size());
  return head;
}

// CheckInputs of one trial after another (and CheckWebhooks), done once for those in a row that
// read the same.
class InputsCheck {
 public:
  InputsCheck(const registry::BlobStore& blobs, const webhooks::Networks& networks)
      : blobs_(blobs), networks_(networks) {}

  Status Check(const spec::JobSpec& job) {
    TUTTI_RETURN_IF_ERROR(CheckWebhooks(job, networks_));
    Read read{job.model, job.data.train, job.data.eval, job.inputs};
    if (checked_ == read) return {};
    TUTTI_RETURN_IF_ERROR(CheckInputs(job, blobs_));
    checked_ = std::move(read);
    return {};
  }

 private:
  struct Read {
    std::string model;
    std::string train;
    std::optional<std::string> eval;
    spec::Inputs inputs;
    bool operator==(const Read&) const = default;
  };

  const registry::BlobStore& blobs_;
  const webhooks::Networks& networks_;
  std::optional<Read> checked_;
};

// One trial of the body, checked as a job of its own is.
tl::expected<Submission, std::vector<Error>> ReadTrial(InputsCheck& inputs, const json& trial,
                                                       core::Trial head, const std::string& user) {
  const std::string where = "#/trials/" + std::to_string(head.number - 1);
  const bool good = trial.is_object() && trial.contains("parameters") &&
                    trial["parameters"].is_object() && trial.size() == 2;
  if (!good) {
    return tl::unexpected(
        std::vector{Error{ErrorCode::kInvalid, "must have a spec and its parameters", where}});
  }
  auto job = ReadSpec(trial);
  if (!job) {
    for (Error& error : job.error()) {
      error.where = where + (error.where.starts_with('#') ? error.where.substr(1) : error.where);
    }
    return tl::unexpected(std::move(job).error());
  }
  if (const Status there = inputs.Check(*job); !there) {
    return tl::unexpected(std::vector{there.error()});
  }
  Submission submission{SubmitOf(*job, user), job->schedule.depends_on};
  head.parameters_json = trial["parameters"].dump();
  submission.input.request.trial = std::move(head);
  return submission;
}

void SubmitSweep(Api& api, const http::Request& request, const http::Responder& responder) {
  const json& body = BodyOf(request);
  auto head = ReadHead(body);
  if (!head) {
    responder.Send(head.error());
    return;
  }
  const std::string key(request.Header("idempotency-key").value_or(""));
  if (key.size() > kSweepKeyMax) {
    responder.Send(Error{ErrorCode::kInvalid, "is too long", "Idempotency-Key"});
    return;
  }
  const std::string digest = Sha256Of(body.dump()).ToString();
  SweepSubmission submission;
  InputsCheck inputs(api.blobs, api.webhooks.for_jobs());
  for (const json& trial : body["trials"]) {
    ++head->number;
    auto read = ReadTrial(inputs, trial, *head, request.caller.user);
    if (!read) {
      responder.Send(http::ErrorResponse(read.error()));
      return;
    }
    if (!key.empty()) read->input.idempotency_key = key + "#" + std::to_string(head->number);
    read->input.body_digest = digest;
    submission.push_back(std::move(*read));
  }
  Submit(api, responder, std::move(submission), kSweepIdTries);
}

constexpr const char* kTrialSchema = R"({"type": "object", "properties": {
  "trial": {"type": "integer"}, "job": {"type": "string"}, "state": {"type": "string"},
  "reason": {"type": ["string", "null"]}, "message": {"type": ["string", "null"]},
  "parameters": {"type": "object"}, "step": {"type": ["integer", "null"]},
  "total_steps": {"type": ["integer", "null"]}, "value": {"type": ["number", "null"]},
  "rungs": {"type": "array", "items": {"type": "number"}}}})";

std::string SweepSchema() {
  return std::string(R"({"type": "object", "required": ["id", "name", "method", "metric", "mode",
  "of", "finished", "best", "trials"], "properties": {"id": {"type": "string"},
  "name": {"type": "string"}, "method": {"type": "string"}, "metric": {"type": ["string", "null"]},
  "mode": {"enum": ["min", "max", null]}, "of": {"type": "integer"},
  "finished": {"type": "integer"}, "best": {"anyOf": [{"type": "null"}, )") +
         kTrialSchema + R"(]}, "trials": {"type": "array", "items": )" + kTrialSchema + "}}}";
}

constexpr const char* kSweepsSchema = R"({"type": "object", "required": ["data"], "properties": {
  "data": {"type": "array", "items": {"type": "object", "properties": {
  "id": {"type": "string"}, "name": {"type": "string"}, "method": {"type": "string"},
  "of": {"type": "integer"}, "finished": {"type": "integer"},
  "submitted_at": {"type": "string", "format": "date-time"}}}}}})";
constexpr const char* kSubmitSchema = R"({"type": "object",
  "required": ["name", "method", "trials"], "properties": {
  "name": {"type": "string"}, "method": {"enum": ["grid", "random", "asha"]},
  "metric": {"type": "string"}, "mode": {"enum": ["min", "max"]},
  "trials": {"type": "array", "minItems": 1, "items": {"type": "object",
  "required": ["parameters", "spec"], "properties": {"parameters": {"type": "object"},
  "spec": {"type": "object", "description": "a resolved spec with its inputs"}}}}},
  "additionalProperties": false})";

}  // namespace

void RegisterSweepRoutes(http::Router& router, Api& api) {
  router.Add({.path = "/api/v1/sweeps",
              .summary = "Sweeps, newest first",
              .response_schema = kSweepsSchema,
              .access = http::Access::kViewer,
              .handler = [&api](const http::Request&, const http::Responder& responder) {
                AnswerRead(api, responder, ListSweeps, [](const SweepRows& rows) {
                  return http::Json(200, {{"data", rows}});
                });
              }});
  router.Add({.method = http::Method::kPost,
              .path = "/api/v1/sweeps",
              .summary = "Submits all trials of a sweep, or none",
              .request_schema = kSubmitSchema,
              .response_schema = SweepSchema(),
              .status = 201,
              .access = http::Access::kSubmitter,
              .body = http::Body::kJson,
              .body_max = Bytes{32 << 20},
              .run_on = http::RunOn::kPool,
              .handler = [&api](const http::Request& request, const http::Responder& responder) {
                SubmitSweep(api, request, responder);
              }});
  router.Add({.path = "/api/v1/sweeps/{sweep}",
              .summary = "A sweep with all its trials, by id or name (the newest)",
              .response_schema = SweepSchema(),
              .access = http::Access::kViewer,
              .handler = [&api](const http::Request& request, const http::Responder& responder) {
                AnswerSweep(api, responder, request.Param("sweep"), 200);
              }});
}

}  // namespace tutti::coordinator
