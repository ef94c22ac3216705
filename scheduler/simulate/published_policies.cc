// Tiresias (NSDI'19) and Optimus (EuroSys'18) as the Pollux artifact runs them: same order, same
// ties, so that every job's published completion time comes out.
#include <algorithm>
#include <cmath>
#include <numeric>
#include <utility>

#include "common/base/check.h"
#include "scheduler/simulate/allocator.h"

namespace tutti::simulate {

FreeSlots::FreeSlots(const Cluster& cluster, const Allocations& taken)
    : free_(cluster.machines, cluster.slots) {
  for (const auto& [job, ranks] : taken) {
    for (const std::uint32_t machine : ranks) --free_[machine];
  }
}

std::vector<std::uint32_t> FreeSlots::Take(std::uint32_t ranks) {
  std::vector<std::uint32_t> machines;
  while (machines.size() < ranks) {
    const auto most = std::max_element(free_.begin(), free_.end());
    TUTTI_CHECK(*most > 0, "more ranks than slots");
    const auto count =
        std::min<std::uint32_t>(*most, ranks - static_cast<std::uint32_t>(machines.size()));
    machines.insert(machines.end(), count, static_cast<std::uint32_t>(most - free_.begin()));
    *most -= count;
  }
  return machines;
}

namespace {

// Two queues by attained service, without the return of starved jobs.
class Tiresias : public Allocator {
 public:
  explicit Tiresias(const Cluster& cluster) : cluster_(cluster) {}

  Result<Allocations> Allocate(const Round& round) override {
    std::map<std::size_t, const Training*> jobs(round.jobs.begin(), round.jobs.end());
    const auto gone = [&](std::size_t id) { return !jobs.contains(id); };
    for (auto* queue : {&young_, &old_}) std::erase_if(*queue, gone);
    std::erase_if(known_, [&](const auto& entry) { return gone(entry.first); });
    std::erase_if(allocations_, [&](const auto& entry) { return gone(entry.first); });
    for (const auto& [id, job] : round.jobs) {
      const auto [state, fresh] = known_.try_emplace(id);
      if (fresh) young_.push_back(id);
      Age(id, *job, state->second, round.now_seconds);
    }
    Choose(jobs);
    FreeSlots free(cluster_, allocations_);
    for (const auto* queue : {&young_, &old_}) {
      for (const std::size_t id : *queue) {
        if (known_[id].running && !allocations_.contains(id)) {
          allocations_[id] = free.Take(jobs.at(id)->job().ranks);
        }
      }
    }
    return allocations_;
  }

 private:
  static constexpr std::int64_t kYoungRankSeconds = 16 * 3600;
  struct Known {
    bool running = false;
    std::int64_t checked_at = 0;
    std::int64_t ran_seconds = 0;
  };

  void Age(std::size_t id, const Training& job, Known& known, std::int64_t now) {
    const std::int64_t passed = now - std::exchange(known.checked_at, now);
    if (!known.running) return;
    known.ran_seconds += passed;
    const auto at = std::find(young_.begin(), young_.end(), id);
    if (at == young_.end() || known.ran_seconds * job.job().ranks < kYoungRankSeconds) return;
    young_.erase(at);
    old_.push_back(id);
  }

  void Choose(const std::map<std::size_t, const Training*>& jobs) {
    std::uint32_t slots = cluster_.machines * cluster_.slots;
    for (const auto* queue : {&young_, &old_}) {
      for (const std::size_t id : *queue) {
        const std::uint32_t ranks = jobs.at(id)->job().ranks;
        known_[id].running = ranks <= slots;
        if (known_[id].running) {
          slots -= ranks;
        } else {
          allocations_.erase(id);
        }
      }
    }
  }

  Cluster cluster_;
  std::vector<std::size_t> young_, old_;
  std::map<std::size_t, Known> known_;
  Allocations allocations_;
};

// Slots one by one to whom they help most.
class Optimus : public Allocator {
 public:
  explicit Optimus(const Cluster& cluster) : cluster_(cluster) {}

  Result<Allocations> Allocate(const Round& round) override {
    std::vector<Share> shares;
    std::uint32_t slots = cluster_.machines * cluster_.slots;
    for (const auto& [id, job] : round.jobs) {
      Share share{.id = id, .training = job};
      share.iterations_left = IterationsLeft(*job);
      if (slots > 0) {
        share.ranks = 1;
        --slots;
        TUTTI_RETURN_IF_ERROR(Weigh(share, slots));
      }
      shares.push_back(share);
    }
    while (slots > 0) {
      const auto best =
          std::max_element(shares.begin(), shares.end(),
                           [](const Share& a, const Share& b) { return a.gain < b.gain; });
      if (best == shares.end() || best->gain <= 0) break;
      ++best->ranks;
      TUTTI_RETURN_IF_ERROR(Weigh(*best, slots));
      --slots;
    }
    return Place(std::move(shares));
  }

 private:
  struct Share {
    std::size_t id = 0;
    const Training* training = nullptr;
    std::uint32_t ranks = 0;
    double iterations_left = 0;
    double gain = 0;  // seconds that one more rank would save
  };

  static double IterationsLeft(const Training& job) {
    const Application& app = *job.job().application;
    const std::uint32_t last = app.epochs() - 1;
    if (last <= job.epoch()) return 1;
    return app.IterationsAt(job.job().batch_size, last) -
           app.IterationsAt(job.job().batch_size, job.epoch());
  }

  static std::uint32_t RanksMax(const TraceJob& job) {
    if (job.application->name() == "ncf") return 1;  // was never measured with more
    return job.batch_size / job.application->rows_min();
  }

  static Status Weigh(Share& share, std::uint32_t slots) {
    share.gain = 0;
    if (share.ranks + 1 > RanksMax(share.training->job()) || slots < 1) return {};
    TUTTI_ASSIGN_OR_RETURN(const double now, StepSeconds(share.training->job(), share.ranks));
    TUTTI_ASSIGN_OR_RETURN(const double then, StepSeconds(share.training->job(), share.ranks + 1));
    share.gain = (now - then) * share.iterations_left;
    return {};
  }

  // On as few machines of four slots as possible.
  static Result<double> StepSeconds(const TraceJob& job, std::uint32_t ranks) {
    constexpr std::uint32_t kSlots = 4;
    const Application& app = *job.application;
    Shape shape(ranks / kSlots, kSlots);
    if (ranks % kSlots != 0) shape.push_back(ranks % kSlots);
    LocalBatch split = app.Split(job.batch_size, shape);
    if (ranks == 1 && split.accumulations == 0) {
      // The port splits a single rank's batch whatever its size.
      split.accumulations = 1;
      split.rows = static_cast<std::uint32_t>(std::ceil(job.batch_size / 2.0 - 1e-8));
      split.rows = std::min(split.rows, app.batch_max() / 2);
    }
    TUTTI_ASSIGN_OR_RETURN(const Application::StepTime time, app.TimeOf(shape, split.rows));
    return time.step_seconds + (time.step_seconds - time.sync_seconds) * split.accumulations;
  }

  Allocations Place(std::vector<Share> shares) {
    Allocations kept;
    for (const Share& share : shares) {
      const auto had = allocations_.find(share.id);
      if (had != allocations_.end() && had->second.size() == share.ranks) kept.insert(*had);
    }
    std::stable_sort(shares.begin(), shares.end(),
                     [](const Share& a, const Share& b) { return a.ranks < b.ranks; });
    FreeSlots free(cluster_, kept);
    for (const Share& share : shares) {
      if (share.ranks > 0 && !kept.contains(share.id)) kept[share.id] = free.Take(share.ranks);
    }
    return allocations_ = std::move(kept);
  }

  Cluster cluster_;
  Allocations allocations_;
};

}  // namespace

std::unique_ptr<Allocator> MakeTiresias(const Cluster& cluster) {
  return std::make_unique<Tiresias>(cluster);
}
std::unique_ptr<Allocator> MakeOptimus(const Cluster& cluster) {
  return std::make_unique<Optimus>(cluster);
}

}  // namespace tutti::simulate
