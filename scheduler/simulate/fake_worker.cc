#include "scheduler/simulate/fake_worker.h"

#include <algorithm>
#include <csignal>
#include <utility>

namespace tutti::simulate {
namespace {

using namespace std::chrono_literals;

constexpr Duration kTick = 100ms;
constexpr Duration kBeatEvery = 500ms;
constexpr Duration kRegisterAgain = 1s;
constexpr Duration kReportAgain = 1s;
constexpr Duration kLease = 5s;
constexpr Duration kProgressEvery = 1s;

spec::FailureReason ReasonOf(const attempt::ReportEnded& ended) {
  return ended.reason.value_or(spec::FailureReason::kInternal);
}

core::GangOutcome OutcomeOf(attempt::Outcome outcome) {
  switch (outcome) {
    case attempt::Outcome::kSucceeded:
      return core::GangOutcome::kSucceeded;
    case attempt::Outcome::kReleased:
      return core::GangOutcome::kReleased;
    case attempt::Outcome::kFailed:
      return core::GangOutcome::kFailed;
    case attempt::Outcome::kKilled:
      return core::GangOutcome::kKilled;
  }
  return core::GangOutcome::kFailed;
}

}  // namespace

FakeWorker::FakeWorker(Scene& scene, FakeRanks& ranks, Options options, Send send)
    : scene_(scene), ranks_(ranks), options_(options), send_(std::move(send)) {}

void FakeWorker::Start() {
  up_ = true;
  ++life_;
  session_ = scene_.random.Bits() | 1;
  generation_ = 0;
  registered_ = lease_running_ = false;
  next_register_ = next_beat_ = next_send_ = scene_.now();
  Tick(life_);
}

void FakeWorker::Tick(std::uint64_t life) {
  if (life != life_ || !up_) return;
  scene_.After(kTick, [this, life] { Tick(life); });
  if (!Runs()) return;
  const Instant now = scene_.now();
  if (!registered_ && now >= next_register_) {
    next_register_ = now + kRegisterAgain;
    beats_sent_[++beats_] = now;
    Transmit(RegisterMessage{.number = beats_,
                             .name = "worker-" + std::to_string(options_.index),
                             .slots = options_.slots,
                             .gpus = options_.gpus,
                             .gangs = Gangs()});
  }
  if (registered_ && now >= next_beat_) {
    next_beat_ = now + kBeatEvery;
    beats_sent_[++beats_] = now;
    Transmit(BeatMessage{.number = beats_, .gangs = Gangs()});
  }
  CheckLease();
  if (registered_ && now >= next_send_) {
    next_send_ = now + kReportAgain;
    for (const auto& [id, body] : outbox_) Transmit(ReportMessage{.id = id, .body = body});
  }
  DriveAll(attempt::Tick{});
}

void FakeWorker::CheckLease() {
  if (!lease_running_ || scene_.now() - lease_from_ < kLease) return;
  lease_running_ = registered_ = false;
  next_register_ = scene_.now();
  scene_.Note(20, options_.index);
  DriveAll(attempt::StopRequested{.mode = attempt::Stop::kKill, .reason = "lease"});
}

void FakeWorker::Transmit(decltype(FromWorker::body) body) {
  send_({.worker = options_.index, .session = session_, .body = std::move(body)});
}

std::vector<core::GangSeen> FakeWorker::Gangs() const {
  std::vector<core::GangSeen> gangs;
  for (const auto& [key, part] : parts_) {
    gangs.push_back({key.job, key.attempt, part.state.stop != attempt::Stop::kNone, {}});
  }
  return gangs;
}

// ---- what the coordinator says -----------------------------------------------------------------

void FakeWorker::Hear(const ToWorker& message) {
  if (!up_ || message.session != session_) return;
  if (scene_.now() < frozen_until_) {  // it waits in the socket
    const std::uint64_t life = life_;
    scene_.After(frozen_until_ - scene_.now(), [this, life, message] {
      if (life == life_) Hear(message);
    });
    return;
  }
  if (message.generation < generation_) return;
  generation_ = message.generation;
  // What waited while this process was stopped may be of another time: the lease comes first.
  CheckLease();
  std::visit([&](const auto& body) { Do(body); }, message.body);
}

// It counts from when it was asked for: the answer may have waited while this process was stopped.
void FakeWorker::Do(const RegisteredMessage& message) {
  const auto sent = beats_sent_.find(message.number);
  if (sent == beats_sent_.end() || scene_.now() - sent->second >= kLease) return;
  registered_ = true;
  lease_running_ = true;
  lease_from_ = sent->second;
  beats_sent_.erase(beats_sent_.begin(), std::next(sent));
  next_beat_ = next_send_ = scene_.now();
}

void FakeWorker::Do(const ReregisterMessage&) {
  registered_ = false;
  next_register_ = scene_.now();
}

void FakeWorker::Do(const BeatAck& ack) {
  const auto sent = beats_sent_.find(ack.number);
  if (sent == beats_sent_.end()) return;
  lease_from_ = std::max(lease_from_, sent->second);
  beats_sent_.erase(beats_sent_.begin(), std::next(sent));
}

void FakeWorker::Do(const ReportAck& ack) { outbox_.erase(ack.id); }

void FakeWorker::Do(const LaunchMessage& launch) {
  if (!registered_) return;
  Attempt& newest = newest_[launch.gang.job];
  if (launch.gang.attempt <= newest) return;  // an older one, or this one again
  for (const auto& [key, part] : parts_) {
    if (key.job != launch.gang.job) continue;
    // The one before has to be gone first; the launch comes again.
    Drive(key, attempt::StopRequested{.mode = attempt::Stop::kKill, .reason = "stale"});
    return;
  }
  newest = launch.gang.attempt;
  Part& part = parts_[launch.gang];
  part.launch = launch;
  part.state = attempt::Begin({.local_ranks = launch.ranks,
                               .first_rank = launch.first_rank,
                               .gang_size = launch.size,
                               .worker = std::to_string(options_.index)},
                              {}, scene_.now());
  DriveLater(launch.gang, scene_.random.Between(1ms, 200ms), attempt::InputsReady{});
}

void FakeWorker::Do(const StopMessage& stop) {
  Attempt& newest = newest_[stop.gang.job];
  if (newest < stop.gang.attempt) {  // it does not run here, and shall not start any more
    newest = stop.gang.attempt;
    core::ReportEnded report;
    report.job = stop.gang.job;
    report.attempt = stop.gang.attempt;
    report.outcome = core::GangOutcome::kKilled;
    return Report(std::move(report));
  }
  const bool kill = stop.mode == core::StopMode::kKill;
  Drive(stop.gang,
        attempt::StopRequested{.mode = kill ? attempt::Stop::kKill : attempt::Stop::kCheckpoint,
                               .reason = stop.why});
}

void FakeWorker::Do(const CheckpointMessage& message) {
  Drive(message.gang, attempt::CheckpointRequested{});
}

// ---- gangs -------------------------------------------------------------------------------------

void FakeWorker::Drive(const core::GangKey& key, const attempt::Event& event) {
  const auto part = parts_.find(key);
  if (part == parts_.end()) return;
  const std::vector<attempt::Action> actions =
      attempt::Step(part->second.state, event, scene_.now());
  attempt::CheckInvariants(part->second.state);
  for (const attempt::Action& action : actions) {
    std::visit([&](const auto& each) { Act(key, each); }, action);
  }
}

// Parts may end meanwhile.
void FakeWorker::DriveAll(const attempt::Event& event) {
  std::vector<core::GangKey> keys;
  for (const auto& [key, part] : parts_) keys.push_back(key);
  for (const core::GangKey& key : keys) Drive(key, event);
}

void FakeWorker::DriveLater(const core::GangKey& key, Duration delay, attempt::Event event) {
  const std::uint64_t life = life_;
  scene_.After(delay, [this, life, key, event = std::move(event)] {
    if (life == life_ && up_) Drive(key, event);
  });
}

void FakeWorker::Act(const core::GangKey& key, const attempt::SpawnRanks&) {
  const std::uint32_t count = parts_.at(key).launch.ranks;
  const std::uint64_t life = life_;
  for (std::uint32_t local = 0; local < count; ++local) {
    if (scene_.Goes(0.002)) {
      DriveLater(key, 5ms, attempt::SpawnFailed{.rank = local, .message = "no memory"});
      continue;
    }
    scene_.After(scene_.random.Between(1ms, 20ms), [this, life, key, local] {
      if (life == life_ && up_) Spawn(key, local);
    });
  }
}

void FakeWorker::Spawn(const core::GangKey& key, std::uint32_t local) {
  const auto part = parts_.find(key);
  if (part == parts_.end()) return;
  const LaunchMessage& launch = part->second.launch;
  const std::uint64_t life = life_;
  FakeRanks::Birth birth;
  birth.seat = {key, launch.first_rank + local};
  birth.size = launch.size;
  birth.work = launch.work;
  birth.checkpoints = launch.checkpoints;
  birth.say = [this, life, key, local](const enginelink::ToWorker& message) {
    if (life != life_ || !up_) return;
    DriveLater(key, 1ms, attempt::FromRank{.rank = local, .message = message});
    const auto* beat = std::get_if<enginelink::Beat>(&message);
    if (beat != nullptr && beat->rank == 0) TellProgress(key, beat->step);
  };
  birth.exited = [this, life, key, local](std::int32_t status) {
    if (life == life_ && up_) {
      DriveLater(key, 2ms, attempt::RankExited{.rank = local, .wait_status = status});
    }
  };
  ranks_.Start(std::move(birth));
  Drive(key, attempt::Spawned{.rank = local, .pid = static_cast<std::int32_t>(local) + 1});
}

void FakeWorker::TellProgress(const core::GangKey& key, std::uint64_t step) {
  const auto part = parts_.find(key);
  if (part == parts_.end() || !Runs()) return;
  Part& told = part->second;
  const Duration since = scene_.now() - told.told_at;
  if (since < kProgressEvery) return;
  // Of the first one nobody knows since when.
  const bool first = told.told_at == Instant{};
  const double steps = static_cast<double>(step - std::min(step, told.told_step));
  const double ms = std::chrono::duration<double, std::milli>(since).count();
  Transmit(
      ProgressMessage{.gang = key, .step = step, .step_ms = first || steps == 0 ? 0 : ms / steps});
  told.told_step = step;
  told.told_at = scene_.now();
}

void FakeWorker::Act(const core::GangKey& key, const attempt::SendToRankZero& action) {
  ranks_.Tell(key, action.message);
}

void FakeWorker::Act(const core::GangKey& key, const attempt::KillRanks&) {
  const LaunchMessage& launch = parts_.at(key).launch;
  for (std::uint32_t local = 0; local < launch.ranks; ++local) {
    const FakeRanks::Seat seat{key, launch.first_rank + local};
    scene_.After(scene_.random.Between(1ms, 20ms), [this, seat] { ranks_.Kill(seat, SIGKILL); });
  }
}

void FakeWorker::Act(const core::GangKey& key, const attempt::UploadExport&) {
  if (scene_.Goes(0.01)) {
    return DriveLater(key, 50ms,
                      attempt::UploadFailed{.reason = spec::FailureReason::kInternal,
                                            .message = "the line broke"});
  }
  DriveLater(key, scene_.random.Between(10ms, 2s), attempt::UploadFinished{});
}

void FakeWorker::Act(const core::GangKey& key, const attempt::CleanUp&) {
  DriveLater(key, scene_.random.Between(1ms, 50ms), attempt::CleanedUp{});
}

void FakeWorker::Act(const core::GangKey& key, const attempt::ReportStarted& action) {
  core::ReportStarted report;
  report.job = key.job;
  report.attempt = key.attempt;
  report.from_step = action.from_step;
  Report(report);
}

void FakeWorker::Act(const core::GangKey& key, const attempt::ReportCheckpoint& action) {
  core::ReportCheckpoint report;
  report.job = key.job;
  report.attempt = key.attempt;
  report.step = action.checkpoint.step;
  report.path = action.checkpoint.path;
  report.state_digest = action.checkpoint.state_digest;
  report.size_bytes = action.checkpoint.size_bytes;
  Report(std::move(report));
}

void FakeWorker::Act(const core::GangKey& key, const attempt::ReportEnded& action) {
  const auto part = parts_.find(key);
  core::ReportEnded report;
  report.job = key.job;
  report.attempt = key.attempt;
  report.outcome = OutcomeOf(action.outcome);
  report.reason = ReasonOf(action);
  report.message = action.message;
  report.step = action.step;
  if (action.outcome == attempt::Outcome::kSucceeded) {
    report.model_digest = part->second.state.done->files.at(0);
    report.metrics_json = "{}";
  }
  parts_.erase(part);
  Report(std::move(report));
}

void FakeWorker::Report(ReportBody body) {
  outbox_[++last_report_] = std::move(body);
  next_send_ = scene_.now();
}

// ---- faults ------------------------------------------------------------------------------------

void FakeWorker::KillEverything(std::int32_t wait_status) {
  for (const auto& [key, part] : parts_) {
    for (std::uint32_t local = 0; local < part.launch.ranks; ++local) {
      ranks_.Kill({key, part.launch.first_rank + local}, wait_status);
    }
  }
}

void FakeWorker::Crash(Duration down) {
  if (!up_) return;
  up_ = false;
  const std::uint64_t life = ++life_;
  KillEverything(SIGKILL);
  parts_.clear();
  newest_.clear();
  outbox_.clear();
  scene_.After(down, [this, life] {
    if (life == life_) Start();
  });
}

void FakeWorker::Freeze(Duration time) {
  if (!up_) return;
  // Its ranks have heard nothing since the first of several stops in a row.
  const bool frozen = scene_.now() < frozen_until_;
  frozen_until_ = std::max(frozen_until_, scene_.now() + time);
  if (frozen) return;
  const std::uint64_t life = life_;
  // They were told until when the worker's own lease holds.
  const Instant ends = lease_running_ ? lease_from_ + kLease : scene_.now() + kLease;
  scene_.After(std::max(ends - scene_.now(), Duration{}), [this, life] {
    if (life == life_ && up_ && scene_.now() < frozen_until_) KillEverything(1 << 8);
  });
}

}  // namespace tutti::simulate
