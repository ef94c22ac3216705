// The cluster: health, metrics, draining all of it.
#include <map>
#include <nlohmann/json.hpp>
#include <utility>

#include "common/version/version.h"
#include "scheduler/coordinator/answers.h"

namespace tutti::coordinator {
namespace {

using nlohmann::json;

struct ClusterRow {
  std::uint64_t generation = 0;
  std::string_view policy;
  bool read_only = false;
  core::Amount all;
  core::Amount used;
  std::map<std::string_view, std::uint64_t> jobs;
};

Result<ClusterRow> ReadCluster(const View& view) {
  const core::State& state = *view.state;
  ClusterRow row;
  row.generation = state.ledger.generation;
  row.policy = core::PolicyOf(state.ledger, state.policy).name;
  row.read_only = view.read_only;
  for (const auto& [id, node] : state.ledger.nodes) {
    if (node.state != core::NodeState::kUp) continue;
    row.all += {node.slots, node.gpus};
    row.used += {node.slots_used, node.gpus_used};
  }
  for (const std::string_view name : spec::JobStateNames()) row.jobs[name] = 0;
  for (const auto& [sequence, id] : state.ledger.by_sequence) {
    ++row.jobs[spec::ToString(core::StateOf(state.ledger, state.ledger.jobs.at(id)))];
  }
  return row;
}

json ClusterJson(const ClusterRow& row, const std::filesystem::path& data_dir) {
  return {{"version", Version()},
          {"revision", Revision()},
          {"generation", row.generation},
          {"data_dir", data_dir.string()},
          {"policy", row.policy},
          {"read_only", row.read_only},
          {"slots", {{"total", row.all.slots}, {"used", row.used.slots}}},
          {"gpus", {{"total", row.all.gpus}, {"used", row.used.gpus}}},
          {"jobs", row.jobs}};
}

void Drain(Api& api, const http::Responder& responder) {
  DoOrRefuse(api, responder, [&api, responder](Round& round) {
    round.Observe(core::DrainBegun{});
    const Result<core::Reply> reply = round.Step(core::DrainAll{});
    round.After([&api, responder, reply](const Status& stored) {
      if (!stored || !reply) {
        responder.Send(stored ? reply.error() : stored.error());
        return;
      }
      AnswerRead(
          api, responder,
          [](const View& view) -> Result<std::size_t> { return view.state->ledger.active.size(); },
          [](std::size_t running) {
            return http::Json(200, {{"running", running}});
          });
    });
  });
}

http::Response Health(const Api& api) {
  return http::Json(
      200, {{"status", "ok"}, {"version", Version()}, {"read_only", api.loop.read_only()}});
}

void MetricsText(Api& api, const http::Responder& responder) {
  AnswerRead(
      api, responder,
      [&api](const View& view) -> Result<bool> {
        api.measures.Refresh(view);
        return true;
      },
      [&api](bool) {
        return http::Text(200, api.metrics.ToText(), std::string(metrics::Metrics::kTextType));
      });
}

constexpr const char* kHealthSchema = R"({"type": "object",
  "required": ["status", "version", "read_only"], "properties": {
  "status": {"type": "string"}, "version": {"type": "string"},
  "read_only": {"type": "boolean"}}})";
constexpr const char* kDrainSchema = R"({"type": "object", "required": ["running"],
  "properties": {"running": {"type": "integer", "minimum": 0}}})";

}  // namespace

void RegisterClusterRoutes(http::Router& router, Api& api) {
  router.Add({.path = "/healthz",
              .summary = "Whether the coordinator serves",
              .response_schema = kHealthSchema,
              .access = http::Access::kOpen,
              .handler = [&api](const http::Request&, const http::Responder& responder) {
                responder.Send(Health(api));
              }});
  router.Add({.path = "/metrics",
              .summary = "Prometheus metrics",
              .response_type = "text/plain",
              .access = http::Access::kOpen,
              .handler = [&api](const http::Request&, const http::Responder& responder) {
                MetricsText(api, responder);
              }});
  router.Add({.path = "/api/v1/cluster",
              .summary = "The cluster in numbers",
              .response_schema = R"({"$ref": "#/components/schemas/Cluster"})",
              .access = http::Access::kViewer,
              .handler = [&api](const http::Request&, const http::Responder& responder) {
                AnswerRead(api, responder, ReadCluster, [&api](const ClusterRow& row) {
                  return http::Json(200, ClusterJson(row, api.data_dir));
                });
              }});
  router.Add(
      {.method = http::Method::kPost,
       .path = "/api/v1/drain",
       .summary = "Every gang checkpoints and nothing is placed any more; how many still run",
       .response_schema = kDrainSchema,
       .access = http::Access::kAdmin,
       .handler = [&api](const http::Request&, const http::Responder& responder) {
         Drain(api, responder);
       }});
}

}  // namespace tutti::coordinator
