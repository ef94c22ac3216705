// Facts as the durable events of the API (docs/formats/http-api.md).
#include <nlohmann/json.hpp>

#include "scheduler/coordinator/job_json.h"
#include "scheduler/registry/model_store.h"

namespace tutti::coordinator {
namespace {

using nlohmann::json;

// One overload a fact: its type and what it says beside job, seq and time. An empty type: no event.
struct Teller {
  const core::Ledger& ledger;
  std::string type{};
  JobId job{};
  WallTime at{};
  json data = json::object();

  template <typename Fact>
  void Say(const char* name, const Fact& fact) {
    type = name;
    job = fact.job;
    at = fact.at;
    if constexpr (requires { fact.attempt; }) data["attempt"] = Number(fact.attempt);
  }

  void operator()(const core::JobSubmitted& f) {
    Say("submitted", f);
    data["name"] = f.request.name;
    data["queue"] = f.request.queue;
    data["priority"] = f.request.priority;
    data["held"] = f.held;
  }
  void operator()(const core::JobAdmitted& f) {
    Say("admitted", f);
    data["estimate"] = EstimateJson(f.estimate);
  }
  void operator()(const core::JobRejected& f) {
    Say("rejected", f);
    data.update({{"reason", spec::ToString(f.reason)}, {"message", f.message}, {"where", f.where}});
  }
  void operator()(const core::GangPlaced& f) {
    Say("placed", f);
    json workers = json::array();
    for (const core::GangMember& member : f.members) {
      const core::Node* node = core::FindNode(ledger, member.node);
      workers.push_back(node == nullptr ? member.node.ToString() : node->name);
    }
    data.update({{"ranks", f.size}, {"workers", std::move(workers)}});
  }
  void operator()(const core::GangStarted& f) {
    Say("started", f);
    data["from_step"] = f.from_step;
  }
  void operator()(const core::StopRequested& f) {
    Say("stop_requested", f);
    data["reason"] = core::ToString(f.why);
  }
  void operator()(const core::CheckpointCommitted& f) {
    Say("checkpoint", f);
    data.update({{"step", f.step},
                 {"path", f.path},
                 {"state_digest", f.state_digest},
                 {"size_bytes", f.size_bytes}});
  }
  void operator()(const core::GangReleased& f) {
    Say("released", f);
    data.update({{"reason", core::ToString(f.why)}, {"step", f.step}});
  }
  void operator()(const core::AttemptFailed& f) {
    Say("attempt_failed", f);
    data.update({{"reason", spec::ToString(f.reason)}, {"message", f.message}, {"step", f.step}});
  }
  void operator()(const core::JobSucceeded& f) {
    Say("succeeded", f);
    json metrics = json::parse(f.metrics_json, nullptr, false);
    if (!metrics.is_object()) metrics = json::object();
    data.update({{"step", f.step}, {"digest", f.model_digest}, {"metrics", std::move(metrics)}});
  }
  void operator()(const core::JobFailed& f) {
    Say("failed", f);
    data.update({{"reason", spec::ToString(f.reason)}, {"message", f.message}});
  }
  void operator()(const core::JobCancelled& f) {
    Say("cancelled", f);
    if (!f.message.empty()) data["message"] = f.message;
  }
  void operator()(const core::RungReached& f) {
    Say("rung", f);
    data.update({{"rung", f.rung + 1}, {"step", f.step}, {"value", f.value}});
  }
  void operator()(const core::JobPaused& f) { Say("paused", f); }
  void operator()(const core::JobResumed& f) {
    Say("resumed", f);
    data["ranks"] = f.ranks == 0 ? json() : json(f.ranks);
  }
  void operator()(const core::JobResized& f) {
    Say("resized", f);
    data["ranks"] = f.ranks;
  }
  void operator()(const core::HoldReleased& f) { Say("hold_released", f); }
  void operator()(const core::JobPriorityChanged& f) {
    Say("priority_changed", f);
    data["priority"] = f.priority;
  }
  void operator()(const core::OtherNumericsAllowed& f) { Say("other_numerics_allowed", f); }
  void operator()(const core::JobArchived&) {}
  void operator()(const core::NodeRegistered&) {}
  void operator()(const core::NodeLost&) {}
  void operator()(const core::NodeLeft&) {}
  void operator()(const core::NodeDrained&) {}
  void operator()(const core::CoordinatorStarted&) {}
  void operator()(const core::QueueSet&) {}
  void operator()(const core::PolicySet&) {}
  void operator()(const core::UsageCharged&) {}
};

}  // namespace

std::optional<FactEvent> EventOf(std::uint64_t seq, const core::Fact& fact,
                                 const core::Ledger& ledger) {
  Teller teller{ledger};
  std::visit(teller, fact);
  if (teller.type.empty()) return std::nullopt;
  FactEvent event{.job = teller.job.ToString(), .type = teller.type, .data = ""};
  teller.data["seq"] = seq;
  teller.data["type"] = event.type;
  teller.data["job"] = event.job;
  teller.data["at"] = teller.at.ToRfc3339();
  event.data = teller.data.dump(-1, ' ', false, json::error_handler_t::replace);
  return event;
}

}  // namespace tutti::coordinator
