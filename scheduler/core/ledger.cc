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

const Job* FindJob(const Ledger& ledger, JobId id) { return ledger.jobs.Find(id); }

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

// Ids sort as their text does (Crockford's digits ascend in ASCII), so a prefix is a range of ids:
// from the prefix filled up with the first digit to the prefix filled up with the last one.
const Job* FindByPrefix(const Ledger& ledger, std::string_view prefix) {
  constexpr std::size_t kIdLength = JobTag::kPrefix.size() + 8;
  if (prefix.size() <= JobTag::kPrefix.size() || prefix.size() > kIdLength) return nullptr;
  const auto filled = [&](char digit) {
    std::string text(prefix);
    text.resize(kIdLength, digit);
    return JobId::Parse(text);
  };
  const auto first = filled('0');
  const auto last = filled('z');
  if (!first || !last) return nullptr;
  std::optional<JobId> found;
  for (const auto& [sequence, id] : ledger.by_sequence) {
    if (id < *first || id > *last) continue;
    if (found) return nullptr;  // of several jobs
    found = id;
  }
  return found ? FindJob(ledger, *found) : nullptr;
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
