// What would let a job start now: its request, changed in one place at a time, tried on a plan.
#include <algorithm>

#include "common/base/check.h"
#include "common/base/units.h"
#include "scheduler/core/explain.h"
#include "scheduler/core/limits.h"
#include "scheduler/core/place.h"

namespace tutti::core {
namespace {

using internal::Concat;

constexpr std::size_t kQueuesNamed = 3;

class Adviser {
 public:
  Adviser(const State& state, const Job& job)
      : state_(state),
        job_(job),
        bare_(job),
        plan_(state.ledger, state.liveness),
        held_(state.ledger) {
    bare_.spec_json.clear();
  }

  std::vector<std::string> Advice() {
    if (!held_.AllowsSmallest(job_)) {
      OtherQueue();
    } else if (HasRoom(job_, plan_)) {
      advice_.push_back("there is room: others are before it; a higher priority would help");
    } else {
      FewerRanks();
      FewerGpus();
      LessMemory();
      OtherNodes();
      MoreSlots();
    }
    return std::move(advice_);
  }

 private:
  // What there would be, were the job as `change` makes it.
  template <typename Change>
  std::optional<Placement> TryWith(Change change) const {
    Job changed = bare_;
    change(changed);
    return TryFit(changed, plan_);
  }
  template <typename Change>
  bool HasRoomWith(Change change) const {
    return TryWith(change).has_value();
  }

  void OtherQueue() {
    std::string names;
    std::size_t named = 0;
    const bool room = HasRoom(job_, plan_);  // in whatever queue
    const auto offer = [&](const std::string& queue) {
      if (!room || named == kQueuesNamed || queue == job_.request.queue) return;
      if (!Covers(held_.Allows(QueueUser{queue, job_.request.user}), SmallestOf(job_))) return;
      ++named;
      names += (names.empty() ? "" : ", ") + queue;
    };
    for (const auto& [queue, config] : state_.ledger.sharing.queues) offer(queue);
    if (!state_.ledger.sharing.queues.contains("default")) offer("default");
    if (!names.empty()) advice_.push_back("another queue has room: " + names);
    advice_.push_back(
        "a higher limit of its queue: tutti queue set " + job_.request.queue +
        (LacksGpus() ? " gpus_max=… (or user_gpus=…)" : " slots_max=… (or user_slots=…)"));
  }

  void FewerRanks() {
    const std::uint32_t min = SizesOf(job_).min;
    if (min == 1) return;
    const auto placement = TryWith([min](Job& job) {
      job.ranks_override = 0;
      job.request.ranks_min = 1;
      job.request.ranks_max = min / 2;
    });
    if (placement) {
      advice_.push_back(Concat("with resources.ranks.min of ", placement->size,
                               " it could start now: tutti resize ", job_.id, " --ranks ",
                               placement->size));
    }
  }

  // Whether its queue's limit of GPUs is what holds it.
  bool LacksGpus() const {
    const Amount allowed = held_.Allows(job_);
    const Amount needed = SmallestOf(job_);
    return allowed.slots >= needed.slots && allowed.gpus < needed.gpus;
  }

  void FewerGpus() {
    for (std::uint32_t gpus = job_.request.gpus_per_rank; gpus > 0;) {
      gpus /= 2;
      if (!HasRoomWith([gpus](Job& job) { job.request.gpus_per_rank = gpus; })) continue;
      advice_.push_back(Concat("there is room for it with resources.gpus_per_rank of ", gpus,
                               ": submit it so instead"));
      return;
    }
  }

  void LessMemory() {
    if (MemoryPerRank(job_) == 0) return;
    if (HasRoomWith([](Job& job) { job.request.memory_bytes_per_rank = 1; })) {
      advice_.push_back(Concat("less memory a rank than ",
                               FormatBytes({static_cast<std::int64_t>(MemoryPerRank(job_))}),
                               ": a smaller training.micro_batch_size or data.max_length"));
    }
  }

  void OtherNodes() {
    if (!job_.request.labels.empty() && HasRoomWith([](Job& job) { job.request.labels.clear(); })) {
      advice_.push_back("workers without its labels have room");
    }
    if (!job_.request.topology.empty() &&
        HasRoomWith([](Job& job) { job.request.topology.clear(); })) {
      advice_.push_back("workers of different " + job_.request.topology + " have room together");
    }
    if (job_.request.reproducible && !job_.numerics_fingerprint.empty() &&
        HasRoomWith([](Job& job) { job.request.reproducible = false; })) {
      advice_.push_back("workers that compute other bits have room (schedule.reproducible: false)");
    }
  }

  // On machines like those that are there, so many more of them.
  void MoreSlots() {
    const std::uint32_t min = SizesOf(job_).min;
    for (std::uint32_t machines = 1; machines <= min; machines *= 2) {
      const Room each{.slots = min / machines * job_.request.cpus_per_rank,
                      .gpus = min / machines * job_.request.gpus_per_rank};
      std::uint32_t have = 0;
      for (const auto& [numerics, nodes] : state_.ledger.node_index.open) {
        std::uint32_t there = 0;
        plan_.EachWithFree(numerics, each, [&](const Node& node, const Room&) {
          if (HasLabels(node, job_.request.labels)) ++there;
          return there < machines;
        });
        have = std::max(have, there);
      }
      if (have >= machines) continue;
      std::string advice =
          Concat(machines - have, machines - have == 1 ? " more worker" : " more workers", " with ",
                 each.slots, each.slots == 1 ? " free slot" : " free slots");
      if (each.gpus > 0) advice += " and " + GpusText(each.gpus);
      advice_.push_back(std::move(advice));
      return;
    }
  }

  const State& state_;
  const Job& job_;
  Job bare_;  // without what has no part in where it goes
  Plan plan_;
  Held held_;
  std::vector<std::string> advice_;
};

}  // namespace

std::vector<std::string> WhatHelps(const State& state, const Job& job) {
  if (!std::holds_alternative<Queued>(job.phase)) return {};
  if (job.held) return {Concat("release it: tutti resume ", job.id)};
  if (!job.waits_for.empty() || state.liveness.draining) return {};
  if (state.ledger.node_index.open.empty()) return {"a worker: tutti worker token"};
  return Adviser(state, job).Advice();
}

}  // namespace tutti::core
