#include "scheduler/core/liveness.h"

namespace tutti::core {
namespace {

struct Watcher {
  Liveness& liveness;
  Instant now;

  void operator()(const WorkerSeen& s) {
    NodeSeen& node = liveness.nodes[s.node];
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
  void operator()(const GangNoticed& s) {
    const auto [track, fresh] = liveness.gangs.try_emplace({s.job, s.attempt});
    if (fresh) track->second.first_noticed = now;
  }
  void operator()(const GangGone& s) {
    liveness.gangs.erase({s.job, s.attempt});
    liveness.progress.erase(s.job);
  }
  void operator()(const ProgressSeen& s) {
    if (!liveness.gangs.contains({s.job, s.attempt})) return;
    ProgressSeen& seen = liveness.progress[s.job];
    seen = s;
    seen.heard = now;
  }
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

void Observe(Liveness& liveness, const Sighting& sighting, Instant now) {
  std::visit(Watcher{liveness, now}, sighting);
}

void Observe(Liveness& liveness, const Effect& effect, Instant now) {
  std::visit(Watcher{liveness, now}, effect);
}

}  // namespace tutti::core
