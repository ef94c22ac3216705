#include "scheduler/core/facts.h"

namespace tutti::core {

std::string_view ToString(StopWhy why) {
  switch (why) {
    case StopWhy::kPause:
      return "pause";
    case StopWhy::kCancel:
      return "cancel";
    case StopWhy::kResize:
      return "resize";
    case StopWhy::kPreempt:
      return "preempt";
    case StopWhy::kDrain:
      return "drain";
    case StopWhy::kTimeout:
      return "timeout";
    case StopWhy::kRung:
      return "rung";
  }
  return "pause";
}

std::optional<StopWhy> ParseStopWhy(std::string_view text) {
  for (StopWhy why : {StopWhy::kPause, StopWhy::kCancel, StopWhy::kResize, StopWhy::kPreempt,
                      StopWhy::kDrain, StopWhy::kTimeout, StopWhy::kRung}) {
    if (ToString(why) == text) return why;
  }
  return std::nullopt;
}

}  // namespace tutti::core
