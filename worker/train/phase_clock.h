// Where a rank's time goes: seconds of each phase, and what it does now. One thread.
#pragma once

#include <array>
#include <chrono>
#include <cstddef>
#include <map>
#include <string>
#include <string_view>

namespace tutti::train {

enum class Phase {
  kLoad,
  kData,
  kForward,
  kBackward,
  kReduce,
  kUpdate,
  kCheckpoint,
  kEvaluate,
  kExport,
};
inline constexpr std::array<std::string_view, 9> kPhaseNames = {
    "load", "data", "forward", "backward", "reduce", "update", "checkpoint", "evaluate", "export"};

inline std::string_view ToString(Phase phase) {
  return kPhaseNames[static_cast<std::size_t>(phase)];
}

class PhaseClock {
 public:
  using Clock = std::chrono::steady_clock;

  Phase phase() const { return phase_; }

  // Ends the phase before and begins `phase`.
  void Enter(Phase phase) {
    const auto now = Clock::now();
    seconds_[static_cast<std::size_t>(phase_)] +=
        std::chrono::duration<double>(now - since_).count();
    since_ = now;
    phase_ = phase;
  }

  // Seconds of each phase since the last call, those without any left out.
  std::map<std::string, double> Take() {
    Enter(phase_);
    std::map<std::string, double> taken;
    for (std::size_t i = 0; i < seconds_.size(); ++i) {
      if (seconds_[i] > 0) taken[std::string(kPhaseNames[i])] = seconds_[i];
    }
    seconds_ = {};
    return taken;
  }

 private:
  Phase phase_ = Phase::kLoad;
  Clock::time_point since_ = Clock::now();
  std::array<double, kPhaseNames.size()> seconds_{};
};

}  // namespace tutti::train
