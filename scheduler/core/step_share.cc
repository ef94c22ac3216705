// How the cluster is shared: queues and policy as administrators set them, and what is used.
#include <algorithm>
#include <cmath>

#include "common/base/check.h"
#include "jobs/spec/name.h"
#include "scheduler/core/decision.h"
#include "scheduler/core/timing.h"

namespace tutti::core {
namespace {

using internal::Concat;

constexpr std::uint64_t kLimitMax = std::uint64_t{1} << 40;

// A queue's own, all it may hold and what one user may, of `what`.
Status CheckLimits(const char* what, std::uint64_t own, std::uint64_t most, std::uint64_t user) {
  if (own > kLimitMax || most > kLimitMax || user > kLimitMax) {
    return Fail(ErrorCode::kInvalid, Concat(what, " are out of range"), what);
  }
  if (most == 0 || own <= most) return {};
  return Fail(ErrorCode::kInvalid,
              Concat(what, " (", own, ", its own) is more than ", what, "_max (", most,
                     ", all it may hold)"),
              what);
}

// The parent has to be there, and no queue a part of itself.
Status CheckParent(const Sharing& sharing, const std::string& name, const std::string& parent) {
  if (parent.empty()) return {};
  if (!sharing.queues.contains(parent)) {
    return Fail(ErrorCode::kInvalid, Concat("there is no queue '", parent, "' that was set"),
                "parent", Concat("make it first: tutti queue set ", parent, " weight=1"));
  }
  const std::vector<std::string> chain = ChainOf(sharing, parent);
  if (std::find(chain.begin(), chain.end(), name) != chain.end()) {
    return Fail(ErrorCode::kInvalid, Concat("queue ", name, " would be a part of itself"),
                "parent");
  }
  std::size_t below = 0;  // the longest chain of queues below this one
  for (const auto& [other, config] : sharing.queues) {
    const std::vector<std::string> up = ChainOf(sharing, other);
    const auto at = std::find(up.begin(), up.end(), name);
    if (at != up.end()) below = std::max(below, static_cast<std::size_t>(at - up.begin()));
  }
  if (chain.size() + 1 + below > kQueueDepthMax) {
    return Fail(ErrorCode::kInvalid,
                Concat("queues lie in each other at most ", kQueueDepthMax, " deep"), "parent");
  }
  return {};
}

}  // namespace

Status Decide(Decision& decision, const SetQueue& input) {
  const Sharing& sharing = decision.state.ledger.sharing;
  if (!spec::IsName(input.name)) {
    return Fail(ErrorCode::kInvalid,
                "a queue's name has 1 to 63 of A-Z a-z 0-9 . _ -, starting with a letter or digit",
                "name");
  }
  const QueueConfig& config = input.config;
  if (!std::isfinite(config.weight) || config.weight <= 0 || config.weight > kWeightMax) {
    return Fail(ErrorCode::kInvalid, Concat("weight must be above 0 and at most ", kWeightMax),
                "weight");
  }
  TUTTI_RETURN_IF_ERROR(CheckLimits("slots", config.slots, config.slots_max, config.user_slots));
  TUTTI_RETURN_IF_ERROR(CheckLimits("gpus", config.gpus, config.gpus_max, config.user_gpus));
  TUTTI_RETURN_IF_ERROR(CheckParent(sharing, input.name, config.parent));
  if (!sharing.queues.contains(input.name) && sharing.queues.size() >= kQueuesMax) {
    return Fail(ErrorCode::kQuota, Concat("there are ", kQueuesMax, " queues already"));
  }
  if (sharing.queues.contains(input.name) && ConfigOf(sharing, input.name) == config) return {};
  decision.Say(QueueSet{input.name, config, decision.at});
  return {};
}

Status Decide(Decision& decision, const SetPolicy& input) {
  if (FindPolicy(input.policy) == nullptr) {
    std::string known;
    for (const Policy& policy : Policies()) {
      known += (known.empty() ? "" : ", ") + std::string(policy.name);
    }
    return Fail(ErrorCode::kInvalid, Concat("there is no policy '", input.policy, "'"), "policy",
                "one of: " + known);
  }
  const Policy& now = PolicyOf(decision.state.ledger, decision.state.policy);
  if (now.name != input.policy) decision.Say(PolicySet{input.policy, decision.at});
  return {};
}

void ChargeUsage(Decision& decision) {
  const Ledger& ledger = decision.state.ledger;
  const Duration passed = decision.now - decision.state.liveness.charged;
  if (passed < kChargeEvery || ledger.active.empty()) return;
  const auto ms = [](Duration time) {
    return static_cast<std::uint64_t>(
        std::chrono::duration_cast<std::chrono::milliseconds>(time).count());
  };
  // Nothing was counted while nothing ran: what runs now has not run for all of that time.
  decision.Say(UsageCharged{ms(passed), ms(std::min(passed, kChargeEvery)), decision.at});
  decision.See(UsageCounted{});
}

}  // namespace tutti::core
