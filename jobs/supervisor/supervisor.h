// The cluster of one machine: a coordinator and its workers as children, kept running until a
// signal says stop. Owns the processes and DIR/endpoint.json. Runs on the main thread of a process
// with no other thread (children die with the thread that started them).
#pragma once

#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "common/base/result.h"
#include "common/base/time.h"
#include "common/file/file.h"
#include "jobs/supervisor/child.h"
#include "jobs/supervisor/options.h"
#include "jobs/supervisor/programs.h"

namespace tutti::supervisor {

// What people (and a waiting `tutti up --detach`) are told.
enum class ReportKind {
  kNote,   // something worth a line: a taken port, a restart
  kReady,  // serving, every worker up
};
using Report = std::function<void(ReportKind, const std::string& text)>;

class Supervisor {
 public:
  Supervisor(UpOptions options, Report report);

  // Returns once everything is stopped: after SIGTERM, SIGINT (or SIGHUP, unless ignored), or with
  // an error when a program cannot be started at all.
  Status Run();

 private:
  Status Prepare();
  Status ChooseAddresses();
  Status StartDue();
  void WatchCoordinator();
  void OnServing(const Serving& serving);
  void CheckReady();
  void Sleep();
  void TakeSignals();
  void Reap();
  Status CannotStart() const;

  // stop.cc
  void Stop();
  void Drain(Instant deadline);
  void StopChildren(const std::vector<Child*>& children, Instant deadline);
  bool WaitUntilGone(const std::vector<Child*>& children, Instant deadline);

  Result<int> CallRunning(std::string_view method, const std::string& target,
                          const std::function<Result<int>(const std::string& body)>& read);

  UpOptions options_;
  Report report_;
  std::vector<std::string> worker_names_;
  UniqueFd lock_;
  UniqueFd signals_;
  HostPort http_;  // as the coordinator is told; the ports it got once it served
  HostPort zmq_;
  Child coordinator_;
  std::vector<Child> workers_;
  std::string url_;  // while the coordinator serves, else ""
  std::string pin_;  // of its certificate
  bool ready_ = false;
  Instant ask_at_{};  // when to look for readiness again
  int stops_asked_ = 0;
};

}  // namespace tutti::supervisor
