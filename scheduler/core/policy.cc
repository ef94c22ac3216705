#include "scheduler/core/policy.h"

#include <array>

namespace tutti::core {
namespace {

std::vector<const Job*> Fifo(const Ledger& ledger) {
  std::vector<const Job*> order;
  order.reserve(ledger.queued.size());
  for (const QueueKey& key : ledger.queued) {
    const Job& job = ledger.jobs.at(key.job);
    if (!job.held) order.push_back(&job);
  }
  return order;
}

constexpr std::array kPolicies = {Policy{"fifo", &Fifo}};

}  // namespace

std::span<const Policy> Policies() { return kPolicies; }

const Policy* FindPolicy(std::string_view name) {
  for (const Policy& policy : kPolicies) {
    if (policy.name == name) return &policy;
  }
  return nullptr;
}

const Policy& DefaultPolicy() { return kPolicies[0]; }

}  // namespace tutti::core
