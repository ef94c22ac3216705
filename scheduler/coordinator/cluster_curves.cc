#include "scheduler/coordinator/cluster_curves.h"

#include <algorithm>
#include <utility>

namespace tutti::coordinator {
namespace {

constexpr Duration kEvery = std::chrono::seconds(10);

history::Sample OfCluster(const core::Ledger& ledger) {
  std::size_t running = 0;
  for (const JobId id : ledger.active) {
    running += std::holds_alternative<core::Running>(ledger.jobs.at(id).phase) ? 1 : 0;
  }
  std::uint64_t slots = 0, used = 0;
  for (const auto& [id, node] : ledger.nodes) {
    if (node.state != core::NodeState::kUp) continue;
    slots += node.slots;
    used += node.slots_used;
  }
  return {.subject = kClusterSubject,
          .values = {{"jobs_queued", static_cast<double>(ledger.queued.size())},
                     {"jobs_running", static_cast<double>(running)},
                     {"slots_total", static_cast<double>(slots)},
                     {"slots_used", static_cast<double>(used)}}};
}

}  // namespace

std::string WorkerSubject(std::string_view name) { return "worker/" + std::string(name); }

void ClusterCurves::Tick(const core::State& state, Instant now) {
  if (now < next_) return;
  next_ = now + kEvery;
  for (history::Sample& sample : SamplesOf(state, now, WallNow())) {
    history_.Add(std::move(sample));
  }
}

std::vector<history::Sample> ClusterCurves::SamplesOf(const core::State& state, Instant now,
                                                      WallTime at) {
  std::vector<history::Sample> samples = {OfCluster(state.ledger)};
  for (const auto& [id, node] : state.ledger.nodes) {
    const auto seen = state.liveness.nodes.find(id);
    if (node.state != core::NodeState::kUp || seen == state.liveness.nodes.end()) {
      cpus_.erase(id);
      continue;
    }
    history::Sample sample{
        .subject = WorkerSubject(node.name),
        .values = {{"memory_used_bytes", static_cast<double>(seen->second.memory_used_bytes)},
                   {"disk_free_bytes", static_cast<double>(seen->second.disk_free_bytes)},
                   {"slots_used", static_cast<double>(node.slots_used)}}};
    const Cpu cpu{.seconds = seen->second.cpu_seconds, .seen = now};
    const auto [last, first] = cpus_.try_emplace(id, cpu);
    const double passed = std::chrono::duration<double>(now - last->second.seen).count();
    // A machine that started anew counts from 0 again.
    if (!first && passed > 0 && cpu.seconds >= last->second.seconds) {
      const double busy = (cpu.seconds - last->second.seconds) / passed;
      sample.values.emplace_back("cpu_ratio", busy / std::max(1U, node.cores));
    }
    last->second = cpu;
    samples.push_back(std::move(sample));
  }
  for (history::Sample& sample : samples) sample.at = at;
  return samples;
}

}  // namespace tutti::coordinator
