#include "scheduler/coordinator/loop.h"

#include <algorithm>
#include <iterator>
#include <utility>

#include "common/base/check.h"
#include "common/base/log.h"
#include "monitoring/metrics/metrics.h"

namespace tutti::coordinator {
namespace {

// Ticks at the end of one round: a tick that frees slots is followed by one that fills them.
constexpr int kTicksMax = 4;
// A commit shorter than this is its processor's time rather than its disk's.
constexpr Duration kSlowCommit = std::chrono::milliseconds(4);
// Nor is a longer wait: workers' leases are renewed here, too.
constexpr Duration kCompanyMax = std::chrono::milliseconds(50);
// A pause of this part of a commit between two works ends the waiting.
constexpr int kPausesInCommit = 8;

Error Stopped() {
  return {ErrorCode::kUnavailable, "the coordinator is stopping", {}, "try again in a moment"};
}

Error ReadOnly(const std::string& why) {
  return {ErrorCode::kDiskFull,
          "the state database cannot be written: " + why,
          {},
          "free space on its disk; nothing was changed, and the coordinator goes on by itself"};
}

// Which outcome of METRICS.md's scheduler_decisions_total a fact is; "" = not a decision.
struct DecisionOf {
  std::string_view operator()(const core::JobSubmitted&) const { return "submitted"; }
  std::string_view operator()(const core::JobAdmitted&) const { return "admitted"; }
  std::string_view operator()(const core::JobRejected&) const { return "rejected"; }
  std::string_view operator()(const core::GangPlaced&) const { return "placed"; }
  std::string_view operator()(const core::StopRequested&) const { return "stopped"; }
  std::string_view operator()(const core::AttemptFailed&) const { return "attempt_failed"; }
  template <typename Other>
  std::string_view operator()(const Other&) const {
    return "";
  }
};

}  // namespace

// ---- a round ---------------------------------------------------------------------------------

Result<core::Reply> Round::Step(InputBody body) {
  const core::Input input{WallNow(), std::move(body)};
  const Instant started = MonotonicNow();
  auto outcome = core::Step(state_, input, now_);
  if (metrics_ != nullptr) metrics_->SchedulerStep(MonotonicNow() - started);
  if (!outcome) return Fail(std::move(outcome).error());
  if (read_only_ && !outcome->facts.empty()) return Fail(ReadOnly("it is full or failed"));
  for (core::Fact& fact : outcome->facts) {
    if (const auto* archived = std::get_if<core::JobArchived>(&fact)) {
      archived_.push_back(ledger_.jobs.at(archived->job));
    }
    core::Apply(ledger_, fact);
    facts_.push_back(std::move(fact));
  }
  for (const core::Sighting& sighting : outcome->sightings) Observe(sighting);
  for (core::Effect& effect : outcome->effects) {
    core::Observe(liveness_, effect, now_);
    effects_.push_back(std::move(effect));
  }
  return std::move(outcome->reply);
}

void Round::Observe(const core::Sighting& sighting) { core::Observe(liveness_, sighting, now_); }

void Round::After(std::function<void(const Status&)> then) { after_.push_back(std::move(then)); }

// ---- life ------------------------------------------------------------------------------------

Loop::Loop(std::unique_ptr<store::Store> store, LoopOptions options)
    : options_(options),
      store_(std::move(store)),
      state_{ledger_, liveness_, core::DefaultPolicy()} {}

Loop::~Loop() { Stop(); }

Status Loop::Start(LoopHooks hooks, const std::function<void(const View&)>& recovered) {
  hooks_ = std::move(hooks);
  TUTTI_ASSIGN_OR_RETURN(ledger_, store_->Recover());
  Round round(ledger_, liveness_, state_.policy);
  round.now_ = MonotonicNow();
  TUTTI_RETURN_IF_ERROR(round.Step(core::CoordinatorStart{}));
  TUTTI_RETURN_IF_ERROR(store_->Append(round.facts_));
  generation_ = ledger_.generation;
  if (recovered) recovered(ViewNow());
  thread_ = std::thread([this] { Run(); });
  return {};
}

void Loop::Stop() {
  {
    const std::lock_guard lock(mutex_);
    stopping_ = true;
  }
  wake_.notify_all();
  room_.notify_all();
  if (thread_.joinable()) thread_.join();
  store_.reset();
}

bool Loop::Do(Work work) {
  {
    const std::lock_guard lock(mutex_);
    if (stopping_ || works_.size() >= kWaitingMax) return false;
    works_.push_back(std::move(work));
  }
  wake_.notify_one();
  return true;
}

void Loop::Read(coordinator::Read read) {
  if (std::this_thread::get_id() == thread_id_) {
    own_reads_.push_back(std::move(read));
    return;
  }
  Error refusal = Stopped();
  {
    const std::lock_guard lock(mutex_);
    if (!stopping_ && reads_.size() < kWaitingMax) {
      reads_.push_back(std::move(read));
      wake_.notify_one();
      return;
    }
    if (!stopping_) refusal.message = "too many requests wait";
  }
  read(Fail(std::move(refusal)));
}

void Loop::WaitForRoom(Duration deadline) {
  std::unique_lock lock(mutex_);
  room_.wait_for(lock, deadline, [&] { return stopping_ || works_.size() < kWaitingMax / 2; });
}

void Loop::Run() {
  thread_id_ = std::this_thread::get_id();
  while (auto batch = Wait()) {
    ProbeWhenDue();
    if (!batch->works.empty() || MonotonicNow() >= next_tick_) RunRound(batch->works);
    if (lost_) {
      const std::lock_guard lock(mutex_);
      stopping_ = true;
    }
    RunReads(batch->reads);
  }
  thread_id_ = std::thread::id();
  // Stopped: works are dropped with what they hold, reads hear why.
  std::deque<Work> works;
  std::deque<coordinator::Read> reads;
  {
    const std::lock_guard lock(mutex_);
    works.swap(works_);
    reads.swap(reads_);
  }
  for (const coordinator::Read& read : reads) read(Fail(Stopped()));
}

// The next works and reads, perhaps none when a tick is due; nullopt when stopping.
std::optional<Loop::Batch> Loop::Wait() {
  std::unique_lock lock(mutex_);
  const Instant since = MonotonicNow();
  const Duration until_tick = next_tick_ - since;
  wake_.wait_for(lock, std::max(until_tick, Duration{0}),
                 [&] { return stopping_ || !works_.empty() || !reads_.empty(); });
  WaitForCompany(lock, since);
  last_commit_ = {};  // it was the round before this one, or none
  if (stopping_) return std::nullopt;
  Batch batch;
  const auto count = static_cast<std::ptrdiff_t>(std::min(works_.size(), kRoundMax));
  std::move(works_.begin(), works_.begin() + count, std::back_inserter(batch.works));
  works_.erase(works_.begin(), works_.begin() + count);
  std::move(reads_.begin(), reads_.end(), std::back_inserter(batch.reads));
  reads_.clear();
  room_.notify_all();
  return batch;
}

// Where a sync takes long, those who were just answered and ask again would always find the next
// round on its way without them: clients came in two halves, each waiting for two syncs. So after a
// round of several, works that come one soon after the other go into one round.
void Loop::WaitForCompany(std::unique_lock<std::mutex>& lock, Instant since) {
  const Duration took = std::min(last_commit_.took, kCompanyMax);
  const Duration pause = took / kPausesInCommit;
  if (last_commit_.works < 2 || took < kSlowCommit || works_.empty()) return;
  if (MonotonicNow() > since + pause) return;
  const Instant deadline = since + took;
  while (!stopping_ && reads_.empty() && works_.size() < kRoundMax) {
    const std::size_t waiting = works_.size();
    const Duration patience = std::min(pause, deadline - MonotonicNow());
    const bool more = wake_.wait_for(
        lock, patience, [&] { return stopping_ || !reads_.empty() || works_.size() > waiting; });
    if (!more) return;
  }
}

// ---- rounds ----------------------------------------------------------------------------------

void Loop::RunRound(std::vector<Work>& works) {
  Round round(ledger_, liveness_, state_.policy);
  round.read_only_ = read_only_;
  round.metrics_ = options_.metrics;
  round.works_ = works.size();
  for (Work& work : works) {
    round.now_ = MonotonicNow();
    work(round);
  }
  works.clear();
  round.now_ = MonotonicNow();
  if (hooks_.tick) hooks_.tick(round);
  for (int i = 0; i < kTicksMax; ++i) {
    const std::size_t before = round.facts_.size();
    // An error here is the read-only loop's: what the tick wanted comes again.
    if (!round.Step(core::Tick{}) || round.facts_.size() == before) break;
  }
  next_tick_ = MonotonicNow() + options_.tick_every;
  Commit(round);
}

void Loop::Commit(Round& round) {
  const std::uint64_t first_seq = store_->last_seq() + 1;
  if (!round.facts_.empty()) {
    const Instant started = MonotonicNow();
    const Status appended = store_->Append(round.facts_, round.archived_);
    if (!appended) return TakeBack(round, appended.error());
    last_commit_ = {.works = round.works_, .took = MonotonicNow() - started};
    if (options_.metrics != nullptr) {
      options_.metrics->StoreCommit(last_commit_.took);
      for (const core::Fact& fact : round.facts_) {
        const std::string_view outcome = std::visit(DecisionOf{}, fact);
        if (!outcome.empty()) options_.metrics->Decision(outcome);
      }
    }
  }
  const View view = ViewNow();
  const auto perform = [&](bool by_workers) {
    for (const core::Effect& effect : round.effects_) {
      if (hooks_.perform && core::IsByWorker(effect) == by_workers) hooks_.perform(effect, view);
    }
  };
  perform(false);
  if (hooks_.stored && !round.facts_.empty()) {
    hooks_.stored({.first_seq = first_seq, .facts = round.facts_, .view = view});
  }
  for (const auto& then : round.after_) then({});
  perform(true);  // a worker that has just registered does nothing before its reply
  if (!round.facts_.empty()) {
    if (const Status snapshot = store_->MaybeSnapshot(ledger_); !snapshot) {
      Log(kWarning, "snapshot_failed", {{"error", snapshot.error().ToString()}});
    }
  }
}

// Nothing of the round is stored: what it decided is forgotten, what it would have sent is not
// sent.
void Loop::TakeBack(Round& round, const Error& error) {
  Log(kError, "store_write_failed", {{"error", error.ToString()}});
  read_only_ = true;
  next_probe_ = MonotonicNow() + options_.probe_every;
  auto recovered = store_->Recover();
  if (!recovered) {
    Log(kError, "store_unreadable", {{"error", recovered.error().ToString()}});
    lost_ = true;
    for (const auto& then : round.after_) then(Fail(recovered.error()));
    if (hooks_.failed) hooks_.failed(recovered.error());
    return;
  }
  ledger_ = std::move(*recovered);
  // Liveness remembers sightings and effects of decisions that never were.
  core::Reconcile(liveness_, ledger_);
  for (const core::Effect& effect : round.effects_) {
    if (const auto* inspect = std::get_if<core::InspectJob>(&effect)) {
      liveness_.inspections.erase(inspect->job);
    }
  }
  const Error answer = ReadOnly(error.message);
  for (const auto& then : round.after_) then(Fail(answer));
}

void Loop::ProbeWhenDue() {
  if (!read_only_ || MonotonicNow() < next_probe_) return;
  next_probe_ = MonotonicNow() + options_.probe_every;
  if (const Status probe = store_->Probe(); !probe) {
    Log(kWarning, "store_still_unwritable", {{"error", probe.error().ToString()}});
    return;
  }
  read_only_ = false;
  Log(kInfo, "store_writable_again");
}

void Loop::RunReads(std::vector<coordinator::Read>& reads) {
  std::move(own_reads_.begin(), own_reads_.end(), std::back_inserter(reads));
  own_reads_.clear();
  while (!reads.empty()) {
    for (const coordinator::Read& read : reads) {
      if (lost_) {
        read(Fail(Stopped()));
      } else {
        read(ViewNow());
      }
    }
    reads.clear();
    reads.swap(own_reads_);  // a read may ask on
  }
}

}  // namespace tutti::coordinator
