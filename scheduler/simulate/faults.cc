#include "scheduler/simulate/faults.h"

#include <algorithm>
#include <memory>
#include <set>
#include <string>
#include <utility>

#include "common/base/check.h"
#include "scheduler/core/invariants.h"
#include "scheduler/core/place.h"
#include "scheduler/simulate/fake_coordinator.h"

namespace tutti::simulate {
namespace {

using namespace std::chrono_literals;
using internal::Concat;

constexpr Duration kHealsWithin = 60s;  // leases, reassignment, launches given up

// A cluster with its clients, and what goes wrong with it.
class FaultRun {
 public:
  explicit FaultRun(const FaultOptions& options)
      : options_(options),
        scene_(options),
        ranks_(scene_),
        coordinator_(scene_, core::Policies()[scene_.random.Draw(core::Policies().size())],
                     [this](std::size_t worker, const ToWorker& message) {
                       scene_.Send(worker, false,
                                   [this, worker, message] { workers_[worker]->Hear(message); });
                     }) {
    const std::size_t count = scene_.random.Between(1, 6);
    for (std::size_t i = 0; i < count; ++i) {
      const FakeWorker::Options worker{
          .index = i,
          .slots = static_cast<std::uint32_t>(scene_.random.Between(1, 8)),
          .gpus = options.gpus && of_gpus_.Chance(0.4)
                      ? static_cast<std::uint32_t>(of_gpus_.Between(1, 4))
                      : 0};
      slots_ += worker.slots;
      gpus_max_ = std::max(gpus_max_, worker.gpus);
      workers_.push_back(std::make_unique<FakeWorker>(
          scene_, ranks_, worker, [this, i](const FromWorker& message) {
            scene_.Send(i, true, [this, message] { coordinator_.Hear(message); });
          }));
    }
    mean_between_faults_ = scene_.random.Between(200ms, 20s);
  }

  FaultReport Run() {
    coordinator_.Start();
    for (const auto& worker : workers_) worker->Start();
    Submitting();
    Meddling();
    Breaking();
    scene_.RunUntil(Instant{options_.safety});
    const std::uint64_t faults = scene_.faults();
    if (scene_.violations().empty()) Heal();
    FaultReport report;
    report.hash = scene_.hash();
    report.faults = faults;
    report.facts = coordinator_.facts();
    report.submitted = coordinator_.promises.submitted.size();
    const core::Ledger& ledger = coordinator_.ledger();
    for (const auto& [sequence, id] : ledger.by_sequence) {
      const core::Job& job = ledger.jobs.at(id);
      if (!std::holds_alternative<core::Succeeded>(job.phase)) continue;
      ++report.succeeded;
      report.on_gpus += job.request.gpus_per_rank > 0 ? 1 : 0;
    }
    report.violations = scene_.violations();
    report.simulated = scene_.now().since_start;
    return report;
  }

 private:
  Random& random() { return scene_.random; }
  Duration Wait(Duration mean) { return random().Between(Duration{1}, 2 * mean); }

  // ---- clients ----

  void Submitting() {
    if (scene_.healed) return;
    SubmitOne();
    scene_.After(Wait(15s), [this] { Submitting(); });
  }

  void SubmitOne() {
    core::Submit submit;
    const auto ranks_max = std::uint32_t{1} << random().Draw(4);
    submit.request.name = "job-" + std::to_string(random().Draw(20));
    submit.request.task = "text-classification";
    submit.request.ranks_max = submit.request.shards = ranks_max;
    submit.request.ranks_min = random().Chance(0.5) ? ranks_max : 1;
    if (submit.request.ranks_min > slots_) submit.request.ranks_min = 1;
    if (gpus_max_ > 0 && of_gpus_.Chance(0.3)) {
      submit.request.gpus_per_rank = static_cast<std::uint32_t>(of_gpus_.Between(1, gpus_max_));
      submit.request.ranks_min = 1;
    }
    submit.request.priority = static_cast<std::int64_t>(random().Draw(3));
    submit.request.retry_max_attempts = 1000;  // faults here are far denser than any cluster's
    submit.request.retry_on = {spec::FailureReason::kCrash, spec::FailureReason::kHang,
                               spec::FailureReason::kWorkerLost, spec::FailureReason::kInternal,
                               spec::FailureReason::kOom};
    submit.spec_json = Write({.steps = random().Between(5, 150),
                              .save_every = random().Between(5, 40),
                              .step = random().Between(50ms, 1500ms)});
    submit.idempotency_key = Concat("key-", ++keys_);
    submit.body_digest = submit.idempotency_key;
    Insist(std::move(submit));
  }

  // Until an answer comes; the key makes it one job.
  void Insist(core::Submit submit) {
    if (coordinator_.promises.submitted.contains(submit.idempotency_key) ||
        refused_.contains(submit.idempotency_key)) {
      return;
    }
    scene_.Send(Scene::kClients, true, [this, submit]() mutable {
      submit.job = JobId{random().Bits()};
      coordinator_.Ask(submit, [this, key = submit.idempotency_key](const auto& reply) {
        if (!reply) {
          // More than these workers could ever hold: refused for good.
          if (reply.error().code == ErrorCode::kInvalid) refused_.insert(key);
          return;
        }
        const JobId job = std::get<core::JobReply>(*reply).job;
        scene_.Send(Scene::kClients, false, [this, key, job] { Acknowledged(key, job); });
      });
    });
    scene_.After(2s, [this, submit] { Insist(submit); });
  }

  void Acknowledged(const std::string& key, JobId job) {
    const auto [known, fresh] = coordinator_.promises.submitted.try_emplace(key, job);
    if (!fresh && known->second != job) {
      scene_.Broken(Concat("one submission became jobs ", known->second, " and ", job));
    }
    scene_.Note(3, job.value());
  }

  void Meddling() {
    if (scene_.healed) return;
    MeddleOnce();
    scene_.After(Wait(8s), [this] { Meddling(); });
  }

  void MeddleOnce() {
    const auto& known = coordinator_.promises.submitted;
    if (known.empty()) return;
    auto it = known.begin();
    std::advance(it, static_cast<std::ptrdiff_t>(random().Draw(known.size())));
    const JobId job = it->second;
    switch (random().Draw(12)) {
      case 0:
        return Request(core::Cancel{job});
      case 1:
      case 2:
        return Request(core::Pause{job});
      case 3:
      case 4:
      case 5:
        return Request(core::Resume{job, 0});
      case 6:
      case 7:
        return Request(core::Resize{job, std::uint32_t{1} << random().Draw(4)});
      case 8:
        return Request(core::CheckpointNow{job});
      case 9:
        return Request(core::SetPriority{job, static_cast<std::int64_t>(random().Draw(3))});
      default:
        return Request(
            core::DrainNode{NodeId{1 + random().Draw(workers_.size())}, random().Chance(0.5)});
    }
  }

  void Request(FakeCoordinator::InputBody body) {
    scene_.Send(Scene::kClients, true,
                [this, body] { coordinator_.Ask(body, [](const auto&) {}); });
  }

  // ---- faults ----

  void Breaking() {
    if (scene_.healed) return;
    scene_.After(Wait(mean_between_faults_), [this] {
      if (scene_.healed) return;
      BreakOnce();
      Breaking();
    });
  }

  void BreakOnce() {
    scene_.Fault();
    FakeWorker& worker = *workers_[random().Draw(workers_.size())];
    switch (random().Draw(9)) {
      case 0:
        return coordinator_.Crash(random().Between(10ms, 10s));
      case 1:
        return coordinator_.FillDisk(random().Between(10ms, 5s));
      case 2:
        return worker.Crash(random().Between(10ms, 20s));
      case 3:
        return worker.Freeze(random().Between(10ms, 15s));
      case 4:
      case 5:
        return CutOff();
      default:
        return BreakRank();
    }
  }

  // A partition of one direction or both.
  void CutOff() {
    const std::size_t link = random().Draw(workers_.size());
    const bool up = random().Chance(0.7);
    const bool down = !up || random().Chance(0.6);
    const Duration time = random().Between(10ms, 20s);
    for (const bool direction : {true, false}) {
      if (!(direction ? up : down)) continue;
      scene_.Partition(link, direction, true);
      scene_.After(time, [this, link, direction] { scene_.Partition(link, direction, false); });
    }
  }

  void BreakRank() {
    const std::vector<FakeRanks::Seat> alive = ranks_.Alive();
    if (alive.empty()) return;
    const FakeRanks::Seat& seat = alive[random().Draw(alive.size())];
    switch (random().Draw(3)) {
      case 0:
        return ranks_.Kill(seat, random().Chance(0.5) ? 9 : 11);
      case 1:
        return ranks_.Stall(seat, random().Between(100ms, 40s));
      default:
        return ranks_.Slow(seat.gang, static_cast<std::uint32_t>(random().Between(1, 5)));
    }
  }

  // ---- the healing ----

  void Heal() {
    scene_.Heal();
    scene_.RunUntil(scene_.now() + kHealsWithin);
    const Instant end = scene_.now() + options_.liveness;
    while (scene_.violations().empty() && !AllDone()) {
      if (scene_.now() >= end) return ReportStuck();
      for (std::size_t i = 0; i < workers_.size(); ++i)
        Request(core::DrainNode{NodeId{i + 1}, false});
      const core::Ledger& ledger = coordinator_.ledger();
      for (const auto& [sequence, id] : ledger.by_sequence) {
        const core::Job& job = ledger.jobs.at(id);
        if (std::holds_alternative<core::Paused>(job.phase)) Request(core::Resume{id, 0});
        // Who asked for so many before any worker was known is told that it waits for more
        // machines.
        const bool too_many = std::holds_alternative<core::Queued>(job.phase) &&
                              !core::CouldEverFit(ledger, job.request, core::SizesOf(job).min, 0);
        if (too_many) Request(core::Resize{id, job.request.ranks_min});
      }
      scene_.RunUntil(scene_.now() + 30s);
    }
    if (!scene_.violations().empty()) return;
    const std::string journal = coordinator_.CheckJournal();
    if (!journal.empty()) scene_.Broken(journal);
    const std::string sane = core::SanityCheck(coordinator_.ledger());
    if (!sane.empty()) scene_.Broken(sane);
  }

  bool AllAnswered() const {
    return coordinator_.promises.submitted.size() + refused_.size() >= keys_;
  }

  bool AllDone() const {
    if (!AllAnswered()) return false;
    const core::Ledger& ledger = coordinator_.ledger();
    return std::ranges::all_of(ledger.by_sequence, [&](const auto& entry) {
      return core::IsFinished(ledger.jobs.at(entry.second));
    });
  }

  void ReportStuck() {
    for (const auto& [sequence, id] : coordinator_.ledger().by_sequence) {
      const core::Job& job = coordinator_.ledger().jobs.at(id);
      if (core::IsFinished(job)) continue;
      scene_.Broken(Concat("job ", id, " is not done long after the healing: phase ",
                           job.phase.index(), ", attempt ", Number(job.attempt)));
    }
    if (!AllAnswered()) {
      scene_.Broken("a submission was never acknowledged");
    }
  }

  FaultOptions options_;
  Scene scene_;
  // Of its own: what else a seed says is the same without GPUs.
  Random of_gpus_{~options_.seed};
  std::uint32_t gpus_max_ = 0;  // of one machine
  FakeRanks ranks_;
  FakeCoordinator coordinator_;
  std::vector<std::unique_ptr<FakeWorker>> workers_;
  std::uint32_t slots_ = 0;
  Duration mean_between_faults_{};
  std::uint64_t keys_ = 0;
  std::set<std::string> refused_;  // submissions, by key
};

}  // namespace

FaultReport RunFaults(const FaultOptions& options) { return FaultRun(options).Run(); }

}  // namespace tutti::simulate
