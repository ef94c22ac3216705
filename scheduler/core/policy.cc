#include "scheduler/core/policy.h"

#include <algorithm>
#include <array>
#include <chrono>
#include <map>
#include <set>
#include <string>
#include <utility>

#include "common/base/check.h"
#include "scheduler/core/state.h"
#include "scheduler/core/timing.h"

namespace tutti::core {
namespace {

// What a slot that is held now is taken to use before it is given back: so that shares hold while
// gangs run, not only once they were counted.
constexpr double kHeldMs = 600'000;

// What a GPU counts beside a slot: as many slots as the cluster has for each.
double SlotsPerGpu(const Ledger& ledger) {
  const Amount& all = ledger.node_index.all;
  return all.gpus == 0 ? 0 : static_cast<double>(all.slots) / static_cast<double>(all.gpus);
}

// Visits the jobs of all lines in the order of their keys: the smallest of the lines' first ones,
// again and again.
template <typename Key>
void Merge(const Ledger& ledger, const std::map<QueueUser, std::set<Key>>& lines,
           const Visit& visit) {
  struct Head {
    typename std::set<Key>::const_iterator next, end;
    bool operator<(const Head& other) const { return *other.next < *next; }  // smallest on top
  };
  std::vector<Head> heads;
  for (const auto& [who, keys] : lines) heads.push_back({keys.begin(), keys.end()});
  std::make_heap(heads.begin(), heads.end());
  while (!heads.empty()) {
    std::pop_heap(heads.begin(), heads.end());
    Head& head = heads.back();
    const Job& job = ledger.jobs.at(head.next->job);
    const Verdict verdict = MayStart(job) ? visit(job) : Verdict::kPassed;
    if (verdict == Verdict::kEnough) return;
    if (verdict == Verdict::kLeft || ++head.next == head.end) {
      heads.pop_back();
    } else {
      std::push_heap(heads.begin(), heads.end());
    }
  }
}

void Fifo(const Ledger& ledger, const Visit& visit) { Merge(ledger, ledger.queued_by, visit); }
void Srtf(const Ledger& ledger, const Visit& visit) { Merge(ledger, ledger.work_by, visit); }

// ---- fair: the tree of queues ----------------------------------------------------------------

// A user's waiting jobs in one queue.
struct Line {
  std::string_view user;
  std::set<QueueKey>::const_iterator next, end;  // there is a next one
  double used = 0;                               // slot-ms, and GPU-ms as so many of those
};
// A queue with waiting jobs in it or below it; those in a queue that has queues below it are a
// share beside these, of weight 1.
struct Share {
  double weight = 1;
  double used = 0;
  std::size_t parent = 0;
  std::vector<std::size_t> children;
  std::vector<Line> lines;  // by user
};

class Tree {
 public:
  explicit Tree(const Ledger& ledger)
      : ledger_(ledger), slots_per_gpu_(SlotsPerGpu(ledger)), shares_(1) {
    for (const auto& [who, keys] : ledger.queued_by) {
      shares_[At(who.queue)].lines.push_back({who.user, keys.begin(), keys.end(), 0});
    }
    for (const auto& [who, used] : ledger.sharing.usage) {
      Use(who, used.recent_slot_ms + slots_per_gpu_ * used.recent_gpu_ms);
    }
    for (const auto& [who, held] : ledger.held_by) Use(who, OfHolding(held));
    for (std::size_t i = 1, all = shares_.size(); i < all; ++i) PartOwnLines(i);
  }

  // The line whose turn it is; nullptr: none is left. It stays in place until Drop.
  Line* First() {
    if (shares_[0].children.empty()) return nullptr;
    chosen_ = 0;
    while (shares_[chosen_].lines.empty()) {
      const auto& children = shares_[chosen_].children;
      chosen_ =
          *std::min_element(children.begin(), children.end(), [&](std::size_t a, std::size_t b) {
            return shares_[a].used / shares_[a].weight < shares_[b].used / shares_[b].weight;
          });
    }
    auto& lines = shares_[chosen_].lines;
    return &*std::min_element(lines.begin(), lines.end(),
                              [](const Line& a, const Line& b) { return a.used < b.used; });
  }

  // What is taken to be used by who holds so much.
  double OfHolding(const Amount& held) const {
    return kHeldMs *
           (static_cast<double>(held.slots) + slots_per_gpu_ * static_cast<double>(held.gpus));
  }

  // The line that First gave gets so much.
  void Charge(Line& line, double used) {
    line.used += used;
    for (std::size_t at = chosen_; at != 0; at = shares_[at].parent) shares_[at].used += used;
  }

  // The line that First gave has no more jobs; nor, perhaps, have the shares it is part of.
  void Drop(const Line& line) {
    auto& lines = shares_[chosen_].lines;
    lines.erase(lines.begin() + (&line - lines.data()));
    for (std::size_t at = chosen_; at != 0; at = shares_[at].parent) {
      if (!shares_[at].lines.empty() || !shares_[at].children.empty()) return;
      std::erase(shares_[shares_[at].parent].children, at);
    }
  }

 private:
  std::size_t At(const std::string& queue) {
    if (const auto known = by_name_.find(queue); known != by_name_.end()) return known->second;
    const QueueConfig& config = ConfigOf(ledger_.sharing, queue);
    const std::size_t parent = config.parent.empty() ? 0 : At(config.parent);
    const std::size_t at = shares_.size();
    shares_.push_back({.weight = config.weight, .parent = parent, .children = {}, .lines = {}});
    shares_[parent].children.push_back(at);
    by_name_[queue] = at;
    return at;
  }

  // Of a queue without waiting jobs it counts for those it is part of.
  void Use(const QueueUser& who, double used) {
    const auto own = by_name_.find(who.queue);
    if (own == by_name_.end()) {
      for (const std::string& queue : ChainOf(ledger_.sharing, who.queue)) {
        const auto share = by_name_.find(queue);
        if (share != by_name_.end()) shares_[share->second].used += used;
      }
      return;
    }
    for (std::size_t at = own->second; at != 0; at = shares_[at].parent) shares_[at].used += used;
    auto& lines = shares_[own->second].lines;
    const auto line = std::lower_bound(
        lines.begin(), lines.end(), who.user,
        [](const Line& each, const std::string& user) { return each.user < user; });
    if (line != lines.end() && line->user == who.user) line->used += used;
  }

  void PartOwnLines(std::size_t at) {
    if (shares_[at].children.empty() || shares_[at].lines.empty()) return;
    Share own{.parent = at, .children = {}, .lines = std::move(shares_[at].lines)};
    for (const Line& line : own.lines) own.used += line.used;
    shares_[at].lines.clear();
    shares_[at].children.push_back(shares_.size());
    shares_.push_back(std::move(own));
  }

  const Ledger& ledger_;
  const double slots_per_gpu_;
  std::vector<Share> shares_;  // the first one is the root
  std::map<std::string, std::size_t> by_name_;
  std::size_t chosen_ = 0;
};

// Queues by what they used for their weight, from the root of their tree down; in a queue its users
// by what they used; a user's jobs by urgency.
void Fair(const Ledger& ledger, const Visit& visit) {
  Tree tree(ledger);
  while (Line* line = tree.First()) {
    // It stays first while nothing of it is placed.
    Verdict verdict = Verdict::kPassed;
    while (verdict == Verdict::kPassed && line->next != line->end) {
      const Job& job = ledger.jobs.at((line->next++)->job);
      if (!MayStart(job)) continue;
      verdict = visit(job);
      if (verdict == Verdict::kEnough) return;
      if (verdict != Verdict::kPlaced) continue;
      tree.Charge(*line, tree.OfHolding(AmountOf(job.request, job.request.ranks_min)));
    }
    if (verdict == Verdict::kLeft || line->next == line->end) tree.Drop(*line);
  }
}

constexpr std::array kPolicies = {
    Policy{.name = "fifo", .what = "by priority, then in the order of submission", .each = &Fifo},
    Policy{.name = "fair",
           .what = "by what queues and users used for their weight",
           .keeps_turns = true,
           .each = &Fair},
    Policy{.name = "srtf",
           .what = "the least work left first; a long job gives way to a short one",
           .preempts = true,
           .each = &Srtf}};

// Whose turn is kept, where it may start; or nullptr.
const Job* TurnOf(const State& state, const Policy& policy) {
  if (!policy.keeps_turns || !state.liveness.turn) return nullptr;
  const Job* job = FindJob(state.ledger, *state.liveness.turn);
  const bool waits = job != nullptr && std::holds_alternative<Queued>(job->phase);
  return waits && MayStart(*job) ? job : nullptr;
}

}  // namespace

const QueueConfig& ConfigOf(const Sharing& sharing, const std::string& queue) {
  static const QueueConfig kDefault;
  const auto found = sharing.queues.find(queue);
  return found == sharing.queues.end() ? kDefault : found->second;
}

std::string SlotsText(std::uint64_t slots) {
  return internal::Concat(slots, slots == 1 ? " slot" : " slots");
}
std::string GpusText(std::uint64_t gpus) {
  return internal::Concat(gpus, gpus == 1 ? " GPU" : " GPUs");
}

std::vector<std::string> ChainOf(const Sharing& sharing, const std::string& queue) {
  std::vector<std::string> chain{queue};
  while (chain.size() < kQueueDepthMax) {
    const std::string& parent = ConfigOf(sharing, chain.back()).parent;
    if (parent.empty()) break;
    chain.push_back(parent);
  }
  return chain;
}

std::span<const Policy> Policies() { return kPolicies; }

const Policy* FindPolicy(std::string_view name) {
  for (const Policy& policy : kPolicies) {
    if (policy.name == name) return &policy;
  }
  return nullptr;
}

const Policy& DefaultPolicy() { return kPolicies[0]; }

const Policy& PolicyOf(const Ledger& ledger, const Policy& otherwise) {
  const Policy* chosen = FindPolicy(ledger.sharing.policy);
  return chosen == nullptr ? otherwise : *chosen;
}

bool KeepsTurn(const State& state, const Job& job, Instant now) {
  if (!PolicyOf(state.ledger, state.policy).keeps_turns) return false;
  const auto& taken = state.liveness.turns_taken;
  const auto last = taken.find(job.id);
  if (last != taken.end() && now - last->second < kTurnKeptAfter) return false;
  return std::chrono::milliseconds(state.ledger.sharing.clock_ms - job.clock_ms) >= kTurnKeptAfter;
}

void VisitQueue(const State& state, const Visit& visit) {
  const Policy& policy = PolicyOf(state.ledger, state.policy);
  const Job* turn = TurnOf(state, policy);
  if (turn != nullptr && visit(*turn) == Verdict::kEnough) return;
  policy.each(state.ledger,
              [&](const Job& job) { return &job == turn ? Verdict::kPassed : visit(job); });
}

std::vector<const Job*> FirstInQueue(const State& state, std::size_t limit) {
  std::vector<const Job*> order;
  if (limit == 0) return order;
  VisitQueue(state, [&](const Job& job) {
    order.push_back(&job);
    return order.size() == limit ? Verdict::kEnough : Verdict::kPassed;
  });
  return order;
}

}  // namespace tutti::core
