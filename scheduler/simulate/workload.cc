#include "scheduler/simulate/workload.h"

#include <algorithm>
#include <bit>
#include <nlohmann/json.hpp>
#include <utility>

namespace tutti::simulate {
namespace {

using nlohmann::json;

Unexpected Wrong(const std::string& what, const std::string& where) {
  return Fail(ErrorCode::kInvalid, what, where, "make it anew from the cluster's journal");
}

// A member of `from`, of the kind of `to`; absent or null: as it is.
template <typename T>
Status Read(const json& from, const char* key, const std::string& where, T& to) {
  const auto found = from.find(key);
  if (found == from.end() || found->is_null()) return {};
  const bool good = [&] {
    if constexpr (std::is_same_v<T, std::string>) return found->is_string();
    if constexpr (std::is_same_v<T, bool>) return found->is_boolean();
    if constexpr (std::is_unsigned_v<T>) return found->is_number_unsigned();
    return found->is_number();
  }();
  if (!good) return Wrong("is of another kind", where + "/" + key);
  to = found->get<T>();
  return {};
}

Status ReadQueue(const json& from, const std::string& where, ClusterWorkload& to) {
  std::string name;
  core::QueueConfig config;
  TUTTI_RETURN_IF_ERROR(Read(from, "name", where, name));
  TUTTI_RETURN_IF_ERROR(Read(from, "weight", where, config.weight));
  TUTTI_RETURN_IF_ERROR(Read(from, "slots", where, config.slots));
  TUTTI_RETURN_IF_ERROR(Read(from, "slots_max", where, config.slots_max));
  TUTTI_RETURN_IF_ERROR(Read(from, "user_slots", where, config.user_slots));
  TUTTI_RETURN_IF_ERROR(Read(from, "gpus", where, config.gpus));
  TUTTI_RETURN_IF_ERROR(Read(from, "gpus_max", where, config.gpus_max));
  TUTTI_RETURN_IF_ERROR(Read(from, "user_gpus", where, config.user_gpus));
  TUTTI_RETURN_IF_ERROR(Read(from, "parent", where, config.parent));
  to.queues[name] = config;
  return {};
}

Status ReadNode(const json& from, const std::string& where, ClusterWorkload& to) {
  WorkloadNode node;
  TUTTI_RETURN_IF_ERROR(Read(from, "name", where, node.name));
  TUTTI_RETURN_IF_ERROR(Read(from, "slots", where, node.slots));
  TUTTI_RETURN_IF_ERROR(Read(from, "gpus", where, node.gpus));
  TUTTI_RETURN_IF_ERROR(Read(from, "memory_bytes", where, node.memory_bytes));
  TUTTI_RETURN_IF_ERROR(Read(from, "numerics", where, node.numerics));
  if (const auto labels = from.find("labels"); labels != from.end() && labels->is_object()) {
    for (const auto& [name, value] : labels->items()) {
      if (value.is_string()) node.labels[name] = value.get<std::string>();
    }
  }
  if (node.slots == 0) return Wrong("must be at least 1", where + "/slots");
  to.nodes.push_back(std::move(node));
  return {};
}

Status ReadJob(const json& from, const std::string& where, ClusterWorkload& to) {
  WorkloadJob job;
  core::JobRequest& request = job.request;
  TUTTI_RETURN_IF_ERROR(Read(from, "name", where, request.name));
  TUTTI_RETURN_IF_ERROR(Read(from, "queue", where, request.queue));
  TUTTI_RETURN_IF_ERROR(Read(from, "user", where, request.user));
  TUTTI_RETURN_IF_ERROR(Read(from, "priority", where, request.priority));
  TUTTI_RETURN_IF_ERROR(Read(from, "ranks_min", where, request.ranks_min));
  TUTTI_RETURN_IF_ERROR(Read(from, "ranks_max", where, request.ranks_max));
  TUTTI_RETURN_IF_ERROR(Read(from, "cpus_per_rank", where, request.cpus_per_rank));
  TUTTI_RETURN_IF_ERROR(Read(from, "gpus_per_rank", where, request.gpus_per_rank));
  TUTTI_RETURN_IF_ERROR(Read(from, "shards", where, request.shards));
  TUTTI_RETURN_IF_ERROR(Read(from, "memory_bytes_per_rank", where, request.memory_bytes_per_rank));
  TUTTI_RETURN_IF_ERROR(Read(from, "preemptible", where, request.preemptible));
  TUTTI_RETURN_IF_ERROR(Read(from, "submitted_ms", where, job.submitted_ms));
  TUTTI_RETURN_IF_ERROR(Read(from, "steps", where, job.steps));
  TUTTI_RETURN_IF_ERROR(Read(from, "step_ms", where, job.step_ms));
  TUTTI_RETURN_IF_ERROR(Read(from, "ranks", where, job.measured_ranks));
  if (job.steps == 0 || !(job.step_ms > 0) || job.measured_ranks == 0) {
    return Wrong("steps, step_ms and ranks must be above 0", where);
  }
  to.jobs.push_back(std::move(job));
  return {};
}

template <typename ReadOne>
Status ReadList(const json& from, const char* key, ClusterWorkload& to, ReadOne read) {
  const auto list = from.find(key);
  if (list == from.end() || !list->is_array()) return Wrong("is missing", std::string("#/") + key);
  for (std::size_t i = 0; i < list->size(); ++i) {
    const std::string where = std::string("#/") + key + "/" + std::to_string(i);
    if (!(*list)[i].is_object()) return Wrong("must be an object", where);
    TUTTI_RETURN_IF_ERROR(read((*list)[i], where, to));
  }
  return {};
}

}  // namespace

Result<ClusterWorkload> ParseWorkload(std::string_view text) {
  const json from = json::parse(text, nullptr, false);
  if (!from.is_object()) return Wrong("a workload is a JSON object", "#");
  ClusterWorkload to;
  TUTTI_RETURN_IF_ERROR(Read(from, "policy", "#", to.policy));
  TUTTI_RETURN_IF_ERROR(ReadList(from, "queues", to, ReadQueue));
  TUTTI_RETURN_IF_ERROR(ReadList(from, "workers", to, ReadNode));
  TUTTI_RETURN_IF_ERROR(ReadList(from, "jobs", to, ReadJob));
  std::stable_sort(to.jobs.begin(), to.jobs.end(),
                   [](const auto& a, const auto& b) { return a.submitted_ms < b.submitted_ms; });
  return to;
}

}  // namespace tutti::simulate
