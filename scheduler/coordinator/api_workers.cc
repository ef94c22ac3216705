// Workers: what there are, what runs on them, and emptying one.
#include <map>
#include <nlohmann/json.hpp>
#include <utility>

#include "scheduler/coordinator/answers.h"
#include "scheduler/coordinator/json_null.h"

namespace tutti::coordinator {
namespace {

using nlohmann::json;

struct WorkerRow {
  core::Node node;
  std::optional<core::NodeSeen> seen;
  std::map<std::string, std::string> labels;
  std::string address;
  std::map<JobId, std::uint32_t> ranks;  // of gangs in the ledger, on this node
  bool draining = false;
};

WorkerRow ReadWorker(Api& api, const View& view, const core::Node& node) {
  const core::State& state = *view.state;
  WorkerRow row{.node = node, .seen = {}, .labels = {}, .address = {}, .ranks = {}};
  row.draining = state.liveness.draining || node.draining;
  if (const auto seen = state.liveness.nodes.find(node.id); seen != state.liveness.nodes.end()) {
    row.seen = seen->second;
  }
  if (const Session* session = api.workers.Of(node.id)) {
    row.labels = session->labels;
    row.address = session->address;
  }
  for (const JobId job : node.gangs) {
    for (const core::GangMember& member : core::ActiveGang(state.ledger.jobs.at(job))->members) {
      if (member.node == node.id) row.ranks[job] += member.ranks;
    }
  }
  return row;
}

Result<std::vector<WorkerRow>> ReadWorkers(Api& api, const View& view) {
  std::vector<WorkerRow> rows;
  for (const auto& [id, node] : view.state->ledger.nodes) {
    rows.push_back(ReadWorker(api, view, node));
  }
  return rows;
}

// By name or id. kNotFound.
Result<NodeId> FindWorker(const core::Ledger& ledger, const std::string& text) {
  if (const auto named = ledger.node_by_name.find(text); named != ledger.node_by_name.end()) {
    return named->second;
  }
  const auto id = NodeId::Parse(text);
  if (id && core::FindNode(ledger, *id) != nullptr) return *id;
  return Fail(ErrorCode::kNotFound, "there is no worker '" + text + "'", {},
              "'tutti worker list' shows those there are");
}

json WorkerJson(const WorkerRow& row) {
  json gangs = json::array();
  if (row.seen) {
    for (const core::GangSeen& gang : row.seen->gangs) {
      const auto known = row.ranks.find(gang.job);
      gangs.push_back({{"job", gang.job.ToString()},
                       {"attempt", Number(gang.attempt)},
                       {"ranks", known == row.ranks.end() ? gang.rank_pids.size() : known->second},
                       {"stopping", gang.stopping},
                       {"rank_pids", gang.rank_pids}});
    }
  }
  const bool seen = row.seen.has_value();
  return {{"id", row.node.id.ToString()},
          {"name", row.node.name},
          {"state", core::ToString(row.node.state)},
          {"version", row.node.version},
          {"slots", row.node.slots},
          {"slots_used", row.node.slots_used},
          {"gpus", row.node.gpus},
          {"gpus_used", row.node.gpus_used},
          {"gpu_model", TextOrNull(row.node.gpu_model)},
          {"cores", row.node.cores},
          {"memory_bytes", CountOrNull(row.node.memory_bytes)},
          {"memory_bytes_used", seen ? CountOrNull(row.seen->memory_used_bytes) : json()},
          {"disk_free_bytes", seen ? CountOrNull(row.seen->disk_free_bytes) : json()},
          {"cpu_seconds", seen ? json(row.seen->cpu_seconds) : json()},
          {"cpu_model", TextOrNull(row.node.cpu_model)},
          {"numerics_fingerprint", TextOrNull(row.node.numerics_fingerprint)},
          {"pid", seen ? CountOrNull(row.seen->pid) : json()},
          {"zygote_pid", seen ? CountOrNull(row.seen->zygote_pid) : json()},
          {"last_seen_at", seen ? json(row.seen->last_seen_at.ToRfc3339()) : json()},
          {"address", TextOrNull(row.address)},
          {"draining", row.draining},
          {"labels", row.labels},
          {"gangs", std::move(gangs)}};
}

void AnswerWorker(Api& api, const http::Responder& responder, const std::string& text) {
  AnswerRead(
      api, responder,
      [&api, text](const View& view) -> Result<WorkerRow> {
        const core::Ledger& ledger = view.state->ledger;
        TUTTI_ASSIGN_OR_RETURN(const NodeId id, FindWorker(ledger, text));
        return ReadWorker(api, view, ledger.nodes.at(id));
      },
      [](const WorkerRow& row) { return http::Json(200, WorkerJson(row)); });
}

void DrainWorker(Api& api, const http::Responder& responder, const std::string& text, bool drain) {
  DoOrRefuse(api, responder, [&api, responder, text, drain](Round& round) {
    const auto id = FindWorker(round.state().ledger, text);
    Status decided;
    if (!id) {
      decided = Fail(id.error());
    } else if (const auto reply = round.Step(core::DrainNode{*id, drain}); !reply) {
      decided = Fail(reply.error());
    }
    round.After([&api, responder, text, decided](const Status& stored) {
      if (!stored || !decided) {
        responder.Send(stored ? decided.error() : stored.error());
        return;
      }
      AnswerWorker(api, responder, text);
    });
  });
}

constexpr const char* kWorkersSchema = R"({"type": "object", "required": ["data"],
  "properties": {"data": {"type": "array", "items": {"$ref": "#/components/schemas/Worker"}}}})";
constexpr const char* kWorkerSchema = R"({"$ref": "#/components/schemas/Worker"})";

}  // namespace

void RegisterWorkerRoutes(http::Router& router, Api& api) {
  router.Add(
      {.path = "/api/v1/workers",
       .summary = "Workers, also those that were lost or left",
       .response_schema = kWorkersSchema,
       .access = http::Access::kViewer,
       .handler = [&api](const http::Request&, const http::Responder& responder) {
         AnswerRead(
             api, responder, [&api](const View& view) { return ReadWorkers(api, view); },
             [](const std::vector<WorkerRow>& rows) { return DataAnswer(rows, WorkerJson); });
       }});
  router.Add({.path = "/api/v1/workers/{worker}",
              .summary = "One worker, by name or id",
              .response_schema = kWorkerSchema,
              .access = http::Access::kViewer,
              .handler = [&api](const http::Request& request, const http::Responder& responder) {
                AnswerWorker(api, responder, request.Param("worker"));
              }});
  router.Add({.method = http::Method::kPost,
              .path = "/api/v1/workers/{worker}/drain",
              .summary = "Its gangs checkpoint and go on elsewhere; nothing is placed on it",
              .response_schema = kWorkerSchema,
              .access = http::Access::kAdmin,
              .handler = [&api](const http::Request& request, const http::Responder& responder) {
                DrainWorker(api, responder, request.Param("worker"), true);
              }});
  router.Add({.method = http::Method::kPost,
              .path = "/api/v1/workers/{worker}/undrain",
              .summary = "It takes gangs again",
              .response_schema = kWorkerSchema,
              .access = http::Access::kAdmin,
              .handler = [&api](const http::Request& request, const http::Responder& responder) {
                DrainWorker(api, responder, request.Param("worker"), false);
              }});
}

}  // namespace tutti::coordinator
