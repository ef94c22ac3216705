#include "worker/agent/gangs.h"

#include <algorithm>
#include <utility>

#include "common/base/ids.h"
#include "common/base/log.h"

namespace tutti::agent {
namespace {

constexpr std::size_t kKnownMax = 4096;
constexpr std::uint32_t kRanksMax = 1024;

// A gang on several machines names each of them, in rank order, and us among them.
bool MembersAddUp(const wire::LaunchGang& launch) {
  if (launch.size() == launch.local_ranks()) return true;
  std::uint64_t ranks = 0;
  bool found = false;
  for (const wire::GangMember& member : launch.members()) {
    if (member.first_rank() != ranks || member.ranks() == 0 || member.name().empty()) return false;
    found |= member.first_rank() == launch.first_rank() && member.ranks() == launch.local_ranks();
    ranks += member.ranks();
  }
  return found && ranks == launch.size();
}

// Names from outside become folders here.
bool IsSane(const wire::LaunchGang& launch) {
  return JobId::Parse(launch.job()).has_value() && launch.attempt() > 0 &&
         launch.local_ranks() > 0 && launch.local_ranks() <= kRanksMax &&
         launch.size() >= launch.local_ranks() &&
         launch.first_rank() <= launch.size() - launch.local_ranks() && MembersAddUp(launch);
}

}  // namespace

Gang* Gangs::Running(const std::string& job) {
  const auto found = running_.find(job);
  return found == running_.end() ? nullptr : found->second.get();
}

std::vector<Gang*> Gangs::All() const {
  std::vector<Gang*> all;
  for (const auto& [job, gang] : running_) all.push_back(gang.get());
  return all;
}

Gangs::Known& Gangs::Remember(const std::string& job, std::uint32_t attempt) {
  Known& known = known_[job];
  if (known.attempt < attempt) {
    known.attempt = attempt;
    known.ended.reset();
  }
  known.serial = ++last_serial_;
  while (known_.size() > kKnownMax) {
    const auto oldest = std::min_element(
        known_.begin(), known_.end(),
        [](const auto& a, const auto& b) { return a.second.serial < b.second.serial; });
    known_.erase(oldest);
  }
  return known_.at(job);
}

void Gangs::Launch(const wire::LaunchGang& launch) {
  if (closed_) return;
  if (!IsSane(launch)) {
    Log(kError, "launch_dropped", {{"job", launch.job()}, {"attempt", launch.attempt()}});
    return;
  }
  const std::string& job = launch.job();
  const auto known = known_.find(job);
  if (known != known_.end() && launch.attempt() < known->second.attempt) {
    Log(kWarning, "launch_refused",
        {{"job", job}, {"attempt", launch.attempt()}, {"newest", known->second.attempt}});
    return;
  }
  if (Gang* running = Running(job)) {
    if (running->attempt() == launch.attempt()) return;
    // The newer one starts when nothing is left of the older.
    Remember(job, launch.attempt());
    next_[job] = launch;
    running->Do(attempt::StopRequested{attempt::Stop::kKill, "a newer attempt"});
    return;
  }
  if (known != known_.end() && launch.attempt() == known->second.attempt && known->second.ended) {
    services_.reports.Add(*known->second.ended, MonotonicNow());
    return;
  }
  Remember(job, launch.attempt());
  auto gang = std::make_unique<Gang>(
      services_, launch, [this, job](const wire::GangReport& ended) { OnOver(job, ended); });
  Gang& started = *gang;
  running_.emplace(job, std::move(gang));
  started.Start();
}

void Gangs::Stop(const wire::StopGang& stop) {
  Gang* running = Running(stop.job());
  if (running == nullptr || running->attempt() != stop.attempt()) return ReportUnknown(stop);
  Log(kInfo, "gang_stop",
      {{"gang", running->name()},
       {"mode", wire::StopGang::Mode_Name(stop.mode())},
       {"reason", stop.reason()}});
  const auto mode =
      stop.mode() == wire::StopGang::KILL ? attempt::Stop::kKill : attempt::Stop::kCheckpoint;
  running->Do(attempt::StopRequested{mode, stop.reason()});
}

void Gangs::Checkpoint(const wire::CheckpointGang& checkpoint) {
  Gang* running = Running(checkpoint.job());
  if (running == nullptr || running->attempt() != checkpoint.attempt()) return;
  running->Do(attempt::CheckpointRequested{});
}

// It does not run here: said so that nobody waits for its end, and it shall not start any more.
void Gangs::ReportUnknown(const wire::StopGang& stop) {
  if (!JobId::Parse(stop.job()) || stop.attempt() == 0) return;
  const auto known = known_.find(stop.job());
  if (known != known_.end() && known->second.attempt > stop.attempt()) return;
  Known& last = Remember(stop.job(), stop.attempt());
  if (!last.ended) {
    wire::GangReport report;
    report.set_job(stop.job());
    report.set_attempt(stop.attempt());
    report.mutable_ended()->set_outcome(wire::GangEnded::KILLED);
    report.mutable_ended()->set_message("the gang does not run on this worker");
    last.ended = std::move(report);
  }
  services_.reports.Add(*last.ended, MonotonicNow());
}

void Gangs::KillAll(const std::string& reason) {
  next_.clear();
  for (Gang* gang : All()) gang->Do(attempt::StopRequested{attempt::Stop::kKill, reason});
}

void Gangs::OnOver(const std::string& job, const wire::GangReport& ended) {
  const auto known = known_.find(job);
  if (known != known_.end() && known->second.attempt == ended.attempt()) {
    known->second.ended = ended;
  }
  services_.loop.Post([this, job] {
    running_.erase(job);
    if (const auto next = next_.extract(job)) Launch(next.mapped());
  });
}

void Gangs::Tick() {
  for (Gang* gang : All()) gang->Tick();
}

void Gangs::OnZygoteDied() {
  for (Gang* gang : All()) gang->Do(attempt::ZygoteDied{});
}

void Gangs::OnFence(PmixFence fence) {
  for (Gang* gang : All()) {
    if (gang->name() == fence.gang) return gang->OnFence(std::move(fence));
  }
  fence.answer(std::nullopt);
}

void Gangs::OnFenceDone(const wire::FenceDone& done) {
  Gang* running = Running(done.job());
  if (running != nullptr && running->attempt() == done.attempt()) running->OnFenceDone(done);
}

void Gangs::OnRegistered() {
  for (Gang* gang : All()) gang->OnRegistered();
}

void Gangs::OnMpiAborted(const std::string& gang_name, std::uint32_t rank, int status) {
  for (Gang* gang : All()) {
    if (gang->name() == gang_name) gang->OnMpiAborted(rank, status);
  }
}

std::vector<std::string> Gangs::Jobs() const {
  std::vector<std::string> jobs;
  for (const auto& [job, gang] : running_) jobs.push_back(job);
  return jobs;
}

std::vector<wire::GangStatus> Gangs::Statuses() const {
  std::vector<wire::GangStatus> statuses;
  for (const Gang* gang : All()) statuses.push_back(gang->Status());
  return statuses;
}

}  // namespace tutti::agent
