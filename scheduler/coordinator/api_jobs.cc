// Submitting jobs, listing and showing them, waiting for them.
#include <nlohmann/json.hpp>
#include <utility>

#include "common/base/words.h"
#include "common/digest/sha256.h"
#include "jobs/spec/states.h"
#include "scheduler/coordinator/answers.h"
#include "scheduler/coordinator/job_json.h"
#include "scheduler/coordinator/random_bits.h"
#include "scheduler/coordinator/submission.h"

namespace tutti::coordinator {
namespace {

using nlohmann::json;

constexpr std::size_t kListDefault = 100;
constexpr std::size_t kListMax = 1000;
constexpr std::uint64_t kWaitMaxMs = 60'000;
constexpr std::size_t kKeyMax = 256;  // characters of an idempotency key

// "queued,running" → states.
Result<std::vector<spec::JobState>> StatesIn(std::string_view text) {
  std::vector<spec::JobState> states;
  for (const std::string_view word : CommaWords(text)) {
    const auto state = spec::ParseJobState(word);
    if (!state) {
      return Fail(ErrorCode::kInvalid, "there is no state '" + std::string(word) + "'", "state");
    }
    states.push_back(*state);
  }
  return states;
}

Result<JobFilter> FilterOf(const http::Request& request) {
  JobFilter filter;
  TUTTI_ASSIGN_OR_RETURN(filter.states, StatesIn(request.Query("state").value_or("")));
  filter.name = request.Query("name").value_or("");
  filter.text = request.Query("q").value_or("");
  TUTTI_ASSIGN_OR_RETURN(filter.all, request.QueryFlag("all"));
  TUTTI_ASSIGN_OR_RETURN(filter.before, request.QueryNumber("before", 0));
  TUTTI_ASSIGN_OR_RETURN(const std::uint64_t limit, request.QueryNumber("limit", kListDefault));
  if (limit == 0 || limit > kListMax) {
    return Fail(ErrorCode::kInvalid, "must be between 1 and " + std::to_string(kListMax), "limit");
  }
  filter.limit = limit;
  return filter;
}

void ListJobs(Api& api, const http::Request& request, const http::Responder& responder) {
  const auto filter = FilterOf(request);
  if (!filter) {
    responder.Send(filter.error());
    return;
  }
  AnswerRead(
      api, responder,
      [&api, filter = *filter](const View& view) { return api.jobs.List(view, filter); },
      [&api](const JobPage& page) {
        json data = json::array();
        for (const JobView& job : page.jobs) data.push_back(JobJson(job, api.models_dir()));
        return http::Json(
            200, {{"data", std::move(data)}, {"next", page.next ? json(*page.next) : json()}});
      });
}

void ShowSpec(Api& api, const http::Request& request, const http::Responder& responder) {
  AnswerRead(
      api, responder,
      [text = request.Param("job")](const View& view) { return JobReader::FindJob(view, text); },
      [](const core::Job& job) { return http::Text(200, job.spec_json, "application/json"); });
}

void WaitForJob(Api& api, const http::Request& request, const http::Responder& responder) {
  const auto timeout_ms = request.QueryNumber("timeout_ms", kWaitMaxMs);
  if (!timeout_ms) {
    responder.Send(timeout_ms.error());
    return;
  }
  const Instant deadline =
      MonotonicNow() + std::chrono::milliseconds(std::min(*timeout_ms, kWaitMaxMs));
  WithJob(api, responder, request.Param("job"), [&api, responder, deadline](const core::Job& job) {
    const auto answer = [&api, responder, id = job.id.ToString()] {
      AnswerJob(api, responder, id, 200);
    };
    if (core::IsFinished(job)) return answer();
    api.waiters.Add(job.id, deadline, answer);
  });
}

Result<core::Reply> StepSubmission(Round& round, Submission submission) {
  const core::Ledger& ledger = round.state().ledger;
  core::Submit& input = submission.input;
  TUTTI_RETURN_IF_ERROR(FindDependencies(ledger, submission.depends_on, input.request));
  while (core::FindJob(ledger, input.job) != nullptr) input.job = JobId(RandomBits());
  return round.Step(std::move(input));
}

void Submit(Api& api, const http::Responder& responder, Submission submission) {
  const auto shared = std::make_shared<Submission>(std::move(submission));  // a work is copyable
  DoOrRefuse(api, responder, [&api, responder, shared](Round& round) {
    auto reply = StepSubmission(round, std::move(*shared));
    round.After([&api, responder, reply = std::move(reply)](const Status& stored) {
      if (!stored) {
        responder.Send(stored.error());
      } else if (reply) {
        const auto& job = std::get<core::JobReply>(*reply);
        AnswerJob(api, responder, job.job.ToString(), job.created ? 201 : 200);
      } else {
        responder.Send(reply.error());
      }
    });
  });
}

void SubmitJob(Api& api, const http::Request& request, const http::Responder& responder) {
  const auto refuse = [&](const Error& error) { responder.Send(error); };
  const std::string key(request.Header("idempotency-key").value_or(""));
  if (key.size() > kKeyMax) {
    return refuse({ErrorCode::kInvalid, "has more than " + std::to_string(kKeyMax) + " characters",
                   "Idempotency-Key"});
  }
  auto body = ReadSubmitBody(request.body);
  if (!body) {
    responder.Send(std::move(body).error());
    return;
  }
  spec::JobSpec& job = body->job;
  if (const Status inputs = CheckInputs(job, api.blobs); !inputs) return refuse(inputs.error());
  if (const Status hooks = CheckWebhooks(job, api.webhooks.for_jobs()); !hooks) {
    return refuse(hooks.error());
  }
  core::Submit input = SubmitOf(job, request.caller.user);
  input.held = body->held;
  input.idempotency_key = key;
  // Of what was understood: how it was spaced and ordered is no difference.
  input.body_digest = Sha256Of(input.spec_json + (input.held ? " held" : "")).ToString();
  Submit(api, responder, {std::move(input), std::move(job.schedule.depends_on)});
}

}  // namespace

void RegisterJobRoutes(http::Router& router, Api& api) {
  router.Add({.path = "/api/v1/jobs",
              .summary = "Jobs, newest first; finished ones of the last hour, or all",
              .response_schema = R"({"type": "object", "required": ["data", "next"],
                "properties": {"data": {"type": "array", "items":
                  {"$ref": "#/components/schemas/Job"}},
                "next": {"type": ["integer", "null"], "description": "for ?before="}}})",
              .query = {"state", "name", "q", "limit", "before", "all"},
              .access = http::Access::kViewer,
              .handler = [&api](const http::Request& request, const http::Responder& responder) {
                ListJobs(api, request, responder);
              }});
  router.Add({.method = http::Method::kPost,
              .path = "/api/v1/jobs",
              .summary = "Submits a job; with an Idempotency-Key that made one before, that one",
              .request_schema = R"({"type": "object", "required": ["spec"], "properties": {
                "spec": {"type": "object", "description": "a resolved spec with its inputs"},
                "hold": {"type": "boolean"}}, "additionalProperties": false})",
              .response_schema = kJobSchema,
              .status = 201,
              .access = http::Access::kSubmitter,
              .body = http::Body::kText,
              .body_max = Bytes{4 << 20},
              .run_on = http::RunOn::kPool,
              .handler = [&api](const http::Request& request, const http::Responder& responder) {
                SubmitJob(api, request, responder);
              }});
  router.Add({.path = "/api/v1/jobs/{job}",
              .summary = "A job, by id, unique prefix of it, or name (the newest)",
              .response_schema = kJobSchema,
              .access = http::Access::kViewer,
              .handler = [&api](const http::Request& request, const http::Responder& responder) {
                AnswerJob(api, responder, request.Param("job"), 200);
              }});
  router.Add({.path = "/api/v1/jobs/{job}/spec",
              .summary = "A job's resolved spec",
              .response_schema = R"({"type": "object"})",
              .access = http::Access::kViewer,
              .handler = [&api](const http::Request& request, const http::Responder& responder) {
                ShowSpec(api, request, responder);
              }});
  router.Add({.path = "/api/v1/jobs/{job}/wait",
              .summary = "The job once it has finished or the time (60 s at most) is over",
              .response_schema = kJobSchema,
              .query = {"timeout_ms"},
              .access = http::Access::kViewer,
              .handler = [&api](const http::Request& request, const http::Responder& responder) {
                WaitForJob(api, request, responder);
              }});
}

}  // namespace tutti::coordinator
