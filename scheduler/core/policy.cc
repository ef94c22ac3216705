#include "scheduler/core/policy.h"

#include <algorithm>
#include <array>
#include <map>
#include <string>

namespace tutti::core {
namespace {

// What a slot that is held now is taken to use before it is given back: so that shares hold while
// gangs run, not only once they were counted.
constexpr double kHeldMs = 600'000;

void Fifo(const Ledger& ledger, const Visit& visit) {
  for (const QueueKey& key : ledger.queued) {
    const Job& job = ledger.jobs.at(key.job);
    if (!job.held && visit(job) == Verdict::kEnough) return;
  }
}

void Srtf(const Ledger& ledger, const Visit& visit) {
  for (const WorkKey& key : ledger.by_work) {
    const Job& job = ledger.jobs.at(key.job);
    if (!job.held && visit(job) == Verdict::kEnough) return;
  }
}

// A user's waiting jobs in one queue.
struct Line {
  const std::set<QueueKey>* keys = nullptr;
  std::set<QueueKey>::const_iterator next;
  double used = 0;  // slot-ms
};
struct Share {
  double weight = 1;
  double used = 0;
  std::vector<Line> lines;
};

std::vector<Share> SharesOf(const Ledger& ledger) {
  std::map<std::string_view, Share> shares;
  for (const auto& [who, keys] : ledger.queued_by) {
    Share& share = shares[who.queue];
    share.weight = ConfigOf(ledger.sharing, who.queue).weight;
    share.lines.push_back({&keys, keys.begin(), 0});
    const auto used = ledger.sharing.usage.find(who);
    const auto held = ledger.slots_by.find(who);
    if (used != ledger.sharing.usage.end()) share.lines.back().used = used->second.recent_slot_ms;
    if (held != ledger.slots_by.end()) {
      share.lines.back().used += kHeldMs * static_cast<double>(held->second);
    }
  }
  for (const auto& [who, used] : ledger.sharing.usage) {
    const auto share = shares.find(who.queue);
    if (share != shares.end()) share->second.used += used.recent_slot_ms;
  }
  for (const auto& [who, slots] : ledger.slots_by) {
    const auto share = shares.find(who.queue);
    if (share != shares.end()) share->second.used += kHeldMs * static_cast<double>(slots);
  }
  std::vector<Share> list;
  for (auto& [name, share] : shares) list.push_back(std::move(share));
  return list;
}

// Queues by what they used for their weight, in a queue its users by what they used, a user's jobs
// by urgency.
void Fair(const Ledger& ledger, const Visit& visit) {
  std::vector<Share> shares = SharesOf(ledger);
  for (;;) {
    Share* first = nullptr;
    for (Share& share : shares) {
      std::erase_if(share.lines, [](const Line& line) { return line.next == line.keys->end(); });
      if (share.lines.empty()) continue;
      if (first == nullptr || share.used / share.weight < first->used / first->weight)
        first = &share;
    }
    if (first == nullptr) return;
    Line& line = *std::min_element(first->lines.begin(), first->lines.end(),
                                   [](const Line& a, const Line& b) { return a.used < b.used; });
    const Job& job = ledger.jobs.at((line.next++)->job);
    if (job.held) continue;
    const Verdict verdict = visit(job);
    if (verdict == Verdict::kEnough) return;
    if (verdict == Verdict::kPassed) continue;
    const double slots = static_cast<double>(job.request.ranks_min) * job.request.cpus_per_rank;
    line.used += kHeldMs * slots;
    first->used += kHeldMs * slots;
  }
}

constexpr std::array kPolicies = {
    Policy{"fifo", "by priority, then in the order of submission", false, &Fifo},
    Policy{"fair", "by what queues and users used for their weight", false, &Fair},
    Policy{"srtf", "the least work left first; a long job gives way to a short one", true, &Srtf}};

}  // namespace

QueueConfig ConfigOf(const Sharing& sharing, const std::string& queue) {
  const auto found = sharing.queues.find(queue);
  return found == sharing.queues.end() ? QueueConfig{} : found->second;
}

std::span<const Policy> Policies() { return kPolicies; }

const Policy* FindPolicy(std::string_view name) {
  for (const Policy& policy : kPolicies) {
    if (policy.name == name) return &policy;
  }
  return nullptr;
}

const Policy& DefaultPolicy() { return kPolicies[0]; }

const Policy& PolicyOf(const Ledger& ledger, const Policy& otherwise) {
  const Policy* chosen = FindPolicy(ledger.sharing.policy);
  return chosen == nullptr ? otherwise : *chosen;
}

std::vector<const Job*> FirstInOrder(const Ledger& ledger, const Policy& policy,
                                     std::size_t limit) {
  std::vector<const Job*> order;
  if (limit == 0) return order;
  policy.each(ledger, [&](const Job& job) {
    order.push_back(&job);
    return order.size() == limit ? Verdict::kEnough : Verdict::kPassed;
  });
  return order;
}

}  // namespace tutti::core
