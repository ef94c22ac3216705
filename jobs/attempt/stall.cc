#include "jobs/attempt/stall.h"

#include <algorithm>
#include <cstdio>
#include <optional>
#include <string_view>

namespace tutti::attempt {
namespace {

using namespace std::chrono_literals;

// Ranks that wait say so every 200 ms or so: an older word is none any more.
constexpr Duration kWaitingHolds = 1s;
constexpr Duration kEvaluationPatience = 60s;

constexpr std::string_view kEvaluate = "evaluate";

bool Computes(std::string_view phase) {
  return phase == "data" || phase == "forward" || phase == "backward";
}

bool InsideStep(std::string_view phase) {
  return Computes(phase) || phase == "reduce" || phase == "update" || phase == kEvaluate;
}

bool Waits(const Rank& rank, Instant now) {
  return rank.waiting && now - rank.last_beat < kWaitingHolds;
}

struct Bounds {
  Duration named{};
  Duration fatal{};
};

Bounds BoundsFor(Duration median_step) {
  return {.named = 3 * median_step + 700ms, .fatal = 10 * median_step + 10s};
}

std::string Seconds(Duration duration) {
  char text[32];
  std::snprintf(text, sizeof text, "%.1f s", std::chrono::duration<double>(duration).count());
  return text;
}

std::string RankName(const State& state, std::uint32_t local) {
  std::string name = "rank " + std::to_string(state.first_rank + local);
  if (!state.worker.empty()) name += " on worker " + state.worker;
  return name;
}

// The collective that waits for `rank`: where others here wait, else the next that it would enter.
void NameCollective(const State& state, const Rank& rank, Instant now, Stall& stall) {
  stall.collective = Computes(rank.phase) ? "reduce" : rank.phase;
  stall.sequence = rank.collective + 1;
  const Rank* held_up = nullptr;
  for (const Rank& other : state.ranks) {
    if (&other == &rank || !Waits(other, now) || other.collective < rank.collective) continue;
    if (held_up == nullptr || other.collective > held_up->collective) held_up = &other;
  }
  if (held_up == nullptr) return;
  stall.collective = held_up->phase;
  stall.sequence = held_up->collective;
}

Stall MakeStall(const State& state, std::uint32_t local, Instant now) {
  const Rank& rank = state.ranks[local];
  Stall stall{.rank = local,
              .stopped = rank.stopped,
              .silent = now - rank.got_on,
              .phase = rank.phase,
              .step = rank.step + 1};
  NameCollective(state, rank, now, stall);
  stall.message = RankName(state, local) + " (pid " + std::to_string(rank.pid) + ") " +
                  (rank.stopped ? "is stopped by a signal" : "stands still");
  if (state.phase != Phase::kRunning) {
    stall.message += " while the gang starts";
  } else {
    stall.message += Computes(rank.phase) ? " while it computes step " : " in step ";
    stall.message += std::to_string(stall.step) + " and holds up '" + stall.collective +
                     "', collective " + std::to_string(stall.sequence);
  }
  stall.message += ": silent for " + Seconds(stall.silent);
  return stall;
}

Stalls FindStopped(const State& state, const Bounds& bounds, Instant now) {
  Stalls stalls;
  for (std::uint32_t local = 0; local < state.ranks.size(); ++local) {
    const Rank& rank = state.ranks[local];
    const Duration silent = now - rank.last_beat;
    if (rank.life != Rank::Life::kAlive || !rank.stopped || silent < bounds.named) continue;
    stalls.ranks.push_back(MakeStall(state, local, now));
    stalls.fatal = stalls.fatal || silent >= bounds.fatal;
  }
  return stalls;
}

// Who waits in a collective with a higher number waits for somebody else: the culprit entered
// fewest, does not say that it waits, and has been silent for longest.
std::optional<std::uint32_t> FindCulprit(const State& state, Instant now) {
  const auto more_suspect = [&](const Rank& a, const Rank& b) {
    if (a.collective != b.collective) return a.collective < b.collective;
    if (Waits(a, now) != Waits(b, now)) return Waits(b, now);
    return a.last_beat < b.last_beat;
  };
  const auto culprit = std::min_element(state.ranks.begin(), state.ranks.end(), more_suspect);
  const bool all_wait_together = std::ranges::all_of(state.ranks, [&](const Rank& rank) {
    return Waits(rank, now) && rank.collective == culprit->collective;
  });
  if (all_wait_together) return std::nullopt;
  return static_cast<std::uint32_t>(culprit - state.ranks.begin());
}

}  // namespace

Duration Median(std::vector<Duration> times) {
  const auto middle = times.begin() + static_cast<std::ptrdiff_t>(times.size() / 2);
  std::nth_element(times.begin(), middle, times.end());
  return *middle;
}

Stalls FindStalls(const State& state, Instant now) {
  if (state.phase != Phase::kRunning && state.phase != Phase::kStarting) return {};
  const bool known = state.step_times.size() >= kStepTimesNeeded;
  const Bounds bounds = BoundsFor(known ? Median(state.step_times) : Duration{});
  if (Stalls stopped = FindStopped(state, bounds, now); !stopped.ranks.empty()) return stopped;
  if (state.phase != Phase::kRunning) return {};

  const auto newest =
      std::ranges::max_element(state.ranks, {}, [](const Rank& rank) { return rank.got_on; });
  const Duration silent = now - newest->got_on;
  Bounds limits{.named = state.limits.quiet, .fatal = state.limits.quiet};
  const bool in_steps =
      std::ranges::all_of(state.ranks, [](const Rank& rank) { return InsideStep(rank.phase); });
  if (known && in_steps) {
    limits = bounds;
    if (std::ranges::any_of(state.ranks,
                            [](const Rank& rank) { return rank.phase == kEvaluate; })) {
      limits.fatal = std::max(limits.fatal, kEvaluationPatience);
    }
  }
  if (silent < limits.named) return {};
  auto culprit = FindCulprit(state, now);
  if (!culprit) {
    // Nobody here holds the gang up. It is given up only when nobody else has done so for long.
    if (silent < state.limits.quiet) return {};
    culprit = 0;
  }
  return {.ranks = {MakeStall(state, *culprit, now)}, .fatal = silent >= limits.fatal};
}

std::string GoesOnMessage(const State& state, const Stall& stall) {
  return RankName(state, stall.rank) + " goes on after " + Seconds(stall.silent);
}

}  // namespace tutti::attempt
