#include "jobs/attempt/attempt.h"

#include <algorithm>
#include <csignal>
#include <utility>

#include "common/base/check.h"
#include "jobs/attempt/classify.h"
#include "jobs/attempt/stall.h"

namespace tutti::attempt {
namespace {

using spec::FailureReason;
using Life = Rank::Life;

constexpr Instant kNever{Duration::max()};

bool IsGone(const Rank& rank) { return rank.life == Life::kGone || rank.life == Life::kUnborn; }
bool IsAlive(const Rank& rank) { return rank.life == Life::kAlive; }

// One step: the state, the time, and the actions so far.
class Stepper {
 public:
  Stepper(State& state, Instant now) : s_(state), now_(now) {}

  std::vector<Action> Take() { return std::move(actions_); }

  void On(const InputsReady&) {
    if (s_.phase != Phase::kFetching) return;
    Enter(Phase::kSpawning, s_.limits.spawn);
    for (Rank& rank : s_.ranks) rank.life = Life::kRequested;
    actions_.push_back(SpawnRanks{});
  }

  void On(const InputsFailed& event) {
    if (s_.phase != Phase::kFetching) return;
    Blame(event.reason, event.message);
    StartCleaning();
  }

  void On(const Spawned& event) {
    Rank& rank = RankOf(event.rank);
    if (rank.life != Life::kRequested) return;
    rank.life = Life::kAlive;
    rank.pid = event.pid;
    rank.last_beat = rank.got_on = now_;
    if (s_.phase == Phase::kKilling) actions_.push_back(KillRanks{});
    Advance();
  }

  void On(const SpawnFailed& event) {
    Rank& rank = RankOf(event.rank);
    if (rank.life != Life::kRequested) return;
    rank.life = Life::kGone;
    FailGang(FailureReason::kInternal,
             "cannot start rank " + Name(event.rank) + ": " + event.message);
  }

  void On(const FromRank& event) {
    if (s_.phase >= Phase::kUploading || s_.phase == Phase::kFetching) return;
    const std::uint32_t local = event.rank;
    std::visit([&](const auto& message) { Hear(local, message); }, event.message);
  }

  void On(const RankExited& event) {
    Rank& rank = RankOf(event.rank);
    if (rank.life == Life::kGone || rank.life == Life::kUnborn) return;
    rank.life = Life::kGone;
    s_.memory_peak_bytes = std::max(s_.memory_peak_bytes, event.memory_peak_bytes);
    const auto failure =
        ClassifyExit(s_.first_rank + event.rank, event.wait_status, s_.memory_evidence);
    if (failure && s_.phase != Phase::kKilling) {
      if (s_.done) {  // all that mattered was done: what a rank's exit broke is only told
        actions_.push_back(ReportWarning{failure->message + " after the work was done"});
      } else {
        FailGang(*failure);
      }
    } else if (failure && s_.failure && event.wait_status != SIGKILL) {
      Blame(*failure);  // it ended by itself, before our signal
    }
    if (s_.phase < Phase::kFinishing) Enter(Phase::kFinishing, s_.limits.finish);
    Advance();
  }

  void On(const MpiAborted& event) {
    if (!Working()) return;
    FailGang(FailureReason::kCrash, "rank " + Name(event.rank) + " called MPI_Abort(" +
                                        std::to_string(event.status) + ") (see its log)");
  }

  void On(const MemoryExceeded& event) {
    if (!Working()) return;
    s_.memory_evidence = event.message;
    if (event.rank) FailGang(FailureReason::kOom, event.message);
  }

  void On(const ZygoteDied&) {
    if (!Working() && s_.phase != Phase::kKilling) return;
    for (Rank& rank : s_.ranks) {
      if (rank.life == Life::kRequested) rank.life = Life::kGone;
    }
    FailGang(FailureReason::kCrash, "the engine's zygote died, and its ranks with it");
  }

  void On(const RankProbed& event) { RankOf(event.rank).stopped = event.stopped; }

  void On(const StopRequested& event) {
    TUTTI_CHECK(event.mode != Stop::kNone, "a stop without a mode");
    if (s_.phase >= Phase::kCleaning || s_.failure) return;
    const bool kill = event.mode == Stop::kKill;
    if (s_.stop >= event.mode || (!kill && s_.phase >= Phase::kFinishing)) return;
    s_.stop = event.mode;
    s_.stop_reason = event.reason;
    if (s_.phase == Phase::kRunning && !kill) {
      s_.deadline = now_ + s_.limits.stop;
      actions_.push_back(SendToRankZero{enginelink::Stop{.checkpoint = true}});
    } else if (s_.phase == Phase::kUploading || s_.phase == Phase::kFetching) {
      StartCleaning();
    } else {
      KillAll();  // nothing was trained yet, or nothing shall be kept
    }
  }

  void On(const CheckpointRequested&) {
    if (s_.phase != Phase::kRunning || s_.stop != Stop::kNone) return;
    actions_.push_back(SendToRankZero{enginelink::CheckpointNow{}});
  }

  void On(const UploadFinished&) {
    if (s_.phase != Phase::kUploading) return;
    s_.uploaded = true;
    StartCleaning();
  }

  void On(const UploadFailed& event) {
    if (s_.phase != Phase::kUploading) return;
    Blame(event.reason, event.message);
    StartCleaning();
  }

  void On(const CleanedUp&) {
    if (s_.phase == Phase::kCleaning) End();
  }

  void On(const Tick&) {
    if (s_.phase == Phase::kKilling) return KillAgain();
    if (s_.consequence && Working() && now_ >= s_.consequence_until) {
      Blame(*s_.consequence);
      return KillAll();
    }
    CheckStalls();
    if (s_.phase == Phase::kKilling || s_.phase == Phase::kEnded || now_ < s_.deadline) return;
    switch (s_.phase) {
      case Phase::kFetching:
        Blame(FailureReason::kInternal, "the inputs could not be fetched in time");
        return StartCleaning();
      case Phase::kSpawning:
        return FailGang(FailureReason::kInternal,
                        "the engine's zygote did not start the ranks in time");
      case Phase::kStarting:
        return FailGang(FailureReason::kHang, "the ranks were not ready in time");
      case Phase::kRunning:  // only a requested checkpoint sets a deadline here
        s_.stop = Stop::kKill;
        s_.stop_reason += ": no checkpoint within the deadline";
        return KillAll();
      case Phase::kFinishing:
        if (s_.done) return KillAll();
        return FailGang(FailureReason::kHang, "some ranks ended and the others did not");
      case Phase::kUploading:
        Blame(FailureReason::kInternal, "the model could not be uploaded in time");
        return StartCleaning();
      case Phase::kCleaning:
        return End();
      case Phase::kKilling:
      case Phase::kEnded:
        return;
    }
  }

 private:
  // ---- what ranks say ----

  void Hear(std::uint32_t local, const enginelink::Ready& ready) {
    Rank& rank = RankOf(local);
    rank.ready = true;
    GetsOn(rank);
    if (s_.phase <= Phase::kRunning) s_.step = std::max(s_.step, ready.from_step);
    Advance();
  }

  void Hear(std::uint32_t local, const enginelink::Beat& beat) {
    Rank& rank = RankOf(local);
    if (local == 0 && beat.step > rank.step) {
      if (s_.last_step_at != Instant{}) Keep(s_.step_times, now_ - s_.last_step_at);
      s_.last_step_at = now_;
    }
    rank.step = beat.step;
    rank.collective = beat.collective;
    rank.phase = beat.phase;
    if (beat.waiting) {
      rank.last_beat = now_;
      rank.waiting = true;
      rank.stopped = false;
      return;
    }
    GetsOn(rank);
    if (beat.compute_seconds > 0) {
      Keep(rank.compute_times, std::chrono::duration_cast<Duration>(
                                   std::chrono::duration<double>(beat.compute_seconds)));
    }
  }

  void GetsOn(Rank& rank) {
    rank.last_beat = rank.got_on = now_;
    rank.waiting = rank.stopped = false;
  }

  static void Keep(std::vector<Duration>& newest, Duration time) {
    if (newest.size() == kStepTimes) newest.erase(newest.begin());
    newest.push_back(time);
  }

  void Hear(std::uint32_t /*local*/, const enginelink::Progress& progress) {
    s_.step = std::max(s_.step, progress.step);
    actions_.push_back(Forward{});
  }
  void Hear(std::uint32_t /*local*/, const enginelink::Eval&) { actions_.push_back(Forward{}); }
  void Hear(std::uint32_t /*local*/, const enginelink::Warning&) { actions_.push_back(Forward{}); }

  // It is on disk already: told even while the gang is being killed.
  void Hear(std::uint32_t /*local*/, const enginelink::Checkpoint& checkpoint) {
    s_.step = std::max(s_.step, checkpoint.step);
    actions_.push_back(ReportCheckpoint{checkpoint});
  }

  void Hear(std::uint32_t local, const enginelink::Done& done) {
    if (!Working() || s_.done || local != 0) return;
    s_.done = done;
    s_.step = std::max(s_.step, done.step);
    if (s_.phase < Phase::kFinishing) Enter(Phase::kFinishing, s_.limits.finish);
    Advance();
  }

  void Hear(std::uint32_t /*local*/, const enginelink::Failed& failed) {
    if (s_.phase == Phase::kKilling && s_.failure) return Blame(ClassifyMessage(failed));
    if (!Working() || s_.done) return;
    s_.step = std::max(s_.step, failed.step);
    FailGang(ClassifyMessage(failed));
  }

  // ---- changes of phase ----

  bool Working() const { return s_.phase >= Phase::kSpawning && s_.phase <= Phase::kFinishing; }

  void Enter(Phase phase, Duration limit) {
    s_.phase = phase;
    if (phase >= Phase::kFinishing) s_.stalls.clear();  // the end says what was the matter
    s_.deadline = now_ + limit;
  }

  // The first cause stays; one replaces a consequence.
  void Blame(Failure failure) {
    const bool better = !s_.failure || (s_.failure->consequence && !failure.consequence);
    if (better && s_.stop != Stop::kKill) s_.failure = std::move(failure);
  }
  void Blame(FailureReason reason, std::string message) {
    Blame(Failure{reason, std::move(message)});
  }

  // A rank that left because a peer is gone is not killed for yet: until `limits.cause` is over,
  // whoever ends otherwise is the one that went first.
  void FailGang(Failure failure) {
    if (failure.consequence && Working() && !s_.done) {
      if (s_.consequence) return;
      s_.consequence = std::move(failure);
      s_.consequence_until = now_ + s_.limits.cause;
      return;
    }
    if (s_.phase != Phase::kKilling && !s_.done) Blame(std::move(failure));
    KillAll();
  }
  void FailGang(FailureReason reason, std::string message) {
    FailGang(Failure{reason, std::move(message)});
  }

  void KillAll() {
    if (s_.phase != Phase::kKilling) {
      Enter(Phase::kKilling, s_.limits.spawn);
      s_.next_kill = now_ + s_.limits.kill_again;
      if (!std::all_of(s_.ranks.begin(), s_.ranks.end(), IsGone)) actions_.push_back(KillRanks{});
    }
    Advance();
  }

  // A rank the zygote never answered for counts as never started; if it comes late, the worker
  // kills what it no longer knows. A rank that is known to live is waited for without end: to
  // report the end while it may still write would break fencing.
  void KillAgain() {
    if (now_ >= s_.deadline) {
      for (Rank& rank : s_.ranks) {
        if (rank.life == Life::kRequested) rank.life = Life::kGone;
      }
    }
    if (now_ >= s_.next_kill) {
      s_.next_kill = now_ + s_.limits.kill_again;
      actions_.push_back(KillRanks{});
    }
    Advance();
  }

  void Advance() {
    const auto all = [&](auto predicate) {
      return std::all_of(s_.ranks.begin(), s_.ranks.end(), predicate);
    };
    if (s_.phase == Phase::kSpawning && all(IsAlive)) Enter(Phase::kStarting, s_.limits.start);
    if (s_.phase == Phase::kStarting && all([](const Rank& rank) { return rank.ready; })) {
      s_.phase = Phase::kRunning;
      s_.deadline = kNever;
      actions_.push_back(ReportStarted{.from_step = s_.step, .launch = now_ - s_.created_at});
    }
    if ((s_.phase == Phase::kFinishing || s_.phase == Phase::kKilling) && all(IsGone)) AllGone();
  }

  void AllGone() {
    const bool succeeded =
        s_.done && s_.done->outcome == enginelink::Done::Outcome::kSucceeded && !s_.failure;
    if (succeeded && s_.stop != Stop::kKill && s_.first_rank == 0) {
      Enter(Phase::kUploading, s_.limits.upload);
      actions_.push_back(UploadExport{s_.done->files});
      return;
    }
    if (!s_.done && s_.consequence) Blame(*s_.consequence);
    if (!s_.done && s_.stop == Stop::kNone && !s_.failure) {
      Blame(FailureReason::kInternal, "every rank ended without saying how (see their logs)");
    }
    StartCleaning();
  }

  void StartCleaning() {
    Enter(Phase::kCleaning, s_.limits.clean_up);
    actions_.push_back(CleanUp{});
  }

  void CheckStalls() {
    Stalls found = FindStalls(s_, now_);
    if (found.fatal) return FailGang(FailureReason::kHang, found.ranks.front().message);
    const auto names = [](const std::vector<Stall>& stalls, std::uint32_t rank) {
      return std::ranges::any_of(stalls, [&](const Stall& stall) { return stall.rank == rank; });
    };
    for (const Stall& stall : found.ranks) {
      if (!names(s_.stalls, stall.rank)) actions_.push_back(ReportStall{stall});
    }
    for (Stall& stall : s_.stalls) {
      if (names(found.ranks, stall.rank)) continue;
      stall.message = GoesOnMessage(s_, stall);
      actions_.push_back(ReportStall{.stall = std::move(stall), .over = true});
    }
    s_.stalls = std::move(found.ranks);
  }

  void End() {
    s_.phase = Phase::kEnded;
    ReportEnded ended{.step = s_.step, .memory_peak_bytes = s_.memory_peak_bytes};
    const bool released = s_.done && s_.done->outcome == enginelink::Done::Outcome::kReleased;
    if (s_.uploaded) {
      ended.outcome = Outcome::kSucceeded;
      ended.metrics = s_.done->metrics;
    } else if (s_.failure) {
      ended.outcome = Outcome::kFailed;
      ended.reason = s_.failure->reason;
      ended.message = s_.failure->message;
    } else {
      // Of a part without rank 0, "all went well" and "released" are the same.
      const bool as_planned = released || (s_.done && s_.first_rank != 0);
      ended.outcome = as_planned && s_.stop != Stop::kKill ? Outcome::kReleased : Outcome::kKilled;
      ended.message = s_.stop_reason;
    }
    actions_.push_back(std::move(ended));
  }

  std::string Name(std::uint32_t local) const { return std::to_string(s_.first_rank + local); }

  Rank& RankOf(std::uint32_t local) {
    TUTTI_CHECK(local < s_.ranks.size(), "local rank ", local, " of ", s_.ranks.size());
    return s_.ranks[local];
  }

  State& s_;
  Instant now_;
  std::vector<Action> actions_;
};

}  // namespace

State Begin(const Part& part, Limits limits, Instant now) {
  TUTTI_CHECK(part.local_ranks > 0, "a gang without ranks");
  TUTTI_CHECK(part.first_rank + part.local_ranks <= part.gang_size, "more ranks than the gang has");
  State state;
  state.limits = limits;
  state.ranks.resize(part.local_ranks);
  state.first_rank = part.first_rank;
  state.gang_size = part.gang_size;
  state.worker = part.worker;
  state.created_at = now;
  state.deadline = now + limits.fetch;
  return state;
}

std::vector<Action> Step(State& state, const Event& event, Instant now) {
  if (state.phase == Phase::kEnded) return {};
  Stepper stepper(state, now);
  std::visit([&](const auto& e) { stepper.On(e); }, event);
  return stepper.Take();
}

void CheckInvariants(const State& state) {
  const bool all_gone = std::all_of(state.ranks.begin(), state.ranks.end(), IsGone);
  if (state.phase >= Phase::kUploading) TUTTI_CHECK(all_gone, "a rank outlives its gang");
  if (state.phase == Phase::kFetching) TUTTI_CHECK(all_gone, "a rank before its inputs");
  if (state.phase == Phase::kRunning) {
    TUTTI_CHECK(std::all_of(state.ranks.begin(), state.ranks.end(), IsAlive), "a dead rank runs");
    TUTTI_CHECK(!state.failure, "a failed gang runs");
  }
  if (state.phase == Phase::kUploading) TUTTI_CHECK(state.done.has_value(), "uploads nothing");
  if (state.uploaded) TUTTI_CHECK(state.done.has_value() && !state.failure, "half a success");
}

}  // namespace tutti::attempt
