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

std::uint64_t SmallestOf(const Job& job) {
  return std::uint64_t{SizesOf(job).min} * job.request.cpus_per_rank;
}

}  // namespace

Held::Held(const Ledger& ledger) : ledger_(ledger), by_user_(ledger.slots_by) {
  for (const auto& [who, slots] : by_user_) by_queue_[who.queue] += slots;
}

std::uint64_t Held::Of(const std::string& queue) const {
  const auto found = by_queue_.find(queue);
  return found == by_queue_.end() ? 0 : found->second;
}

std::uint64_t Held::Of(const QueueUser& who) const {
  const auto found = by_user_.find(who);
  return found == by_user_.end() ? 0 : found->second;
}

void Held::Add(const Job& job, std::uint64_t slots) {
  by_user_[{job.request.queue, job.request.user}] += slots;
  by_queue_[job.request.queue] += slots;
}

std::uint64_t Held::Allows(const Job& job) const {
  const QueueConfig config = ConfigOf(ledger_.sharing, job.request.queue);
  if (config.slots_max == 0 && config.user_slots == 0) return kNoLimit;
  return std::min(Left(config.slots_max, Of(job.request.queue)),
                  Left(config.user_slots, Of(QueueUser{job.request.queue, job.request.user})));
}

std::string Held::Refusal(const Job& job) const {
  const std::uint64_t needed = SmallestOf(job);
  if (Allows(job) >= needed) return "";
  const std::string& queue = job.request.queue;
  const QueueConfig config = ConfigOf(ledger_.sharing, queue);
  if (Left(config.slots_max, Of(queue)) < needed) {
    return Concat("needs ", needed, " slots; queue ", queue, " may hold ", config.slots_max,
                  " and holds ", Of(queue));
  }
  return Concat("needs ", needed, " slots; a user may hold ", config.user_slots, " of queue ",
                queue, ", and ", job.request.user, " holds ",
                Of(QueueUser{queue, job.request.user}));
}

std::uint64_t Held::Owed(const std::string& queue) const {
  const std::uint64_t own = ConfigOf(ledger_.sharing, queue).slots;
  return own - std::min(own, Of(queue));
}

std::uint64_t Held::Borrowed(const std::string& queue) const {
  const std::uint64_t own = ConfigOf(ledger_.sharing, queue).slots;
  const std::uint64_t held = Of(queue);
  return held - std::min(own, held);
}

}  // namespace tutti::core
