// How the cluster is shared: queues with their weights and limits, the policy, and who used what.
#include <array>
#include <map>
#include <nlohmann/json.hpp>
#include <utility>

#include "scheduler/coordinator/answers.h"
#include "scheduler/coordinator/json_null.h"

namespace tutti::coordinator {
namespace {

using nlohmann::json;

constexpr std::int64_t kQueueLimitMax = std::int64_t{1} << 40;

struct QueueRow {
  core::QueueConfig config;
  std::uint64_t queued = 0;
  std::uint64_t running = 0;
  core::Amount used;
};
struct QueueRows {
  std::map<std::string, QueueRow> rows;
  std::string_view policy;
};

Result<QueueRows> ReadQueues(const View& view) {
  const core::Ledger& ledger = view.state->ledger;
  QueueRows all;
  all.policy = core::PolicyOf(ledger, view.state->policy).name;
  all.rows["default"];
  for (const auto& [name, config] : ledger.sharing.queues) all.rows[name];
  for (const core::QueueKey& key : ledger.validating) {
    ++all.rows[ledger.jobs.at(key.job).request.queue].queued;
  }
  for (const auto& [who, line] : ledger.queued_by) all.rows[who.queue].queued += line.size();
  for (const JobId id : ledger.active) ++all.rows[ledger.jobs.at(id).request.queue].running;
  for (const auto& [who, held] : ledger.held_by) all.rows[who.queue].used += held;
  for (auto& [name, row] : all.rows) row.config = core::ConfigOf(ledger.sharing, name);
  return all;
}

json QueuesJson(const QueueRows& all) {
  const auto limit = [](std::uint64_t most) { return most == 0 ? json() : json(most); };
  json data = json::array();
  for (const auto& [name, row] : all.rows) {
    data.push_back({{"name", name},
                    {"queued", row.queued},
                    {"running", row.running},
                    {"slots_used", row.used.slots},
                    {"gpus_used", row.used.gpus},
                    {"weight", row.config.weight},
                    {"slots", row.config.slots},
                    {"slots_max", limit(row.config.slots_max)},
                    {"user_slots", limit(row.config.user_slots)},
                    {"gpus", row.config.gpus},
                    {"gpus_max", limit(row.config.gpus_max)},
                    {"user_gpus", limit(row.config.user_gpus)},
                    {"parent", TextOrNull(row.config.parent)}});
  }
  return {{"data", std::move(data)}, {"policy", all.policy}};
}

// Answers with all queues once `decide` is durable.
void Change(Api& api, const http::Responder& responder,
            std::function<Result<core::Reply>(Round&)> decide) {
  DoOrRefuse(api, responder, [&api, responder, decide = std::move(decide)](Round& round) {
    const Result<core::Reply> reply = decide(round);
    round.After([&api, responder, reply](const Status& stored) {
      if (!stored || !reply) {
        responder.Send(stored ? reply.error() : stored.error());
        return;
      }
      AnswerRead(api, responder, ReadQueues,
                 [](const QueueRows& all) { return http::Json(200, QueuesJson(all)); });
    });
  });
}

// The members of a queue that are whole numbers.
struct Limit {
  const char* name;
  std::uint64_t core::QueueConfig::*member;
};
constexpr std::array kLimits = {Limit{"slots", &core::QueueConfig::slots},
                                Limit{"slots_max", &core::QueueConfig::slots_max},
                                Limit{"user_slots", &core::QueueConfig::user_slots},
                                Limit{"gpus", &core::QueueConfig::gpus},
                                Limit{"gpus_max", &core::QueueConfig::gpus_max},
                                Limit{"user_gpus", &core::QueueConfig::user_gpus}};

struct QueueChange {
  std::optional<double> weight;
  std::array<std::optional<std::int64_t>, kLimits.size()> limits;  // as in kLimits
  std::optional<std::string> parent;                               // "" = none
};

Result<QueueChange> ReadChange(const json& body) {
  TUTTI_RETURN_IF_ERROR(CheckKeys(body, {"weight", "slots", "slots_max", "user_slots", "gpus",
                                         "gpus_max", "user_gpus", "parent"}));
  QueueChange change;
  if (const auto weight = body.find("weight"); weight != body.end()) {
    if (!weight->is_number()) return Fail(ErrorCode::kInvalid, "must be a number", "#/weight");
    change.weight = weight->get<double>();
  }
  if (const auto parent = body.find("parent"); parent != body.end()) {
    if (!parent->is_string()) return Fail(ErrorCode::kInvalid, "must be a text", "#/parent");
    change.parent = parent->get<std::string>();
  }
  for (std::size_t i = 0; i < kLimits.size(); ++i) {
    if (!body.contains(kLimits[i].name)) continue;
    TUTTI_ASSIGN_OR_RETURN(change.limits[i],
                           NumberIn(body, kLimits[i].name, 0, kQueueLimitMax, std::nullopt));
  }
  return change;
}

void SetQueue(Api& api, const http::Request& request, const http::Responder& responder) {
  const auto change = ReadChange(BodyOf(request));
  if (!change) {
    responder.Send(change.error());
    return;
  }
  Change(api, responder, [name = request.Param("queue"), change = *change](Round& round) {
    core::QueueConfig config = core::ConfigOf(round.state().ledger.sharing, name);
    if (change.weight) config.weight = *change.weight;
    for (std::size_t i = 0; i < kLimits.size(); ++i) {
      const auto& given = change.limits[i];
      if (given) config.*kLimits[i].member = static_cast<std::uint64_t>(*given);
    }
    if (change.parent) config.parent = *change.parent;
    return round.Step(core::SetQueue{name, config});
  });
}

void SetPolicy(Api& api, const http::Request& request, const http::Responder& responder) {
  const json& body = BodyOf(request);
  if (const Status known = CheckKeys(body, {"policy"}); !known) {
    responder.Send(known.error());
    return;
  }
  const auto policy = body.find("policy");
  if (policy == body.end() || !policy->is_string()) {
    responder.Send(Error{ErrorCode::kInvalid, "a policy's name is required", "#/policy"});
    return;
  }
  Change(api, responder, [name = policy->get<std::string>()](Round& round) {
    return round.Step(core::SetPolicy{name});
  });
}

struct UsageRow {
  std::string queue;
  std::string user;
  core::Usage usage;
  core::Amount held;  // now
};
using UsageRows = std::vector<UsageRow>;

Result<UsageRows> ReadUsage(const View& view) {
  const core::Ledger& ledger = view.state->ledger;
  std::map<core::QueueUser, UsageRow> rows;
  for (const auto& [who, usage] : ledger.sharing.usage) rows[who].usage = usage;
  for (const auto& [who, held] : ledger.held_by) rows[who].held = held;
  UsageRows list;
  for (auto& [who, row] : rows) list.push_back({who.queue, who.user, row.usage, row.held});
  return list;
}

json UsageJson(const UsageRows& rows) {
  const auto hours = [](std::uint64_t ms) { return static_cast<double>(ms) / 3'600'000; };
  json data = json::array();
  for (const UsageRow& row : rows) {
    data.push_back({{"queue", row.queue},
                    {"user", row.user},
                    {"slot_hours", hours(row.usage.slot_ms)},
                    {"slots_used", row.held.slots},
                    {"gpu_hours", hours(row.usage.gpu_ms)},
                    {"gpus_used", row.held.gpus}});
  }
  return {{"data", std::move(data)}};
}

constexpr const char* kQueuesSchema = R"({"type": "object", "required": ["data", "policy"],
  "properties": {"policy": {"type": "string"}, "data": {"type": "array", "items": {
  "type": "object", "required": ["name", "queued", "running", "slots_used", "gpus_used", "weight",
  "slots", "slots_max", "user_slots", "gpus", "gpus_max", "user_gpus", "parent"], "properties": {
  "name": {"type": "string"}, "queued": {"type": "integer"}, "running": {"type": "integer"},
  "slots_used": {"type": "integer"}, "gpus_used": {"type": "integer"},
  "weight": {"type": "number"}, "slots": {"type": "integer"},
  "slots_max": {"type": ["integer", "null"]}, "user_slots": {"type": ["integer", "null"]},
  "gpus": {"type": "integer"}, "gpus_max": {"type": ["integer", "null"]},
  "user_gpus": {"type": ["integer", "null"]},
  "parent": {"type": ["string", "null"]}}}}}})";
constexpr const char* kQueueSchema = R"({"type": "object", "properties": {
  "weight": {"type": "number", "exclusiveMinimum": 0}, "slots": {"type": "integer", "minimum": 0},
  "slots_max": {"type": "integer", "minimum": 0}, "user_slots": {"type": "integer", "minimum": 0},
  "gpus": {"type": "integer", "minimum": 0}, "gpus_max": {"type": "integer", "minimum": 0},
  "user_gpus": {"type": "integer", "minimum": 0},
  "parent": {"type": "string", "description": "the queue it is a part of; empty: none"}},
  "additionalProperties": false})";
constexpr const char* kPolicySchema = R"({"type": "object", "required": ["policy"],
  "properties": {"policy": {"type": "string"}}, "additionalProperties": false})";
constexpr const char* kUsageSchema = R"({"type": "object", "required": ["data"], "properties": {
  "data": {"type": "array", "items": {"type": "object",
  "required": ["queue", "user", "slot_hours", "slots_used", "gpu_hours", "gpus_used"],
  "properties": {
  "queue": {"type": "string"}, "user": {"type": "string"}, "slot_hours": {"type": "number"},
  "slots_used": {"type": "integer"}, "gpu_hours": {"type": "number"},
  "gpus_used": {"type": "integer"}}}}}})";

}  // namespace

void RegisterQueueRoutes(http::Router& router, Api& api) {
  router.Add({.path = "/api/v1/queues",
              .summary = "Queues, what they hold and may hold, and the cluster's policy",
              .response_schema = kQueuesSchema,
              .access = http::Access::kViewer,
              .handler = [&api](const http::Request&, const http::Responder& responder) {
                AnswerRead(api, responder, ReadQueues,
                           [](const QueueRows& all) { return http::Json(200, QueuesJson(all)); });
              }});
  router.Add({.method = http::Method::kPost,
              .path = "/api/v1/queues/{queue}",
              .summary = "Makes a queue or changes what is given of it; 0 = no limit of that kind",
              .request_schema = kQueueSchema,
              .response_schema = kQueuesSchema,
              .access = http::Access::kAdmin,
              .body = http::Body::kJson,
              .handler = [&api](const http::Request& request, const http::Responder& responder) {
                SetQueue(api, request, responder);
              }});
  router.Add({.method = http::Method::kPost,
              .path = "/api/v1/policy",
              .summary = "Sets the policy that orders the queue",
              .request_schema = kPolicySchema,
              .response_schema = kQueuesSchema,
              .access = http::Access::kAdmin,
              .body = http::Body::kJson,
              .handler = [&api](const http::Request& request, const http::Responder& responder) {
                SetPolicy(api, request, responder);
              }});
  router.Add({.path = "/api/v1/usage",
              .summary = "Slot-hours and GPU-hours of ended attempts, by queue and user",
              .response_schema = kUsageSchema,
              .access = http::Access::kViewer,
              .handler = [&api](const http::Request&, const http::Responder& responder) {
                AnswerRead(api, responder, ReadUsage,
                           [](const UsageRows& rows) { return http::Json(200, UsageJson(rows)); });
              }});
}

}  // namespace tutti::coordinator
