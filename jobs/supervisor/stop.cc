// The way down: gangs checkpoint and go back to the queue, workers end, then the coordinator. At
// most 30 s: kDrainMax + two graces.
#include <poll.h>

#include <algorithm>
#include <csignal>
#include <nlohmann/json.hpp>

#include "common/base/log.h"
#include "jobs/supervisor/supervisor.h"

namespace tutti::supervisor {
namespace {

using nlohmann::json;

constexpr Duration kDrainMax = std::chrono::seconds(25);
constexpr Duration kGrace = std::chrono::seconds(2);
constexpr Duration kAskAgain = std::chrono::milliseconds(50);

Result<int> RunningOf(const std::string& body) {
  const json parsed = json::parse(body, nullptr, false);
  if (!parsed.is_object() || !parsed.contains("running") || !parsed["running"].is_number()) {
    return Fail(ErrorCode::kInternal, "the answer has no `running`");
  }
  return parsed["running"].get<int>();
}

}  // namespace

void Supervisor::Stop() {
  if (stops_asked_ > 0) Drain(MonotonicNow() + kDrainMax);
  RemoveEndpoint(options_.data_dir);
  std::vector<Child*> workers;
  for (Child& worker : workers_) workers.push_back(&worker);
  StopChildren(workers, MonotonicNow() + kGrace);
  StopChildren({&coordinator_}, MonotonicNow() + kGrace);
  Log(kInfo, "supervisor_stopped");
}

// Until no gang runs. A second signal, a dead coordinator or the deadline end it early; jobs then
// go on from their last checkpoint.
void Supervisor::Drain(Instant deadline) {
  const int asked = stops_asked_;
  bool told = false;
  while (!url_.empty() && stops_asked_ == asked && MonotonicNow() < deadline) {
    const auto running = CallRunning("POST", "/api/v1/drain", RunningOf);
    if (!running) {
      Log(kWarning, "drain_failed", {{"error", running.error().ToString()}});
      return;
    }
    if (*running == 0) return;
    if (!told) {
      report_(ReportKind::kNote,
              std::to_string(*running) +
                  (*running == 1 ? " running job checkpoints" : " running jobs checkpoint") +
                  " first (again to stop at once)");
      told = true;
    }
    pollfd fd{signals_.get(), POLLIN, 0};
    ::poll(&fd, 1,
           static_cast<int>(std::chrono::ceil<std::chrono::milliseconds>(kAskAgain).count()));
    TakeSignals();
  }
  Log(kWarning, "drain_ended_early");
}

void Supervisor::StopChildren(const std::vector<Child*>& children, Instant deadline) {
  for (const Child* child : children) {
    if (child->pid > 0) ::kill(child->pid, SIGTERM);
  }
  if (WaitUntilGone(children, deadline)) return;
  for (const Child* child : children) {
    if (child->pid == 0) continue;
    Log(kWarning, "program_killed", {{"name", child->name}, {"pid", child->pid}});
    SignalGroup(*child, SIGKILL);
  }
  // The kernel may still be busy with the dead ones' memory.
  WaitUntilGone(children, MonotonicNow() + kGrace);
}

bool Supervisor::WaitUntilGone(const std::vector<Child*>& children, Instant deadline) {
  const auto gone = [&] {
    return std::all_of(children.begin(), children.end(),
                       [](const Child* child) { return child->pid == 0; });
  };
  Reap();
  while (!gone()) {
    const Duration left = deadline - MonotonicNow();
    if (left <= Duration::zero()) return false;
    pollfd fd{signals_.get(), POLLIN, 0};
    const auto ms = std::chrono::ceil<std::chrono::milliseconds>(left).count();
    ::poll(&fd, 1, static_cast<int>(ms));
    TakeSignals();
  }
  return true;
}

}  // namespace tutti::supervisor
