// What users do to a job: cancel, pause, resume, resize, and the like. Each answers with the job.
#include <nlohmann/json.hpp>
#include <utility>

#include "common/base/check.h"
#include "scheduler/coordinator/answers.h"

namespace tutti::coordinator {
namespace {

using nlohmann::json;

constexpr std::int64_t kRanksMax = 1 << 20;

// What is done with a job that is in the ledger.
using Act = std::function<Result<core::Reply>(Round&, const core::Job&)>;
// From the request's body.
using MakeAct = std::function<Result<Act>(const json& body)>;

// A job that left the ledger has finished long ago.
void AnswerGone(Api& api, const http::Responder& responder, const std::string& text) {
  WithJob(api, responder, text, [responder](const core::Job& job) {
    responder.Send(Error{ErrorCode::kConflict, internal::Concat("job ", job.id, " has finished")});
  });
}

// Whoever may submit may change what is theirs; admins may change everything.
Status MayChange(const http::Caller& caller, const core::Job& job) {
  if (caller.scope == http::Scope::kAdmin || job.request.user == caller.user) return {};
  return Fail(ErrorCode::kAuth,
              internal::Concat("job ", job.id, " is ", job.request.user, "'s, and this token is ",
                               caller.user, "'s"),
              {}, "its user or an admin may do this");
}

void ActOn(Api& api, const http::Responder& responder, const http::Request& request, Act act) {
  DoOrRefuse(api, responder,
             [&api, responder, text = request.Param("job"), caller = request.caller,
              act = std::move(act)](Round& round) {
               const core::Job* job = core::FindJobByText(round.state().ledger, text);
               if (job == nullptr) return AnswerGone(api, responder, text);
               if (const Status may = MayChange(caller, *job); !may) {
                 responder.Send(http::ErrorResponse(403, may.error()));
                 return;
               }
               const std::string id = job->id.ToString();
               const Result<core::Reply> reply = act(round, *job);
               round.After([&api, responder, id, reply](const Status& stored) {
                 if (!stored) {
                   responder.Send(stored.error());
                 } else if (!reply) {
                   responder.Send(reply.error());
                 } else {
                   AnswerJob(api, responder, id, 200);
                 }
               });
             });
}

template <typename Input>
MakeAct Simple() {
  return [](const json& body) -> Result<Act> {
    TUTTI_RETURN_IF_ERROR(CheckKeys(body, {}));
    return [](Round& round, const core::Job& job) { return round.Step(Input{job.id}); };
  };
}

// A paused job goes on; a held one is released, with another size when one is given. With `any_cpu`
// no job waits for a CPU and engine that compute the same bits any more.
Result<core::Reply> Resume(Round& round, const core::Job& job, std::uint32_t ranks, bool any_cpu) {
  const JobId id = job.id;
  const bool held = job.held;
  const bool paused = std::holds_alternative<core::Paused>(job.phase);
  if (any_cpu) TUTTI_RETURN_IF_ERROR(round.Step(core::AllowOtherNumerics{id}));
  if (paused || (!held && !any_cpu)) {
    TUTTI_RETURN_IF_ERROR(round.Step(core::Resume{id, ranks}));
  } else if (ranks != 0) {
    TUTTI_RETURN_IF_ERROR(round.Step(core::Resize{id, ranks}));
  }
  if (held) TUTTI_RETURN_IF_ERROR(round.Step(core::ReleaseHold{id}));
  return core::JobReply{id, false};
}

Result<Act> MakeResume(const json& body) {
  TUTTI_RETURN_IF_ERROR(CheckKeys(body, {"ranks", "any_cpu"}));
  TUTTI_ASSIGN_OR_RETURN(const std::int64_t ranks, NumberIn(body, "ranks", 1, kRanksMax, 0));
  TUTTI_ASSIGN_OR_RETURN(const bool any_cpu, FlagIn(body, "any_cpu"));
  return [ranks = static_cast<std::uint32_t>(ranks), any_cpu](Round& round, const core::Job& job) {
    return Resume(round, job, ranks, any_cpu);
  };
}

Result<Act> MakeResize(const json& body) {
  TUTTI_RETURN_IF_ERROR(CheckKeys(body, {"ranks"}));
  TUTTI_ASSIGN_OR_RETURN(const std::int64_t ranks,
                         NumberIn(body, "ranks", 1, kRanksMax, std::nullopt));
  return [ranks = static_cast<std::uint32_t>(ranks)](Round& round, const core::Job& job) {
    return round.Step(core::Resize{job.id, ranks});
  };
}

Result<Act> MakeChange(const json& body) {
  constexpr std::int64_t kPriorityMax = 1'000'000'000;
  TUTTI_RETURN_IF_ERROR(CheckKeys(body, {"priority"}));
  TUTTI_ASSIGN_OR_RETURN(const std::int64_t priority,
                         NumberIn(body, "priority", -kPriorityMax, kPriorityMax, std::nullopt));
  return [priority](Round& round, const core::Job& job) {
    return round.Step(core::SetPriority{job.id, priority});
  };
}

struct ActionRow {
  http::Method method = http::Method::kPost;
  const char* path = "";
  const char* summary = "";
  const char* request_schema = R"({"type": "object", "additionalProperties": false})";
  MakeAct make{};
};

constexpr const char* kResumeSchema = R"({"type": "object", "properties": {
  "ranks": {"type": "integer", "minimum": 1, "description": "a power of two"},
  "any_cpu": {"type": "boolean", "description": "though the weights' last bits will differ"}},
  "additionalProperties": false})";
constexpr const char* kRanksRequiredSchema = R"({"type": "object", "required": ["ranks"],
  "properties": {"ranks": {"type": "integer", "minimum": 1, "description": "a power of two"}},
  "additionalProperties": false})";
constexpr const char* kChangeSchema = R"({"type": "object", "required": ["priority"],
  "properties": {"priority": {"type": "integer"}}, "additionalProperties": false})";

}  // namespace

void RegisterActionRoutes(http::Router& router, Api& api) {
  const std::vector<ActionRow> rows = {
      {.path = "/api/v1/jobs/{job}/cancel",
       .summary = "Cancels a job; a running gang is killed",
       .make = Simple<core::Cancel>()},
      {.path = "/api/v1/jobs/{job}/pause",
       .summary = "Pauses a job; a running gang checkpoints first",
       .make = Simple<core::Pause>()},
      {.path = "/api/v1/jobs/{job}/resume",
       .summary = "Lets a paused or held job go on, with another number of ranks if given",
       .request_schema = kResumeSchema,
       .make = MakeResume},
      {.path = "/api/v1/jobs/{job}/release",
       .summary = "Releases a held job",
       .make = Simple<core::ReleaseHold>()},
      {.path = "/api/v1/jobs/{job}/checkpoint",
       .summary = "Asks a running gang for a checkpoint now",
       .make = Simple<core::CheckpointNow>()},
      {.path = "/api/v1/jobs/{job}/resize",
       .summary = "Sets the number of ranks; a running gang checkpoints and is placed anew",
       .request_schema = kRanksRequiredSchema,
       .make = MakeResize},
      {.method = http::Method::kPatch,
       .path = "/api/v1/jobs/{job}",
       .summary = "Changes a job's priority",
       .request_schema = kChangeSchema,
       .make = MakeChange}};
  for (const ActionRow& row : rows) {
    router.Add({.method = row.method,
                .path = row.path,
                .summary = row.summary,
                .request_schema = row.request_schema,
                .response_schema = kJobSchema,
                .access = http::Access::kSubmitter,
                .body = http::Body::kJson,
                .handler = [&api, make = row.make](const http::Request& request,
                                                   const http::Responder& responder) {
                  auto act = make(BodyOf(request));
                  if (!act) {
                    responder.Send(act.error());
                    return;
                  }
                  ActOn(api, responder, request, std::move(*act));
                }});
  }
}

}  // namespace tutti::coordinator
