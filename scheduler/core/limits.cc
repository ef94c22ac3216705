#include "scheduler/core/limits.h"

#include <algorithm>
#include <limits>

#include "common/base/check.h"
#include "scheduler/core/place.h"

namespace tutti::core {
namespace {

using internal::Concat;

constexpr std::uint64_t kNoLimit = std::numeric_limits<std::uint64_t>::max();

std::uint64_t Left(std::uint64_t limit, std::uint64_t held) {
  if (limit == 0) return kNoLimit;
  return limit - std::min(limit, held);
}

}  // namespace

Held::Held(const Ledger& ledger) : ledger_(ledger) {
  for (const auto& [who, slots] : ledger.slots_by) Add(who, slots);
}

std::uint64_t Held::Of(const std::string& queue) const {
  const auto found = by_queue_.find(queue);
  return found == by_queue_.end() ? 0 : found->second;
}

std::uint64_t Held::Of(const QueueUser& who) const {
  const auto found = by_user_.find(who);
  return found == by_user_.end() ? 0 : found->second;
}

void Held::Add(const QueueUser& who, std::uint64_t slots) {
  if (ledger_.sharing.queues.empty()) return;
  for (const std::string& queue : ChainOf(ledger_.sharing, who.queue)) {
    by_user_[{queue, who.user}] += slots;
    by_queue_[queue] += slots;
  }
}

void Held::Add(const Job& job, std::uint64_t slots) { Add(WhoOf(job), slots); }

std::uint64_t Held::Allows(const QueueUser& who) const {
  if (ledger_.sharing.queues.empty()) return kNoLimit;
  std::uint64_t allowed = kNoLimit;
  for (const std::string& queue : ChainOf(ledger_.sharing, who.queue)) {
    const QueueConfig& config = ConfigOf(ledger_.sharing, queue);
    if (config.slots_max == 0 && config.user_slots == 0) continue;
    allowed = std::min({allowed, Left(config.slots_max, Of(queue)),
                        Left(config.user_slots, Of(QueueUser{queue, who.user}))});
  }
  return allowed;
}

std::string Held::Refusal(const Job& job) const {
  const std::uint64_t needed = SmallestOf(job);
  for (const std::string& queue : ChainOf(ledger_.sharing, job.request.queue)) {
    const QueueConfig& config = ConfigOf(ledger_.sharing, queue);
    if (Left(config.slots_max, Of(queue)) < needed) {
      return Concat("needs ", needed, " slots; queue ", queue, " may hold ", config.slots_max,
                    " and holds ", Of(queue));
    }
    const QueueUser who{queue, job.request.user};
    if (Left(config.user_slots, Of(who)) < needed) {
      return Concat("needs ", needed, " slots; a user may hold ", config.user_slots, " of queue ",
                    queue, ", and ", who.user, " holds ", Of(who));
    }
  }
  return "";
}

std::uint64_t Held::Owed(const std::string& queue) const {
  std::uint64_t owed = 0;
  for (const std::string& each : ChainOf(ledger_.sharing, queue)) {
    const std::uint64_t own = ConfigOf(ledger_.sharing, each).slots;
    owed = std::max(owed, own - std::min(own, Of(each)));
  }
  return owed;
}

bool Held::Borrows(const std::string& queue, const std::string& owner) const {
  const std::vector<std::string> owners = ChainOf(ledger_.sharing, owner);
  for (const std::string& each : ChainOf(ledger_.sharing, queue)) {
    // From here on both are part of it: what is lent within it is settled.
    if (std::find(owners.begin(), owners.end(), each) != owners.end()) return each != queue;
    if (Of(each) <= ConfigOf(ledger_.sharing, each).slots) return false;
  }
  return true;
}

}  // namespace tutti::core
