// Who gets the free slots and GPUs: the queue in its policy's order. The first job that has to wait
// for others to leave gets a reservation for when they are predicted to; those behind it pass only
// where that does not put it off (EASY backfill), so that nobody starves: one that has waited for
// long keeps its turn, whatever the policy makes of those that come later. Where nothing is known
// of when gangs end, nobody passes but onto machines that the first one cannot use: those without
// GPUs, when that is what it waits for.
#include <algorithm>
#include <limits>
#include <map>
#include <optional>
#include <set>
#include <string_view>
#include <utility>

#include "common/base/check.h"
#include "scheduler/core/decision.h"
#include "scheduler/core/limits.h"
#include "scheduler/core/place.h"
#include "scheduler/core/throughput.h"
#include "scheduler/core/timing.h"

namespace tutti::core {
namespace {

constexpr std::size_t kPlacementsMax = 1000;  // a Tick
// Jobs looked at behind a reservation: of those that ask for GPUs, and of the others, since what
// one kind lacks the other may have; and passed over to find them.
constexpr std::size_t kBackfillMax = 100;
constexpr std::size_t kBackfillPassedMax = 2000;
constexpr std::size_t kRefusedMax = 100;  // of one user in one queue, for the queue's limits
// A job gives way only to one with so much less work left.
constexpr double kWorthIt = 2;
constexpr double kRestartMs = 10'000;  // what a switch costs, about

double Milliseconds(Duration time) {
  return std::chrono::duration<double, std::milli>(time).count();
}

// Where the job that waits first is going to be placed.
struct Reservation {
  const Job* job = nullptr;
  std::optional<Duration> in;  // nullopt: nobody knows
  Plan plan;                   // as it is then, without the job itself
};

class Placer {
 public:
  explicit Placer(Decision& decision)
      : decision_(decision),
        ledger_(decision.state.ledger),
        policy_(PolicyOf(ledger_, decision.state.policy)),
        learned_(LearnedNow(decision.state)),
        plan_(ledger_, decision.state.liveness),
        held_(ledger_) {}

  void Run() {
    VisitQueue(decision_.state, [&](const Job& job) { return Look(job); });
  }

 private:
  Verdict Look(const Job& job) {
    if (reservation_ && !MayLookAt(job)) {
      return MayFindOthers(job) ? Verdict::kPassed : Verdict::kEnough;
    }
    const Amount allowed = held_.Allows(job);
    if (!Covers(allowed, SmallestOf(job))) {
      // Others do not wait for this user's long line to be looked through.
      const std::size_t refused = ++refused_[WhoOf(job)];
      return refused > kRefusedMax ? Verdict::kLeft : Verdict::kPassed;
    }
    // Room only gets less while this goes on.
    const Shape shape = ShapeOf(job, allowed);
    if (no_room_.contains(shape)) return Verdict::kPassed;
    const Like like{shape, job.request.model_key};
    const auto known = in_the_way_.find(like);
    if (known != in_the_way_.end() && !EndsBefore(job, known->second)) return Verdict::kPassed;
    const auto placement = TryFit(job, plan_, allowed);
    if (!placement) {
      no_room_.insert(shape);
      if (reservation_ || !Blocks(job, plan_, allowed)) return Verdict::kPassed;
      return Wait(job, allowed);
    }
    if (reservation_ && !Harmless(job, *placement)) {
      in_the_way_.emplace(like, *placement);
      return Verdict::kPassed;
    }
    Put(job, *placement);
    return ++placed_ == kPlacementsMax ? Verdict::kEnough : Verdict::kPlaced;
  }

  bool MayLookAt(const Job& job) {
    std::size_t& looked_at = AsksForGpus(job) ? looked_at_for_gpus_ : looked_at_;
    if (looked_at == kBackfillMax) return false;
    ++looked_at;
    return true;
  }

  // Whether jobs of the other kind may be behind this one and are still to be looked at.
  bool MayFindOthers(const Job& job) {
    const bool gpus = AsksForGpus(job);
    const std::size_t for_gpus = ledger_.queued_for_gpus;
    const std::size_t others = gpus ? ledger_.queued.size() - for_gpus : for_gpus;
    const std::size_t seen = gpus ? looked_at_ : looked_at_for_gpus_;
    return others > 0 && seen < kBackfillMax && ++passed_ <= kBackfillPassedMax;
  }

  void Put(const Job& job, const Placement& placement) {
    in_the_way_.clear();
    plan_.Book(placement.members, job);
    if (reservation_ && !EndsBefore(job, placement)) {
      reservation_->plan.Book(placement.members, job);
    }
    held_.Add(job, placement.size);
    const Attempt attempt = Next(job.attempt);
    decision_.Say(GangPlaced{job.id, attempt, placement.size, placement.members,
                             placement.numerics_fingerprint, placement.bits_changed, decision_.at});
    decision_.See(Notice(learned_, job, attempt, placement.size));
    for (const GangMember& member : placement.members) {
      if (!MayLaunchOn(decision_, member.node)) continue;  // it comes again with its next word
      decision_.Do(LaunchGang{member.node, job.id, attempt});
    }
  }

  // The job waits for others to leave: perhaps some are asked to; it has the next free place.
  Verdict Wait(const Job& job, const Amount& allowed) {
    if (KeepsTurn(decision_.state, job, decision_.now)) decision_.See(TurnKept{job.id});
    MakeRoom(job, allowed);
    Plan then = plan_;
    for (const auto& [end, gang] : decision_.state.liveness.ends) {
      const Job* leaving = FindJob(ledger_, gang.job);
      if (leaving == nullptr || !ledger_.active.contains(gang.job)) continue;
      then.Release(*leaving);
      if (!HasRoom(job, then, allowed)) continue;
      reservation_.emplace(Reservation{&job, std::max(end - decision_.now, Duration{}), then});
      return Verdict::kPassed;
    }
    if (!AsksForGpus(job)) return Verdict::kEnough;
    reservation_.emplace(Reservation{&job, std::nullopt, plan_});
    return Verdict::kPassed;
  }

  bool EndsBefore(const Job& job, const Placement& placement) const {
    if (!reservation_->in) return false;
    const auto step = StepMs(job, learned_, placement.size);
    if (!step || !job.estimate || job.estimate->total_steps == 0) return false;
    const double left = step->high * static_cast<double>(StepsLeft(job));
    const double besides = LaunchMsOf(learned_).high + EndingMsOf(learned_).high;
    return left + std::max(kRestartMs, besides) < Milliseconds(*reservation_->in);
  }

  // Whether the reserved job still starts as early if this one is placed now.
  bool Harmless(const Job& job, const Placement& placement) const {
    if (EndsBefore(job, placement)) return true;
    if (!reservation_->in) {
      return std::ranges::all_of(placement.members, [&](const GangMember& member) {
        return ledger_.nodes.at(member.node).gpus < reservation_->job->request.gpus_per_rank;
      });
    }
    Plan then = reservation_->plan;
    then.Book(placement.members, job);
    return HasRoom(*reservation_->job, then);
  }

  // ---- preemption ----

  struct Victim {
    const Job* job = nullptr;
    double lost = 0;  // slot-milliseconds that a switch costs
    double left = 0;  // work
  };

  // Asks gangs to stop at a step boundary so that `job` fits, no more of them than it takes: whole
  // gangs, and only where that is enough. Those that stop already are waited for.
  void MakeRoom(const Job& job, const Amount& allowed) {
    const bool owed = held_.IsOwed(job);
    if (!owed && !policy_.preempts) return;
    Plan soon = plan_;  // without those that stop already
    for (const JobId id : ledger_.active) {
      const Job& other = ledger_.jobs.at(id);
      if (std::holds_alternative<Stopping>(other.phase)) soon.Release(other);
    }
    if (HasRoom(job, soon, allowed)) return;
    Plan room = soon;
    std::vector<Victim> victims = Victims(job, owed);
    std::vector<Victim> chosen;
    for (const Victim& victim : victims) {
      room.Release(*victim.job);
      chosen.push_back(victim);
      if (!HasRoom(job, room, allowed)) continue;
      Stop(job, allowed, soon, std::move(chosen));
      return;
    }
  }

  // Those that lose least first.
  std::vector<Victim> Victims(const Job& job, bool owed) const {
    std::vector<Victim> victims;
    const auto work = WorkLeftMs(job, learned_);
    for (const JobId id : ledger_.active) {
      const Job& other = ledger_.jobs.at(id);
      if (!std::holds_alternative<Running>(other.phase) || !other.request.preemptible) continue;
      const GangTrack* track = TrackOf(decision_.state.liveness, other);
      const bool by_turn = decision_.state.liveness.turns_taken.contains(id);
      const Duration least = by_turn ? kMinRunAfterTurn : kMinRun;
      if (track == nullptr || decision_.now - track->first_noticed < least) continue;
      const auto left = WorkLeftMs(other, decision_.state, decision_.now);
      const bool borrows = owed && held_.Borrows(other, job);
      const bool longer = policy_.preempts && work && left &&
                          left->value > kWorthIt * static_cast<double>(*work) + kRestartMs;
      if (!borrows && !longer) continue;
      const auto slots = static_cast<double>(AmountOf(other, *ActiveGang(other)).slots);
      const auto step = StepMs(other, learned_, ActiveGang(other)->size);
      victims.push_back({&other, slots * (kRestartMs + (step ? step->value : 0)),
                         left ? left->value : std::numeric_limits<double>::max()});
    }
    std::sort(victims.begin(), victims.end(), [](const Victim& a, const Victim& b) {
      if (a.lost != b.lost) return a.lost < b.lost;
      if (a.left != b.left) return a.left > b.left;
      return a.job->sequence > b.job->sequence;
    });
    return victims;
  }

  // All of them that are needed: who turned out not to be stays.
  void Stop(const Job& job, const Amount& allowed, const Plan& soon, std::vector<Victim> chosen) {
    for (std::size_t spare = 0; spare < chosen.size();) {
      Plan without = soon;
      for (std::size_t i = 0; i < chosen.size(); ++i) {
        if (i != spare) without.Release(*chosen[i].job);
      }
      if (HasRoom(job, without, allowed)) {
        chosen.erase(chosen.begin() + static_cast<std::ptrdiff_t>(spare));
      } else {
        ++spare;
      }
    }
    for (const Victim& victim : chosen) RequestStop(decision_, *victim.job, StopWhy::kPreempt);
  }

  Decision& decision_;
  const Ledger& ledger_;
  const Policy& policy_;
  const Learned learned_;
  Plan plan_;
  Held held_;
  std::optional<Reservation> reservation_;
  std::size_t looked_at_ = 0;  // behind the reservation, without GPUs
  std::size_t looked_at_for_gpus_ = 0;
  std::size_t passed_ = 0;
  std::map<QueueUser, std::size_t> refused_;
  std::set<Shape> no_room_;
  // Where jobs like these would be placed that are in the reserved one's way, unless they end
  // before.
  using Like = std::pair<Shape, std::string_view>;  // with the base model's key
  std::map<Like, Placement> in_the_way_;
  std::size_t placed_ = 0;
};

}  // namespace

void Place(Decision& decision) {
  const State& state = decision.state;
  if (state.liveness.draining || state.ledger.queued.empty()) return;
  const bool any_free = !state.ledger.node_index.free.empty();
  // Where all is taken only a job that may make room for itself is looked at.
  const bool makes_room =
      PolicyOf(state.ledger, state.policy).preempts || !state.ledger.sharing.queues.empty();
  if (any_free || makes_room) Placer(decision).Run();
}

}  // namespace tutti::core
