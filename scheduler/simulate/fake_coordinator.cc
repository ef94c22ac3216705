#include "scheduler/simulate/fake_coordinator.h"

#include <algorithm>
#include <utility>

#include "common/base/check.h"
#include "scheduler/core/invariants.h"
#include "scheduler/core/rebuild.h"
#include "scheduler/core/throughput.h"

namespace tutti::simulate {
namespace {

using namespace std::chrono_literals;
using internal::Concat;

constexpr int kTicksMax = 4;
constexpr std::size_t kSnapshotEvery = 500;  // facts
constexpr std::uint32_t kChecksEvery = 20;   // rounds, on average

}  // namespace

FakeCoordinator::FakeCoordinator(Scene& scene, const core::Policy& policy, Send send)
    : scene_(scene), policy_(policy), send_(std::move(send)) {}

// ---- life --------------------------------------------------------------------------------------

void FakeCoordinator::Start() {
  up_ = true;
  ++life_;
  busy_ = false;
  works_.clear();
  round_facts_.clear();
  round_effects_.clear();
  round_after_.clear();
  sessions_.clear();
  liveness_ = {};
  ledger_ = Recovered();
  CheckPromises();
  Receive([this] { (void)Step(core::CoordinatorStart{}); });
  TickSoon(life_);
}

core::Ledger FakeCoordinator::Recovered() const {
  core::Ledger ledger = core::Rebuild(core::Dismantle(snapshot_));
  for (const core::Fact& fact : durable_) core::Apply(ledger, fact);
  return ledger;
}

void FakeCoordinator::TickSoon(std::uint64_t life) {
  scene_.After(std::chrono::milliseconds(core::kTickIntervalMs), [this, life] {
    if (life != life_ || !up_) return;
    if (!busy_) Receive([] {});
    TickSoon(life);
  });
}

// ---- rounds ------------------------------------------------------------------------------------

void FakeCoordinator::Receive(Work work) {
  if (!up_) return;
  works_.push_back(std::move(work));
  if (!busy_) RunRound();
}

void FakeCoordinator::RunRound() {
  std::vector<Work> works;
  works.swap(works_);
  for (const Work& work : works) work();
  SweepSessions();
  for (int i = 0; i < kTicksMax; ++i) {
    const std::size_t before = round_facts_.size();
    if (!Step(core::Tick{}) || round_facts_.size() == before) break;
    if (!scene_.violations().empty()) return;
  }
  Commit();
}

Result<core::Reply> FakeCoordinator::Step(InputBody body) {
  TUTTI_ASSIGN_OR_RETURN(
      core::Outcome outcome,
      core::Step({ledger_, liveness_, policy_}, {WallTime{}, std::move(body)}, scene_.now()));
  for (core::Fact& decided : outcome.facts) {
    core::Fact fact = Tampered(std::move(decided));
    const std::string objection = core::Objection(ledger_, fact);
    if (!objection.empty()) {
      scene_.Broken("a fact does not follow from the ledger: " + objection);
      return Fail(ErrorCode::kInternal, objection);
    }
    core::Apply(ledger_, fact);
    scene_.Note(1, fact.index(), ledger_.facts_applied);
    round_facts_.push_back(std::move(fact));
  }
  for (const core::Sighting& each : outcome.sightings) core::Observe(liveness_, each, scene_.now());
  for (core::Effect& each : outcome.effects) {
    core::Observe(liveness_, each, scene_.now());
    round_effects_.push_back(std::move(each));
  }
  return std::move(outcome.reply);
}

core::Fact FakeCoordinator::Tampered(core::Fact fact) const {
  if (scene_.planted != Planted::kHalfGang) return fact;
  auto* placed = std::get_if<core::GangPlaced>(&fact);
  if (placed != nullptr && placed->members.size() > 1) placed->members.pop_back();
  return fact;
}

void FakeCoordinator::Commit() {
  CheckNow();
  if (round_facts_.empty()) return Committed();
  busy_ = true;
  facts_written_ += round_facts_.size();
  written_ = round_facts_;
  if (scene_.planted == Planted::kSkipFsync) {
    // Who waits for nothing speaks at once.
    std::vector<core::Effect> effects;
    effects.swap(round_effects_);
    for (const core::Effect& effect : effects) Perform(effect);
    decltype(round_after_) after;
    after.swap(round_after_);
    for (const auto& then : after) then(true);
  }
  const std::uint64_t life = life_;
  Duration sync = scene_.random.Between(200us, 5ms);
  if (scene_.Goes(0.002)) sync = scene_.random.Between(50ms, 2s);  // a slow disk
  scene_.After(sync, [this, life] {
    if (life != life_ || !up_) return;
    busy_ = false;
    if (!scene_.healed && scene_.now() < disk_full_until_) {
      TakeBack();
    } else {
      durable_.insert(durable_.end(), written_.begin(), written_.end());
      written_.clear();
      Committed();
      if (durable_.size() >= kSnapshotEvery && !busy_) {
        snapshot_ = Recovered();
        durable_.clear();
      }
    }
    if (!busy_ && !works_.empty()) RunRound();
  });
}

void FakeCoordinator::Committed() {
  std::vector<core::Effect> effects;
  effects.swap(round_effects_);
  decltype(round_after_) after;
  after.swap(round_after_);
  round_facts_.clear();
  for (const core::Effect& effect : effects) Perform(effect);
  for (const auto& then : after) then(true);
}

// Nothing of the round is stored: it never was.
void FakeCoordinator::TakeBack() {
  scene_.Note(2);
  written_.clear();
  ledger_ = Recovered();
  core::Reconcile(liveness_, ledger_);
  for (const core::Effect& effect : round_effects_) {
    if (const auto* inspect = std::get_if<core::InspectJob>(&effect)) {
      liveness_.inspections.erase(inspect->job);
    }
  }
  round_facts_.clear();
  round_effects_.clear();
  decltype(round_after_) after;
  after.swap(round_after_);
  for (const auto& then : after) then(false);
}

// ---- faults ------------------------------------------------------------------------------------

void FakeCoordinator::Crash(Duration down) {
  if (!up_) return;
  up_ = false;
  const std::uint64_t life = ++life_;
  // The transaction under way is whole or not at all.
  if (scene_.random.Chance(0.5)) durable_.insert(durable_.end(), written_.begin(), written_.end());
  written_.clear();
  scene_.After(down, [this, life] {
    if (life == life_) Start();
  });
}

void FakeCoordinator::FillDisk(Duration time) { disk_full_until_ = scene_.now() + time; }

// ---- clients and workers
// -------------------------------------------------------------------------

void FakeCoordinator::Ask(InputBody body, std::function<void(const Result<core::Reply>&)> reply) {
  Receive([this, body = std::move(body), reply = std::move(reply)] {
    auto decided = Step(body);
    round_after_.emplace_back([decided = std::move(decided), reply](bool stored) {
      reply(stored ? decided : Result<core::Reply>(Fail(ErrorCode::kDiskFull, "not written")));
    });
  });
}

void FakeCoordinator::Hear(const FromWorker& message) {
  Receive([this, message] {
    std::visit([&](const auto& body) { Handle(message, body); }, message.body);
  });
}

void FakeCoordinator::Answer(const FromWorker& to, decltype(ToWorker::body) body) {
  send_(to.worker,
        {.session = to.session, .generation = ledger_.generation, .body = std::move(body)});
}

void FakeCoordinator::Handle(const FromWorker& from, const RegisterMessage& message) {
  core::RegisterNode input;
  input.node = NodeId{from.worker + 1};
  input.name = message.name;
  input.session = from.session;
  input.slots = input.cores = message.slots;
  input.gpus = message.gpus;
  input.memory_bytes = std::uint64_t{1} << 36;
  input.numerics_fingerprint = "cpu";
  input.gangs = message.gangs;
  const auto reply = Step(input);
  if (!reply) return;
  const NodeId node = std::get<core::NodeReply>(*reply).node;
  core::Observe(liveness_,
                core::Sighting{core::WorkerSeen{
                    .node = node, .at = {}, .session = from.session, .gangs = message.gangs}},
                scene_.now());
  std::erase_if(sessions_, [&](const auto& entry) { return entry.second.node == node; });
  sessions_[from.session] = {node, from.worker};
  round_after_.emplace_back([this, from, number = message.number](bool stored) {
    if (!stored) {
      sessions_.erase(from.session);
      return;
    }
    Answer(from, RegisteredMessage{number});
  });
}

void FakeCoordinator::Handle(const FromWorker& from, const BeatMessage& message) {
  const auto session = sessions_.find(from.session);
  if (session == sessions_.end()) return Answer(from, ReregisterMessage{});
  const NodeId id = session->second.node;
  const core::Node* node = core::FindNode(ledger_, id);
  if (node != nullptr && node->state == core::NodeState::kUp) {
    core::Observe(liveness_,
                  core::Sighting{core::WorkerSeen{
                      .node = id, .at = {}, .session = from.session, .gangs = message.gangs}},
                  scene_.now());
  }
  if (Step(core::Heartbeat{id})) {
    Answer(from, BeatAck{message.number});
  } else {
    Answer(from, ReregisterMessage{});
  }
}

void FakeCoordinator::Handle(const FromWorker& from, const ReportMessage& message) {
  const auto session = sessions_.find(from.session);
  if (session == sessions_.end()) return Answer(from, ReregisterMessage{});
  const bool lost = scene_.planted == Planted::kLoseMessage && scene_.random.Chance(0.05);
  if (!lost) {
    const bool decided = std::visit(
        [&](auto report) {
          report.node = session->second.node;
          if (scene_.planted == Planted::kIgnoreAttempt) {
            const core::Job* job = core::FindJob(ledger_, report.job);
            if (job != nullptr) report.attempt = job->attempt;
          }
          return Step(std::move(report)).has_value();
        },
        message.body);
    if (!decided) return;
  }
  round_after_.emplace_back([this, from, message](bool stored) {
    if (stored) Acknowledge(from, message);
  });
}

void FakeCoordinator::Handle(const FromWorker& from, const ProgressMessage& message) {
  const auto session = sessions_.find(from.session);
  const core::Job* job = core::FindJob(ledger_, message.gang.job);
  const core::Gang* gang = job == nullptr ? nullptr : core::ActiveGang(*job);
  if (session == sessions_.end() || gang == nullptr || gang->attempt != message.gang.attempt ||
      gang->members.front().node != session->second.node) {
    return;
  }
  core::Observe(
      liveness_,
      core::Sighting{core::ProgressSeen{.job = message.gang.job,
                                        .attempt = message.gang.attempt,
                                        .step = message.step,
                                        .step_ms = message.step_ms,
                                        .prior_step_ms = core::PriorStepMs(*job, gang->size),
                                        .total_steps = ReadWork(job->spec_json).steps,
                                        .ending = core::EndingOf(ledger_.learned)}},
      scene_.now());
}

// From here on the worker forgets it: it has to have had its effect.
void FakeCoordinator::Acknowledge(const FromWorker& from, const ReportMessage& message) {
  if (const auto* ended = std::get_if<core::ReportEnded>(&message.body)) {
    const core::GangKey key{ended->job, ended->attempt};
    promises.ended.insert(key);
    const core::Job* job = core::FindJob(ledger_, ended->job);
    const core::Gang* gang = job == nullptr ? nullptr : core::ActiveGang(*job);
    const bool speaks = gang != nullptr && gang->attempt == ended->attempt &&
                        gang->members.front().node == NodeId{from.worker + 1};
    if (speaks) {
      scene_.Broken(Concat("the end of attempt ", Number(ended->attempt), " of job ", ended->job,
                           " was acknowledged and forgotten"));
    }
  }
  if (const auto* started = std::get_if<core::ReportStarted>(&message.body)) {
    const core::Job* job = core::FindJob(ledger_, started->job);
    const auto* starting = job == nullptr ? nullptr : std::get_if<core::Starting>(&job->phase);
    if (starting != nullptr && starting->gang.attempt == started->attempt &&
        starting->gang.members.front().node == NodeId{from.worker + 1}) {
      scene_.Broken(Concat("the start of job ", started->job, " was acknowledged and forgotten"));
    }
  }
  Answer(from, ReportAck{message.id});
}

void FakeCoordinator::SweepSessions() {
  std::erase_if(sessions_, [&](const auto& entry) {
    const core::Node* node = core::FindNode(ledger_, entry.second.node);
    return node == nullptr || node->state != core::NodeState::kUp || node->session != entry.first;
  });
}

// ---- effects -----------------------------------------------------------------------------------

void FakeCoordinator::Tell(NodeId node, decltype(ToWorker::body) body) {
  for (const auto& [id, session] : sessions_) {
    if (session.node != node) continue;
    send_(session.worker,
          {.session = id, .generation = ledger_.generation, .body = std::move(body)});
    return;
  }
}

void FakeCoordinator::Perform(const core::Effect& effect) {
  if (const auto* stop = std::get_if<core::StopGang>(&effect)) {
    Tell(stop->node, StopMessage{{stop->job, stop->attempt}, stop->mode, stop->why});
  } else if (const auto* checkpoint = std::get_if<core::CheckpointGang>(&effect)) {
    Tell(checkpoint->node, CheckpointMessage{{checkpoint->job, checkpoint->attempt}});
  } else if (const auto* inspect = std::get_if<core::InspectJob>(&effect)) {
    const std::uint64_t life = life_;
    scene_.After(scene_.random.Between(50ms, 2s), [this, life, id = inspect->job] {
      if (life != life_ || !up_) return;
      core::InspectFinished answer;
      answer.job = id;
      const bool fails = scene_.Goes(0.02);
      answer.outcome = fails ? core::InspectOutcome::kUnavailable : core::InspectOutcome::kAdmitted;
      if (const core::Job* job = core::FindJob(ledger_, id)) {
        // Admission's guess may be far off, or not there.
        const simulate::Work work = ReadWork(job->spec_json);
        const Duration alone = work.step * static_cast<std::int64_t>(work.steps);
        answer.estimate.total_steps = work.steps;
        if (!scene_.Goes(0.1)) {
          answer.estimate.duration_ms = static_cast<std::uint64_t>(
              scene_.random.Between(alone / 4, alone * 2) / std::chrono::milliseconds(1));
        }
      }
      Receive([this, answer] { (void)Step(answer); });
    });
  } else if (const auto* launch = std::get_if<core::LaunchGang>(&effect)) {
    const core::Job* job = core::FindJob(ledger_, launch->job);
    const core::Gang* gang = job == nullptr ? nullptr : core::ActiveGang(*job);
    if (gang == nullptr || gang->attempt != launch->attempt) return;
    for (const core::GangMember& member : gang->members) {
      if (member.node != launch->node) continue;
      LaunchMessage message{.gang = {launch->job, launch->attempt},
                            .first_rank = member.first_rank,
                            .ranks = member.ranks,
                            .size = gang->size,
                            .work = ReadWork(job->spec_json),
                            .checkpoints = {}};
      for (auto it = job->checkpoints.rbegin(); it != job->checkpoints.rend(); ++it) {
        message.checkpoints.push_back({it->step, it->path});
      }
      Tell(launch->node, std::move(message));
    }
  }
}

// ---- promises ----------------------------------------------------------------------------------

void FakeCoordinator::CheckPromises() {
  for (const auto& [key, id] : promises.submitted) {
    const core::Job* job = core::FindJob(ledger_, id);
    if (job == nullptr || job->idempotency_key != key) {
      scene_.Broken(Concat("job ", id, " was acknowledged and is lost"));
    }
  }
  for (const core::GangKey& key : promises.ended) {
    const core::Job* job = core::FindJob(ledger_, key.job);
    if (job == nullptr || job->attempt < key.attempt) {
      scene_.Broken(Concat("attempt ", Number(key.attempt), " of job ", key.job,
                           " ended, was acknowledged, and is lost"));
    }
  }
}

void FakeCoordinator::CheckNow() {
  for (const core::Fact& fact : round_facts_) {
    const auto* done = std::get_if<core::JobSucceeded>(&fact);
    if (done == nullptr) continue;
    const core::Job& job = ledger_.jobs.at(done->job);
    if (done->model_digest != DigestOf(job.id, ReadWork(job.spec_json).steps)) {
      scene_.Broken(Concat("job ", job.id, " ended with another model than undisturbed"));
    }
  }
  if (round_facts_.empty() || scene_.random.Draw(kChecksEvery) != 0) return;
  const std::string sane = core::SanityCheck(ledger_);
  if (!sane.empty()) scene_.Broken(sane);
}

std::string FakeCoordinator::CheckJournal() const {
  core::Ledger replayed = Recovered();
  for (const core::Fact& fact : written_) core::Apply(replayed, fact);
  return replayed == ledger_ ? "" : "the ledger does not follow from the journal";
}

}  // namespace tutti::simulate
