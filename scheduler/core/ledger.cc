#include "scheduler/core/ledger.h"

namespace tutti::core {

const Gang* ActiveGang(const Job& job) {
  if (const auto* starting = std::get_if<Starting>(&job.phase)) return &starting->gang;
  if (const auto* running = std::get_if<Running>(&job.phase)) return &running->gang;
  if (const auto* stopping = std::get_if<Stopping>(&job.phase)) return &stopping->gang;
  return nullptr;
}

bool IsFinished(const Job& job) {
  return std::holds_alternative<Succeeded>(job.phase) ||
         std::holds_alternative<Failed>(job.phase) || std::holds_alternative<Cancelled>(job.phase);
}

const Job* FindJob(const Ledger& ledger, JobId id) {
  const auto found = ledger.jobs.find(id);
  return found == ledger.jobs.end() ? nullptr : &found->second;
}

std::set<JobId> Outstanding(const Ledger& ledger, const JobRequest& request) {
  std::set<JobId> outstanding;
  for (const JobId id : request.depends_on) {
    const Job* job = FindJob(ledger, id);
    if (job != nullptr && !std::holds_alternative<Succeeded>(job->phase)) outstanding.insert(id);
  }
  return outstanding;
}

const Node* FindNode(const Ledger& ledger, NodeId id) {
  const auto found = ledger.nodes.find(id);
  return found == ledger.nodes.end() ? nullptr : &found->second;
}

namespace {

// Ids sort as their text does (Crockford's digits ascend in ASCII), so a prefix is a range whose
// first id is the prefix filled up with zeros.
const Job* FindByPrefix(const Ledger& ledger, std::string_view prefix) {
  constexpr std::size_t kIdLength = JobTag::kPrefix.size() + 8;
  if (prefix.size() <= JobTag::kPrefix.size() || prefix.size() > kIdLength) return nullptr;
  std::string first(prefix);
  first.resize(kIdLength, '0');
  const auto id = JobId::Parse(first);
  if (!id) return nullptr;
  const auto found = ledger.jobs.lower_bound(*id);
  const auto matches = [&](auto it) {
    return it != ledger.jobs.end() && it->first.ToString().starts_with(prefix);
  };
  if (!matches(found) || matches(std::next(found))) return nullptr;
  return &found->second;
}

}  // namespace

const Job* FindJobByText(const Ledger& ledger, std::string_view text) {
  if (const auto id = JobId::Parse(text)) {
    if (const Job* job = FindJob(ledger, *id)) return job;
  }
  if (const auto named = ledger.by_name.find(std::string(text)); named != ledger.by_name.end()) {
    return FindJob(ledger, ledger.by_sequence.at(*named->second.rbegin()));
  }
  return FindByPrefix(ledger, text);
}

}  // namespace tutti::core
