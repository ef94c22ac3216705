#include <algorithm>
#include <cmath>
#include <optional>

#include "scheduler/core/ledger.h"
#include "scheduler/core/liveness.h"
#include "scheduler/core/throughput.h"
#include "scheduler/core/timing.h"

namespace tutti::core {
namespace {

void Expect(Liveness& liveness, const GangKey& key, GangTrack& track, std::optional<Instant> end) {
  if (track.end) liveness.ends.erase({*track.end, key});
  track.end = end;
  if (end) liveness.ends.insert({*end, key});
}

// A gang that stands still says nothing of how fast others go.
constexpr double kWildPace = 3;  // twenty times as long
// First steps are slower than those to come: what a gang says counts for less before.
constexpr double kSettledAfterMs = 1000;

std::optional<double> PaceOf(const ProgressSeen& seen) {
  if (!(seen.step_ms > 0) || !(seen.prior_step_ms > 0)) return std::nullopt;
  return std::clamp(std::log(seen.step_ms / seen.prior_step_ms), -kWildPace, kWildPace);
}

// `gangs`: 1, or -1 for one that no longer counts.
void Count(PaceNow& now, const ProgressSeen& seen, int gangs) {
  const auto pace = PaceOf(seen);
  if (!pace) return;
  now.sum += gangs * seen.weight * *pace;
  now.weight += gangs * seen.weight;
  now.gangs += gangs;
  if (now.gangs == 0) now = {};  // without what rounding left
}

void Forget(Liveness& liveness, std::map<GangKey, GangTrack>::iterator gang) {
  Expect(liveness, gang->first, gang->second, std::nullopt);
  liveness.watched.erase(gang->first);
  liveness.gangs.erase(gang);
}

struct Watcher {
  Liveness& liveness;
  Instant now;

  void operator()(const WorkerSeen& s) {
    NodeSeen& node = liveness.nodes[s.node];
    for (const GangSeen& before : node.gangs) {
      const GangKey key{before.job, before.attempt};
      const auto track = liveness.gangs.find(key);
      if (track == liveness.gangs.end() || Lists(s.gangs, key)) continue;
      track->second.listed[s.node] = node.last_seen;  // WorkerHeard does not count them up
      liveness.watched.insert(key);
    }
    node.last_seen = now;
    node.last_seen_at = s.at;
    node.session = s.session;
    node.gangs = s.gangs;
    node.memory_used_bytes = s.memory_used_bytes;
    node.disk_free_bytes = s.disk_free_bytes;
    node.cpu_seconds = s.cpu_seconds;
    if (s.pid != 0) node.pid = s.pid;
    if (s.zygote_pid != 0) node.zygote_pid = s.zygote_pid;
    for (const GangSeen& gang : s.gangs) {
      const auto track = liveness.gangs.find({gang.job, gang.attempt});
      if (track == liveness.gangs.end()) continue;
      track->second.listed[s.node] = now;
    }
  }
  void operator()(const WorkerHeard& s) {
    const auto node = liveness.nodes.find(s.node);
    if (node != liveness.nodes.end()) node->second.last_seen = now;
  }
  void operator()(const GangNoticed& s) {
    const GangKey key{s.job, s.attempt};
    const auto [track, fresh] = liveness.gangs.try_emplace(key);
    liveness.watched.insert(key);
    if (liveness.turn == s.job) TakeTurn(s.job);
    if (!fresh) return;
    track->second.first_noticed = now;
    if (s.run) Expect(liveness, key, track->second, now + *s.run);
  }
  void TakeTurn(JobId job) {
    liveness.turn.reset();
    auto& order = liveness.turn_order;
    for (; !order.empty() && now - order.front().first >= kTurnKeptAfter; order.pop_front()) {
      // One that was taken again since has a later place, too.
      const auto taken = liveness.turns_taken.find(order.front().second);
      const bool is_last =
          taken != liveness.turns_taken.end() && taken->second == order.front().first;
      if (is_last) liveness.turns_taken.erase(taken);
    }
    liveness.turns_taken[job] = now;
    order.emplace_back(now, job);
  }
  void operator()(const GangHeard& s) {
    const auto gang = liveness.gangs.find({s.job, s.attempt});
    if (gang == liveness.gangs.end()) return;
    for (const NodeId node : s.nodes) gang->second.listed[node] = now;
    gang->second.started = now;
  }
  void operator()(const GangSettled& s) { liveness.watched.erase({s.job, s.attempt}); }
  void operator()(const GangGone& s) {
    const auto gang = liveness.gangs.find({s.job, s.attempt});
    if (gang != liveness.gangs.end()) Forget(liveness, gang);
    const auto seen = liveness.progress.find(s.job);
    if (seen == liveness.progress.end()) return;
    Count(liveness.pace, seen->second, -1);
    liveness.progress.erase(seen);
  }
  void operator()(const ProgressSeen& s) {
    const auto gang = liveness.gangs.find({s.job, s.attempt});
    if (gang == liveness.gangs.end()) return;
    ProgressSeen& seen = liveness.progress[s.job];
    Count(liveness.pace, seen, -1);
    seen = s;
    seen.heard = now;
    const Instant since = gang->second.started.value_or(gang->second.first_noticed);
    const std::chrono::duration<double, std::milli> ran = now - since;
    seen.weight = std::min(1.0, ran.count() / kSettledAfterMs);
    Count(liveness.pace, seen, 1);
    if (s.step_ms <= 0 || s.total_steps == 0 || gang->second.stops_sent > 0) return;
    const std::uint64_t left = s.total_steps - std::min(s.total_steps, s.step);
    Expect(liveness, gang->first, gang->second, now + UntilGone(left, s.step_ms, s.ending));
  }
  void operator()(const TurnKept& s) { liveness.turn = s.job; }
  void operator()(const UsageCounted&) { liveness.charged = now; }
  void operator()(const InspectAnswered& s) {
    if (!s.failed) {
      liveness.inspections.erase(s.job);
      return;
    }
    InspectTrack& track = liveness.inspections[s.job];
    track.in_flight = false;
    track.sent = now;
    ++track.failures;
  }
  void operator()(const NodeGone& s) { liveness.nodes.erase(s.node); }
  void operator()(const StoreSeen& s) {
    liveness.store_disk_bytes = s.disk_bytes;
    liveness.store_disk_free_bytes = s.disk_free_bytes;
  }
  void operator()(const CoordinatorUp&) { liveness.started = liveness.charged = now; }
  void operator()(const DrainBegun&) { liveness.draining = true; }

  void operator()(const LaunchGang& e) {
    const auto track = liveness.gangs.find({e.job, e.attempt});
    if (track == liveness.gangs.end()) return;
    CountRound(track->second.launches_sent, track->second.launch_sent);
  }
  void operator()(const StopGang& e) {
    const auto track = liveness.gangs.find({e.job, e.attempt});
    if (track == liveness.gangs.end()) return;
    liveness.watched.insert(track->first);
    Expect(liveness, track->first, track->second, now);
    CountRound(track->second.stops_sent, track->second.stop_sent);
    if (e.mode == StopMode::kKill) track->second.kill_sent = true;
  }
  void operator()(const InspectJob& e) {
    InspectTrack& track = liveness.inspections[e.job];
    const auto node = liveness.nodes.find(e.node);
    track.node = e.node;
    track.session = node == liveness.nodes.end() ? 0 : node->second.session;
    track.sent = now;
    track.in_flight = true;
  }
  // What goes to several machines at one instant is one round.
  void CountRound(std::uint32_t& rounds, Instant& last) const {
    if (rounds == 0 || last != now) ++rounds;
    last = now;
  }
  void operator()(const CheckpointGang&) {}
  void operator()(const RegisterModel&) {}
};

}  // namespace

bool Lists(const std::vector<GangSeen>& gangs, const GangKey& key) {
  return std::any_of(gangs.begin(), gangs.end(), [&](const GangSeen& gang) {
    return gang.job == key.job && gang.attempt == key.attempt;
  });
}

void Observe(Liveness& liveness, const Sighting& sighting, Instant now) {
  std::visit(Watcher{liveness, now}, sighting);
}

void Observe(Liveness& liveness, const Effect& effect, Instant now) {
  std::visit(Watcher{liveness, now}, effect);
}

void Reconcile(Liveness& liveness, const Ledger& ledger) {
  for (auto gang = liveness.gangs.begin(); gang != liveness.gangs.end();) {
    const auto next = std::next(gang);
    const Job* job = FindJob(ledger, gang->first.job);
    const bool held =
        job != nullptr && ActiveGang(*job) != nullptr && job->attempt == gang->first.attempt;
    if (held) {
      liveness.watched.insert(gang->first);
    } else {
      Forget(liveness, gang);
    }
    gang = next;
  }
}

}  // namespace tutti::core
