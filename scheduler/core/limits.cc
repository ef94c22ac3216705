#include "scheduler/core/limits.h"

#include <algorithm>

#include "common/base/check.h"

namespace tutti::core {
namespace {

using internal::Concat;

Amount Own(const QueueConfig& config) { return {config.slots, config.gpus}; }
Amount Most(const QueueConfig& config) { return {config.slots_max, config.gpus_max}; }
Amount MostOfUser(const QueueConfig& config) { return {config.user_slots, config.user_gpus}; }

// 0 = no limit.
std::uint64_t Left(std::uint64_t limit, std::uint64_t held) {
  return limit == 0 ? kAnyAmount.slots : limit - std::min(limit, held);
}
Amount Left(const Amount& limit, const Amount& held) {
  return {Left(limit.slots, held.slots), Left(limit.gpus, held.gpus)};
}

Amount Least(const Amount& a, const Amount& b) {
  return {std::min(a.slots, b.slots), std::min(a.gpus, b.gpus)};
}

// One limit that a gang would exceed.
struct Exceeded {
  std::string needed;  // "4 GPUs"; "" = none
  std::uint64_t limit = 0;
  std::uint64_t held = 0;
};
Exceeded FindExceeded(const Amount& needed, const Amount& limit, const Amount& held) {
  const Amount left = Left(limit, held);
  if (left.slots < needed.slots) return {SlotsText(needed.slots), limit.slots, held.slots};
  if (left.gpus < needed.gpus) return {GpusText(needed.gpus), limit.gpus, held.gpus};
  return {};
}

}  // namespace

Held::Held(const Ledger& ledger) : ledger_(ledger) {
  for (const auto& [name, config] : ledger.sharing.queues) own_ += Own(config);
  for (const auto& [who, held] : ledger.held_by) Add(who, held);
}

Amount Held::Of(const std::string& queue) const {
  const auto found = by_queue_.find(queue);
  return found == by_queue_.end() ? Amount{} : found->second;
}

Amount Held::Of(const QueueUser& who) const {
  const auto found = by_user_.find(who);
  return found == by_user_.end() ? Amount{} : found->second;
}

void Held::Add(const QueueUser& who, const Amount& amount) {
  if (ledger_.sharing.queues.empty()) return;
  for (const std::string& queue : ChainOf(ledger_.sharing, who.queue)) {
    by_user_[{queue, who.user}] += amount;
    by_queue_[queue] += amount;
  }
}

void Held::Add(const Job& job, std::uint32_t ranks) {
  Add(WhoOf(job), AmountOf(job.request, ranks));
}

Amount Held::Allows(const QueueUser& who) const {
  Amount allowed = kAnyAmount;
  if (ledger_.sharing.queues.empty()) return allowed;
  for (const std::string& queue : ChainOf(ledger_.sharing, who.queue)) {
    const QueueConfig& config = ConfigOf(ledger_.sharing, queue);
    if (Most(config) == Amount{} && MostOfUser(config) == Amount{}) continue;
    allowed = Least(allowed, Left(Most(config), Of(queue)));
    allowed = Least(allowed, Left(MostOfUser(config), Of(QueueUser{queue, who.user})));
  }
  return allowed;
}

std::string Held::Refusal(const Job& job) const {
  const Amount needed = SmallestOf(job);
  for (const std::string& queue : ChainOf(ledger_.sharing, job.request.queue)) {
    const QueueConfig& config = ConfigOf(ledger_.sharing, queue);
    const Exceeded all = FindExceeded(needed, Most(config), Of(queue));
    if (!all.needed.empty()) {
      return Concat("needs ", all.needed, "; queue ", queue, " may hold ", all.limit, " and holds ",
                    all.held);
    }
    const QueueUser who{queue, job.request.user};
    const Exceeded own = FindExceeded(needed, MostOfUser(config), Of(who));
    if (!own.needed.empty()) {
      return Concat("needs ", own.needed, "; a user may hold ", own.limit, " of queue ", queue,
                    ", and ", who.user, " holds ", own.held);
    }
  }
  return "";
}

Amount Held::Owed(const std::string& queue) const {
  Amount owed;
  for (const std::string& each : ChainOf(ledger_.sharing, queue)) {
    const Amount own = Own(ConfigOf(ledger_.sharing, each));
    const Amount held = Of(each);
    owed.slots = std::max(owed.slots, own.slots - std::min(own.slots, held.slots));
    owed.gpus = std::max(owed.gpus, own.gpus - std::min(own.gpus, held.gpus));
  }
  return owed;
}

bool Held::IsOwed(const Job& job) const {
  const bool slots = own_.slots > 0;
  const bool gpus = own_.gpus > 0 && AsksForGpus(job);
  if (!slots && !gpus) return false;
  const Amount owed = Owed(job.request.queue);
  const Amount needed = SmallestOf(job);
  return (!slots || owed.slots >= needed.slots) && (!gpus || owed.gpus >= needed.gpus);
}

bool Held::Borrows(const Job& other, const Job& owner) const {
  const std::string& queue = other.request.queue;
  const std::string& mine = owner.request.queue;
  if (own_.slots > 0 && Borrows(queue, mine, &Amount::slots)) return true;
  const bool both = AsksForGpus(other) && AsksForGpus(owner);
  return both && own_.gpus > 0 && Borrows(queue, mine, &Amount::gpus);
}

bool Held::Borrows(const std::string& queue, const std::string& owner, Kind kind) const {
  const std::vector<std::string> owners = ChainOf(ledger_.sharing, owner);
  for (const std::string& each : ChainOf(ledger_.sharing, queue)) {
    // From here on both are part of it: what is lent within it is settled.
    if (std::find(owners.begin(), owners.end(), each) != owners.end()) return each != queue;
    if (Of(each).*kind <= Own(ConfigOf(ledger_.sharing, each)).*kind) return false;
  }
  return true;
}

}  // namespace tutti::core
