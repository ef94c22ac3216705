#include "scheduler/coordinator/gang_watch.h"

#include <algorithm>
#include <nlohmann/json.hpp>
#include <utility>

#include "common/base/check.h"
#include "common/base/log.h"
#include "monitoring/metrics/metrics.h"
#include "scheduler/coordinator/durations.h"

namespace tutti::coordinator {
namespace {

using internal::Concat;
using nlohmann::json;

// A rank is called slow when its step takes so much longer than the median rank's, and so many
// heartbeats in a row say so.
constexpr double kSlowRatio = 1.5;
constexpr double kSlowSeconds = 0.005;
constexpr int kSlowBeats = 6;

bool IsSlow(const Straggler& straggler) {
  return straggler.delay_seconds() >= kSlowSeconds &&
         straggler.compute_seconds >= kSlowRatio * straggler.median_seconds;
}

const core::GangSeen* SeenOn(const core::Liveness& liveness, NodeId node, JobId job,
                             Attempt attempt) {
  const auto seen = liveness.nodes.find(node);
  if (seen == liveness.nodes.end()) return nullptr;
  for (const core::GangSeen& gang : seen->second.gangs) {
    if (gang.job == job && gang.attempt == attempt) return &gang;
  }
  return nullptr;
}

// The job whose attempt a fact ends, if it does.
struct EndedJob {
  std::optional<JobId> operator()(const core::GangReleased& f) const { return f.job; }
  std::optional<JobId> operator()(const core::AttemptFailed& f) const { return f.job; }
  std::optional<JobId> operator()(const core::JobSucceeded& f) const { return f.job; }
  template <typename Other>
  std::optional<JobId> operator()(const Other&) const {
    return std::nullopt;
  }
};

}  // namespace

GangHealth HealthOf(const core::State& state, const core::Job& job) {
  GangHealth health;
  const core::Gang* gang = core::ActiveGang(job);
  if (gang == nullptr) return health;
  struct Time {
    double seconds = 0;
    std::uint32_t rank = 0;
    std::string worker;
  };
  std::vector<Time> times;
  for (const core::GangMember& member : gang->members) {
    const core::GangSeen* seen = SeenOn(state.liveness, member.node, job.id, gang->attempt);
    if (seen == nullptr) continue;
    const core::Node* node = core::FindNode(state.ledger, member.node);
    const std::string worker = node == nullptr ? member.node.ToString() : node->name;
    for (const core::StallSeen& stall : seen->stalls) health.stalled.push_back({stall, worker});
    if (seen->compute_seconds.size() != member.ranks) continue;
    for (std::uint32_t local = 0; local < member.ranks; ++local) {
      times.push_back({seen->compute_seconds[local], member.first_rank + local, worker});
    }
  }
  if (times.size() < 2 || times.size() != gang->size) return health;
  std::ranges::sort(times, {}, &Time::seconds);
  const Time& slowest = times.back();
  health.slowest = Straggler{.rank = slowest.rank,
                             .worker = slowest.worker,
                             .compute_seconds = slowest.seconds,
                             .median_seconds = times[(times.size() - 1) / 2].seconds};
  return health;
}

void GangWatch::Heard(const core::State& state, const std::vector<core::GangSeen>& gangs) {
  for (const core::GangSeen& gang : gangs) {
    const core::Job* job = core::FindJob(state.ledger, gang.job);
    const core::Gang* active = job == nullptr ? nullptr : core::ActiveGang(*job);
    if (active != nullptr && active->attempt == gang.attempt) Look(state, *job);
  }
}

void GangWatch::Look(const core::State& state, const core::Job& job) {
  GangHealth health = HealthOf(state, job);
  metrics_.StalledRanks(job.id, static_cast<std::int64_t>(health.stalled.size()));
  if (health.slowest) {
    metrics_.StragglerDelay(job.id, FromSeconds(health.slowest->delay_seconds()));
  }
  Watched& watched = jobs_[job.id];
  if (watched.attempt != job.attempt) watched = {.attempt = job.attempt, .slow = {}};
  if (!health.slowest || !IsSlow(*health.slowest)) {
    watched = {.attempt = job.attempt, .slow = {}};
    return;
  }
  const bool same = watched.slow && watched.slow->rank == health.slowest->rank;
  watched.beats = same ? watched.beats + 1 : 1;
  watched.told = same && watched.told;
  watched.slow = std::move(health.slowest);
  if (watched.beats < kSlowBeats || watched.told) return;
  watched.told = true;
  Tell(job, *watched.slow);
}

void GangWatch::Tell(const core::Job& job, const Straggler& straggler) {
  const auto ms = [](double seconds) { return static_cast<std::int64_t>(seconds * 1000 + 0.5); };
  const std::string message =
      Concat("rank ", straggler.rank, " on worker ", straggler.worker, " computes ",
             ms(straggler.compute_seconds), " ms a step, the median rank ",
             ms(straggler.median_seconds), " ms: the gang waits for it");
  Log(kWarning, "straggler",
      {{"job", job.id.ToString()}, {"rank", straggler.rank}, {"message", message}});
  http::Event event{.job = job.id.ToString(), .type = "warning"};
  event.key = "straggler " + event.job;
  event.data = json{{"type", event.type},          {"job", event.job},
                    {"at", WallNow().ToRfc3339()}, {"attempt", Number(job.attempt)},
                    {"code", "straggler"},         {"rank", straggler.rank},
                    {"message", message}}
                   .dump(-1, ' ', false, json::error_handler_t::replace);
  // It follows from no fact: there is nothing to wait for.
  events_.Publish(std::move(event));
}

void GangWatch::OnStored(const Stored& stored) {
  for (const core::Fact& fact : stored.facts) {
    const auto job = std::visit(EndedJob{}, fact);
    if (!job || jobs_.erase(*job) == 0) continue;
    metrics_.StalledRanks(*job, 0);
    metrics_.StragglerDelay(*job, Duration{});
  }
}

const Straggler* GangWatch::StragglerOf(JobId job) const {
  const auto found = jobs_.find(job);
  if (found == jobs_.end() || found->second.beats < kSlowBeats) return nullptr;
  return &*found->second.slow;
}

}  // namespace tutti::coordinator
