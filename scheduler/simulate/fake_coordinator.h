// A coordinator of the fault simulator: the real Step, Apply and Observe in the coordinator's
// rounds (decide, write, only then speak), over a disk that forgets what was not synced. One
// thread.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "scheduler/core/step.h"
#include "scheduler/simulate/fake_worker.h"

namespace tutti::simulate {

// What was promised to somebody outside: none of it may be forgotten.
struct Promises {
  std::map<std::string, JobId> submitted;  // by idempotency key
  std::set<core::GangKey> ended;
};

class FakeCoordinator {
 public:
  using Send = std::function<void(std::size_t worker, const ToWorker&)>;
  using InputBody = decltype(core::Input::body);
  FakeCoordinator(Scene& scene, const core::Policy& policy, Send send);

  void Start();
  void Hear(const FromWorker& message);
  // From a client. `reply` once what was decided is durable; never, when the coordinator dies
  // first.
  void Ask(InputBody body, std::function<void(const Result<core::Reply>&)> reply);

  const core::Ledger& ledger() const { return ledger_; }
  bool up() const { return up_; }
  std::uint64_t facts() const { return facts_written_; }
  Promises promises;

  // ---- faults ----
  void Crash(Duration down);
  void FillDisk(Duration time);  // nothing can be written for so long

  // "" or what of the ledger does not follow from the journal.
  std::string CheckJournal() const;

 private:
  using Work = std::function<void()>;
  struct Session {
    NodeId node;
    std::size_t worker = 0;
  };

  void Receive(Work work);
  void RunRound();
  void Commit();
  void Committed();
  void TakeBack();
  void TickSoon(std::uint64_t life);
  Result<core::Reply> Step(InputBody body);
  core::Fact Tampered(core::Fact fact) const;
  void Perform(const core::Effect& effect);
  void Answer(const FromWorker& to, decltype(ToWorker::body) body);
  void Tell(NodeId node, decltype(ToWorker::body) body);
  void Handle(const FromWorker& from, const RegisterMessage& message);
  void Handle(const FromWorker& from, const BeatMessage& message);
  void Handle(const FromWorker& from, const ReportMessage& message);
  void Handle(const FromWorker& from, const ProgressMessage& message);
  void Acknowledge(const FromWorker& from, const ReportMessage& message);
  void SweepSessions();
  core::Ledger Recovered() const;
  void CheckPromises();
  void CheckNow();

  Scene& scene_;
  const core::Policy& policy_;
  Send send_;
  bool up_ = false;
  std::uint64_t life_ = 0;
  core::Ledger ledger_;
  core::Liveness liveness_;
  std::map<std::uint64_t, Session> sessions_;

  // The disk: a snapshot, facts after it, and what the next sync will make durable.
  core::Ledger snapshot_;
  std::vector<core::Fact> durable_;
  std::vector<core::Fact> written_;
  Instant disk_full_until_;
  std::uint64_t facts_written_ = 0;

  // The round.
  std::vector<Work> works_;
  bool busy_ = false;
  std::vector<core::Fact> round_facts_;
  std::vector<core::Effect> round_effects_;
  std::vector<std::function<void(bool stored)>> round_after_;
};

}  // namespace tutti::simulate
