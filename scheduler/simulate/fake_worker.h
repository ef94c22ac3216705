// A worker of the fault simulator: registers, beats, keeps its lease, drives the real attempt::Step
// over fake ranks, and reports until it is heard. One thread.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <set>
#include <string>
#include <variant>
#include <vector>

#include "jobs/attempt/attempt.h"
#include "scheduler/core/inputs.h"
#include "scheduler/simulate/fake_gang.h"

namespace tutti::simulate {

// ---- messages --------------------------------------------------------------------------------

struct RegisterMessage {
  std::uint64_t number = 0;  // answered with it, as a beat is
  std::string name;
  std::uint32_t slots = 0;
  std::uint32_t gpus = 0;
  std::vector<core::GangSeen> gangs;
};
struct BeatMessage {
  std::uint64_t number = 0;
  std::vector<core::GangSeen> gangs;
};
using ReportBody = std::variant<core::ReportStarted, core::ReportCheckpoint, core::ReportEnded>;
struct ReportMessage {
  std::uint64_t id = 0;
  ReportBody body;
};
// How far a gang is. Said once: the next one says more.
struct ProgressMessage {
  core::GangKey gang;
  std::uint64_t step = 0;
  double step_ms = 0;
};
struct FromWorker {
  std::size_t worker = 0;
  std::uint64_t session = 0;
  std::variant<RegisterMessage, BeatMessage, ReportMessage, ProgressMessage> body;
};

struct RegisteredMessage {
  std::uint64_t number = 0;
};
struct ReregisterMessage {};
struct BeatAck {
  std::uint64_t number = 0;
};
struct ReportAck {
  std::uint64_t id = 0;
};
struct LaunchMessage {
  core::GangKey gang;
  std::uint32_t first_rank = 0;
  std::uint32_t ranks = 0;
  std::uint32_t size = 0;
  Work work;
  std::vector<Saved> checkpoints;  // newest first
};
struct StopMessage {
  core::GangKey gang;
  core::StopMode mode = core::StopMode::kKill;
  std::string why;
};
struct CheckpointMessage {
  core::GangKey gang;
};
struct ToWorker {
  std::uint64_t session = 0;
  std::uint64_t generation = 0;  // of the coordinator
  std::variant<RegisteredMessage, ReregisterMessage, BeatAck, ReportAck, LaunchMessage, StopMessage,
               CheckpointMessage>
      body;
};

// ---- the worker ------------------------------------------------------------------------------

class FakeWorker {
 public:
  using Send = std::function<void(const FromWorker&)>;
  struct Options {
    std::size_t index = 0;
    std::uint32_t slots = 4;
    std::uint32_t gpus = 0;
  };
  FakeWorker(Scene& scene, FakeRanks& ranks, Options options, Send send);

  void Start();
  void Hear(const ToWorker& message);

  // ---- faults ----
  void Crash(Duration down);   // its ranks die with it
  void Freeze(Duration time);  // stopped as by SIGSTOP; its ranks' own lease runs

 private:
  struct Part {
    attempt::State state;
    LaunchMessage launch;
    std::uint64_t told_step = 0;  // by the newest ProgressMessage, and when
    Instant told_at{};
  };

  void Tick(std::uint64_t life);
  void CheckLease();
  bool Runs() const { return up_ && scene_.now() >= frozen_until_; }
  void Transmit(decltype(FromWorker::body) body);
  std::vector<core::GangSeen> Gangs() const;
  void Do(const RegisteredMessage& message);
  void Do(const ReregisterMessage&);
  void Do(const BeatAck& ack);
  void Do(const ReportAck& ack);
  void Do(const LaunchMessage& launch);
  void Do(const StopMessage& stop);
  void Do(const CheckpointMessage& message);

  void Drive(const core::GangKey& key, const attempt::Event& event);
  void DriveAll(const attempt::Event& event);
  // As Drive, later, if the worker and its gang still live then.
  void DriveLater(const core::GangKey& key, Duration delay, attempt::Event event);
  void Act(const core::GangKey& key, const attempt::SpawnRanks&);
  void Act(const core::GangKey& key, const attempt::SendToRankZero& action);
  void Act(const core::GangKey& key, const attempt::KillRanks&);
  void Act(const core::GangKey& key, const attempt::UploadExport&);
  void Act(const core::GangKey& key, const attempt::CleanUp&);
  void Act(const core::GangKey& key, const attempt::ReportStarted& action);
  void Act(const core::GangKey& key, const attempt::ReportCheckpoint& action);
  void Act(const core::GangKey& key, const attempt::ReportEnded& action);
  template <typename Other>
  void Act(const core::GangKey&, const Other&) {}
  void Spawn(const core::GangKey& key, std::uint32_t local);
  void TellProgress(const core::GangKey& key, std::uint64_t step);
  void Report(ReportBody body);
  void KillEverything(std::int32_t wait_status);

  Scene& scene_;
  FakeRanks& ranks_;
  Options options_;
  Send send_;
  bool up_ = false;
  std::uint64_t life_ = 0;
  Instant frozen_until_;
  std::uint64_t session_ = 0;
  std::uint64_t generation_ = 0;
  bool registered_ = false;
  Instant next_register_, next_beat_;
  std::uint64_t beats_ = 0;
  std::map<std::uint64_t, Instant> beats_sent_;  // not answered yet
  Instant lease_from_;                           // when the newest answered one was sent
  bool lease_running_ = false;
  std::map<core::GangKey, Part> parts_;
  std::map<JobId, Attempt> newest_;  // older attempts are refused
  std::uint64_t last_report_ = 0;
  std::map<std::uint64_t, ReportBody> outbox_;
  Instant next_send_;
};

}  // namespace tutti::simulate
