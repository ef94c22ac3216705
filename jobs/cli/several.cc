#include "jobs/cli/several.h"

#include <algorithm>
#include <utility>

#include "jobs/cli/exit_codes.h"

namespace tutti::cli {

int ShowEach(Context& context, const std::vector<std::string>& jobs, ShowOptions options) {
  Console& console = context.console;
  int exit = kOk;
  bool first = true;
  for (const std::string& job : jobs) {
    if (!std::exchange(first, false) && !console.json() && !console.quiet()) console.Out("");
    options.job = job;
    if (const int one = Show(context, options); exit == kOk) exit = one;
  }
  return exit;
}

int WaitForAll(Context& context, const std::vector<std::string>& jobs, WaitOptions options) {
  const std::optional<Duration> timeout = ParseDuration(options.timeout);
  const Instant start = MonotonicNow();
  int exit = kOk;
  for (const std::string& job : jobs) {
    options.job = job;
    const int one = Wait(context, options);
    if (one != kOk && one != kJobFailed) return one;  // nobody knows how the others end
    if (exit == kOk) exit = one;
    if (!timeout) continue;
    const Duration left = std::max(Duration::zero(), start + *timeout - MonotonicNow());
    const auto left_ms = std::chrono::duration_cast<std::chrono::milliseconds>(left).count();
    options.timeout = std::to_string(std::max<std::int64_t>(left_ms, 1)) + "ms";
  }
  return exit;
}

}  // namespace tutti::cli
