// A job's checkpoints as they lie on this machine: list, verify, collect.
#include <algorithm>
#include <utility>

#include "worker/checkpoint/checkpoint.h"
#include "worker/engine/request.h"
#include "worker/engine/tools.h"

namespace tutti::engine {
namespace {

using checkpoint::Found;
using checkpoint::Manifested;
using nlohmann::json;

json FoundJson(const Found& found) {
  return {{"step", found.step},
          {"attempt", found.attempt},
          {"path", found.path.string()},
          {"state_digest", found.state_digest},
          {"size_bytes", found.size.count}};
}

json FoundJson(const std::vector<Found>& list) {
  json out = json::array();
  for (const Found& found : list) out.push_back(FoundJson(found));
  return out;
}

// A step that was acknowledged: what has to be here.
struct Known {
  std::int64_t step = 0;
  std::int64_t attempt = 0;
  std::string state_digest;
};

Result<std::optional<Known>> ReadKnown(const json& request) {
  const auto found = request.find("newest");
  if (found == request.end() || found->is_null()) return std::nullopt;
  if (!found->is_object()) return Fail(ErrorCode::kInvalid, "expected an object", "#/newest");
  Known known;
  TUTTI_ASSIGN_OR_RETURN(known.state_digest, RequiredText(*found, "state_digest"));
  TUTTI_ASSIGN_OR_RETURN(const auto step, OptionalCount(*found, "step"));
  TUTTI_ASSIGN_OR_RETURN(const auto attempt, OptionalCount(*found, "attempt"));
  known.step = step.value_or(0);
  known.attempt = attempt.value_or(0);
  return known;
}

bool Is(const Manifested& each, const Known& known) {
  return each.step == known.step && each.attempt == known.attempt;
}

Status Check(const Manifested& each, const std::optional<Known>& known) {
  if (!each.found) return Fail(each.found.error());
  if (known && Is(each, *known) && each.found->state_digest != known->state_digest) {
    return Fail(ErrorCode::kInvalid,
                "its manifest is not of the state that was committed, " + known->state_digest);
  }
  return checkpoint::Verify(*each.found);
}

json CheckedJson(const Manifested& each, const Status& good) {
  json out = each.found ? FoundJson(*each.found)
                        : json{{"step", each.step},
                               {"attempt", each.attempt},
                               {"path", each.manifest.string()},
                               {"state_digest", nullptr},
                               {"size_bytes", nullptr}};
  out["ok"] = good.has_value();
  out["message"] = good ? json() : json(good.error().ToString());
  return out;
}

Result<json> VerifyAll(const std::string& directory, const json& request) {
  TUTTI_ASSIGN_OR_RETURN(const auto step, OptionalCount(request, "step"));
  TUTTI_ASSIGN_OR_RETURN(const auto known, ReadKnown(request));
  TUTTI_ASSIGN_OR_RETURN(const auto all, checkpoint::ListManifests(directory));
  json list = json::array();
  for (const Manifested& each : all) {
    if (step && each.step != *step) continue;
    list.push_back(CheckedJson(each, Check(each, known)));
  }
  const bool wanted = known && (!step || *step == known->step);
  if (wanted && std::ranges::none_of(all, [&](const auto& each) { return Is(each, *known); })) {
    list.push_back({{"step", known->step},
                    {"attempt", known->attempt},
                    {"path", directory},
                    {"state_digest", known->state_digest},
                    {"size_bytes", nullptr},
                    {"ok", false},
                    {"message", "it was committed and is not there"}});
  } else if (step && list.empty()) {
    return Fail(ErrorCode::kNotFound, "there is no checkpoint of step " + std::to_string(*step),
                directory);
  }
  return json{{"checkpoints", std::move(list)}};
}

// What a job that goes on needs: the newest checkpoint that verifies, and the best it knows of.
// None when none verifies.
std::vector<std::int64_t> NeededSteps(const std::vector<Found>& newest_first) {
  for (const Found& found : newest_first) {
    if (checkpoint::Verify(found)) return {found.step, found.cursor.best_step};
  }
  return {};
}

Result<json> CollectAll(const std::string& directory, const json& request) {
  TUTTI_ASSIGN_OR_RETURN(const auto attempt, OptionalCount(request, "attempt"));
  const std::int64_t keep = request.value("keep", std::int64_t{1});
  if (keep < 0) return Fail(ErrorCode::kInvalid, "expected a whole number", "#/keep");
  checkpoint::PruneOptions options{.keep = static_cast<std::size_t>(keep),
                                   .attempt = static_cast<std::uint32_t>(attempt.value_or(0)),
                                   .dry_run = request.value("dry_run", false)};
  if (request.value("may_resume", true)) {
    TUTTI_ASSIGN_OR_RETURN(const auto found, checkpoint::List(directory));
    options.keep_steps = NeededSteps(found);
    // Without a good one none goes: a person may still save something.
    if (options.keep_steps.empty()) options.keep = found.size();
  }
  TUTTI_ASSIGN_OR_RETURN(const auto pruned, checkpoint::Prune(directory, options));
  return json{{"kept", FoundJson(pruned.kept)},
              {"removed", FoundJson(pruned.removed)},
              {"leftovers", pruned.leftovers.size()},
              {"freed_bytes", pruned.freed.count}};
}

}  // namespace

Result<json> Checkpoints(const json& request) {
  TUTTI_ASSIGN_OR_RETURN(const std::string action, RequiredText(request, "action"));
  TUTTI_ASSIGN_OR_RETURN(const std::string directory, RequiredText(request, "directory"));
  if (action == "list") {
    TUTTI_ASSIGN_OR_RETURN(const auto found, checkpoint::List(directory));
    return json{{"checkpoints", FoundJson(found)}};
  }
  if (action == "verify") return VerifyAll(directory, request);
  if (action == "gc") return CollectAll(directory, request);
  return Fail(ErrorCode::kInvalid, "expected list, verify or gc", "#/action");
}

}  // namespace tutti::engine
