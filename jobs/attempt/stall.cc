#include "jobs/attempt/stall.h"

#include <algorithm>
#include <array>
#include <string_view>

namespace tutti::attempt {
namespace {

bool InsideStep(std::string_view phase) {
  constexpr std::array<std::string_view, 5> kPhases = {"data", "forward", "backward", "reduce",
                                                       "update"};
  return std::find(kPhases.begin(), kPhases.end(), phase) != kPhases.end();
}

Duration Median(std::vector<Duration> times) {
  const auto middle = times.begin() + static_cast<std::ptrdiff_t>(times.size() / 2);
  std::nth_element(times.begin(), middle, times.end());
  return *middle;
}

// Who waits in a reduction with a higher number waits for somebody else: the culprit entered
// fewest, and among those it is one that is not waiting.
bool MoreSuspect(const Rank& a, const Rank& b) {
  if (a.collective != b.collective) return a.collective < b.collective;
  const bool a_waits = a.phase == "reduce", b_waits = b.phase == "reduce";
  if (a_waits != b_waits) return b_waits;
  return a.last_beat < b.last_beat;
}

bool AllWaitForOthers(const State& state) {
  if (state.gang_size == state.ranks.size()) return false;
  return std::all_of(state.ranks.begin(), state.ranks.end(), [&](const Rank& rank) {
    return rank.phase == "reduce" && rank.collective == state.ranks.front().collective;
  });
}

}  // namespace

std::optional<Stall> FindStall(const State& state, Instant now) {
  if (state.phase != Phase::kRunning) return std::nullopt;
  const auto alive = [](const Rank& rank) { return rank.life == Rank::Life::kAlive; };
  if (!std::all_of(state.ranks.begin(), state.ranks.end(), alive)) return std::nullopt;
  const auto newest =
      std::max_element(state.ranks.begin(), state.ranks.end(),
                       [](const Rank& a, const Rank& b) { return a.last_beat < b.last_beat; });
  const bool in_steps = std::all_of(state.ranks.begin(), state.ranks.end(),
                                    [](const Rank& rank) { return InsideStep(rank.phase); });
  const Duration silent = now - newest->last_beat;
  Duration named_after = state.limits.quiet, fatal_after = state.limits.quiet;
  if (in_steps && state.step_times.size() >= kStepTimesNeeded) {
    const Duration median = Median(state.step_times);
    named_after = 3 * median + std::chrono::seconds(1);
    fatal_after = 10 * median + std::chrono::seconds(10);
  }
  if (silent < named_after) return std::nullopt;
  // All wait in the same reduction for a rank of another machine: that machine names it. Here the
  // gang is given up only as a last resort.
  if (AllWaitForOthers(state) && silent < 2 * fatal_after) return std::nullopt;
  const auto culprit = std::min_element(state.ranks.begin(), state.ranks.end(), MoreSuspect);
  const auto local = static_cast<std::uint32_t>(culprit - state.ranks.begin());
  const auto seconds = std::chrono::duration_cast<std::chrono::seconds>(silent).count();
  return Stall{.rank = local,
               .silent = silent,
               .fatal = silent >= fatal_after,
               .message = "rank " + std::to_string(state.first_rank + local) + " (pid " +
                          std::to_string(culprit->pid) + ") stands still in '" + culprit->phase +
                          "' of step " + std::to_string(culprit->step) + " for " +
                          std::to_string(seconds) + " s"};
}

}  // namespace tutti::attempt
