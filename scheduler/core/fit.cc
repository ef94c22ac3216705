#include <algorithm>
#include <bit>
#include <map>
#include <tuple>

#include "common/base/check.h"
#include "common/base/units.h"
#include "scheduler/core/disk.h"
#include "scheduler/core/no_fit.h"
#include "scheduler/core/place.h"

namespace tutti::core {
namespace {

using internal::Concat;

constexpr std::size_t kWarmMax = 64;  // nodes that have the model which are looked at

struct Spot {
  const Node* node = nullptr;
  Room free;
};

struct Arrangement {
  std::vector<GangMember> members;    // none: the gang does not fit
  std::uint64_t tiers_left_over = 0;  // on its machines: GPUs that others would need
  std::uint64_t slots_left_over = 0;
};

bool Better(const Arrangement& a, const Arrangement& b) {
  if (b.members.empty()) return !a.members.empty();
  if (a.members.empty()) return false;
  if (a.members.size() != b.members.size()) return a.members.size() < b.members.size();
  if (a.tiers_left_over != b.tiers_left_over) return a.tiers_left_over < b.tiers_left_over;
  return a.slots_left_over < b.slots_left_over;
}

// Finds a gang's machines among those of one numerics fingerprint.
class Arranger {
 public:
  Arranger(const Plan& plan, const Shape& shape, const std::string& model_key,
           const std::string& numerics)
      : plan_(plan), shape_(shape), model_key_(model_key), numerics_(numerics) {}

  // On the fewest machines, a power of two of them, that hold `size` ranks in equal parts.
  Arrangement Arrange(std::uint32_t size) const {
    for (std::uint32_t machines = 1; machines <= size; machines *= 2) {
      const std::uint32_t each = size / machines;
      std::vector<Spot> spots = Spots(machines, each);
      if (spots.empty()) continue;
      PreferWarm(spots, each);
      std::sort(spots.begin(), spots.end(),
                [](const Spot& a, const Spot& b) { return a.node->id < b.node->id; });
      Arrangement found;
      for (const Spot& spot : spots) {
        const auto first_rank = static_cast<std::uint32_t>(found.members.size()) * each;
        found.members.push_back({spot.node->id, first_rank, each});
        const Room taken = RoomOf(each);
        found.tiers_left_over += TierOf(*spot.node, spot.free.gpus) - taken.gpus;
        found.slots_left_over += spot.free.slots - taken.slots;
      }
      return found;
    }
    return {};
  }

 private:
  // What so many ranks take of a machine.
  Room RoomOf(std::uint32_t ranks) const {
    return {.slots = ranks * shape_.cpus_per_rank, .gpus = ranks * shape_.gpus_per_rank};
  }

  // Besides slots and GPUs.
  bool Holds(const Node& node, std::uint32_t ranks) const {
    const std::uint64_t memory = shape_.memory_bytes_per_rank;
    if (memory > 0 && plan_.FreeMemory(node) / memory < ranks) return false;
    if (shape_.disk_bytes > 0 && plan_.FreeDisk(node) < shape_.disk_bytes) return false;
    return HasLabels(node, *shape_.labels);
  }

  // Machines of one gang are of one group.
  std::string GroupOf(const Node& node) const {
    if (shape_.topology.empty()) return {};
    const auto label = node.labels.find(std::string(shape_.topology));
    return label == node.labels.end() ? "\n" + node.id.ToString() : label->second;
  }

  // So many machines of one group with room for so many ranks each, those first that leave the
  // least unused.
  std::vector<Spot> Spots(std::uint32_t machines, std::uint32_t each) const {
    std::map<std::string, std::vector<Spot>> groups;
    const std::vector<Spot>* full = nullptr;
    plan_.EachWithFree(numerics_, RoomOf(each), [&](const Node& node, const Room& free) {
      if (!Holds(node, each)) return true;
      std::vector<Spot>& group = groups[GroupOf(node)];
      group.push_back({&node, free});
      if (group.size() < machines) return true;
      full = &group;
      return false;
    });
    return full == nullptr ? std::vector<Spot>{} : *full;
  }

  bool IsWarm(const Node& node) const {
    return std::find(node.models.begin(), node.models.end(), model_key_) != node.models.end();
  }

  // Machines that have the model's files, in the place of others with as much free.
  void PreferWarm(std::vector<Spot>& spots, std::uint32_t each) const {
    if (model_key_.empty()) return;
    const auto warm = plan_.ledger().node_index.warm.find(model_key_);
    if (warm == plan_.ledger().node_index.warm.end()) return;
    std::size_t looked_at = 0;
    for (const NodeId id : warm->second) {
      if (++looked_at > kWarmMax) return;
      const Node& node = plan_.ledger().nodes.at(id);
      const Room free = plan_.Free(node);
      if (!IsOpen(node) || node.numerics_fingerprint != numerics_ || !Holds(node, each)) continue;
      if (GroupOf(node) != GroupOf(*spots.front().node)) continue;
      const auto taken = [&](const Spot& spot) { return spot.node->id == id; };
      if (std::any_of(spots.begin(), spots.end(), taken)) continue;
      const auto place = std::find_if(spots.begin(), spots.end(), [&](const Spot& spot) {
        const bool alike = spot.free == free && (spot.node->gpus == 0) == (node.gpus == 0);
        return alike && !IsWarm(*spot.node);
      });
      if (place != spots.end()) place->node = &node;
    }
  }

  const Plan& plan_;
  const Shape& shape_;
  const std::string& model_key_;
  const std::string& numerics_;
};

std::optional<Placement> Find(const Job& job, const Plan& plan, const Shape& shape) {
  if (shape.disk_bytes > 0 && shape.export_bytes > plan.FreeStore()) return std::nullopt;
  std::uint64_t most = std::min<std::uint64_t>(shape.max, shape.most.slots / shape.cpus_per_rank);
  if (shape.gpus_per_rank > 0) most = std::min(most, shape.most.gpus / shape.gpus_per_rank);
  const auto max = static_cast<std::uint32_t>(most);
  if (max < shape.min) return std::nullopt;
  const NodeIndex& index = plan.ledger().node_index;
  for (std::uint32_t size = std::bit_floor(max); size >= std::max(shape.min, 1U); size /= 2) {
    Arrangement best;
    const std::string* numerics = nullptr;
    for (const auto& [fingerprint, nodes] : index.known) {
      if (!shape.numerics.empty() && shape.numerics != fingerprint) continue;
      Arrangement found = Arranger(plan, shape, job.request.model_key, fingerprint).Arrange(size);
      if (!Better(found, best)) continue;
      best = std::move(found);
      numerics = &fingerprint;
    }
    if (best.members.empty()) continue;
    const bool changed = !job.numerics_fingerprint.empty() && job.numerics_fingerprint != *numerics;
    return Placement{size, std::move(best.members), *numerics, changed};
  }
  return std::nullopt;
}

// The shape, were it not for disks.
Shape WithoutDisk(Shape shape) {
  shape.disk_bytes = 0;
  return shape;
}

}  // namespace

bool Shape::operator<(const Shape& other) const {
  const auto key = [](const Shape& s) {
    return std::tie(s.min, s.max, s.cpus_per_rank, s.gpus_per_rank, s.memory_bytes_per_rank,
                    s.disk_bytes, s.export_bytes, s.most.slots, s.most.gpus, s.numerics, s.topology,
                    *s.labels);
  };
  return key(*this) < key(other);
}

Shape ShapeOf(const Job& job, const Amount& most) {
  const GangSizes sizes = SizesOf(job);
  const bool gpus = AsksForGpus(job);  // else a limit of them makes no difference
  return {.min = sizes.min,
          .max = sizes.max,
          .cpus_per_rank = job.request.cpus_per_rank,
          .gpus_per_rank = job.request.gpus_per_rank,
          .memory_bytes_per_rank = MemoryPerRank(job),
          .disk_bytes = DiskNeeded(job),
          .export_bytes = job.estimate ? job.estimate->export_bytes : 0,
          .most = {.slots = most.slots, .gpus = gpus ? most.gpus : kAnyAmount.gpus},
          .numerics = job.request.reproducible ? std::string_view(job.numerics_fingerprint)
                                               : std::string_view(),
          .topology = job.request.topology,
          .labels = &job.request.labels};
}

bool HasLabels(const Node& node, const std::map<std::string, std::string>& labels) {
  return std::ranges::all_of(labels, [&](const auto& wanted) {
    const auto label = node.labels.find(wanted.first);
    return label != node.labels.end() && label->second == wanted.second;
  });
}

GangSizes SizesOf(const Job& job) {
  if (job.ranks_override != 0) return {job.ranks_override, job.ranks_override};
  return {job.request.ranks_min, job.request.ranks_max};
}

Amount SmallestOf(const Job& job) { return AmountOf(job.request, SizesOf(job).min); }

std::uint64_t MemoryPerRank(const Job& job) {
  if (job.request.memory_bytes_per_rank != 0) return job.request.memory_bytes_per_rank;
  return job.estimate ? job.estimate->memory_bytes_per_rank : 0;
}

std::optional<Placement> TryFit(const Job& job, const Plan& plan, const Amount& most) {
  return Find(job, plan, ShapeOf(job, most));
}

bool LacksDiskOnly(const Job& job, const Plan& plan, const Amount& most) {
  const Shape shape = ShapeOf(job, most);
  return shape.disk_bytes > 0 && Find(job, plan, WithoutDisk(shape)).has_value();
}

bool FitsWhenEmpty(const Job& job, const Ledger& ledger) {
  Shape smallest = WithoutDisk(ShapeOf(job));
  smallest.max = smallest.min;
  return Find(job, Plan::OfEmptyOpen(ledger), smallest).has_value();
}

bool Blocks(const Job& job, const Plan& plan, const Amount& most) {
  // Waiting alone makes no room on a disk: others may pass.
  return !LacksDiskOnly(job, plan, most) && FitsWhenEmpty(job, plan.ledger());
}

std::variant<Placement, NoFit> Fit(const Job& job, const Plan& plan, const Amount& most) {
  if (auto placement = TryFit(job, plan, most)) return std::move(*placement);
  if (LacksDiskOnly(job, plan, most)) {
    std::string text = NoRoomText(job, plan);
    if (text.empty()) text = "the workers with free slots have too little disk free";
    return NoFit{spec::PendingReason::kResources, std::move(text), false};
  }
  return WhyNot(job, plan, FitsWhenEmpty(job, plan.ledger()));
}

Status CouldEverFit(const Ledger& ledger, const JobRequest& request, std::uint32_t size,
                    std::uint64_t memory_bytes_per_rank) {
  if (ledger.node_index.known.empty()) return {};  // no worker yet
  static const std::map<std::string, std::string> kAnyLabels;
  const Shape shape{.min = size,
                    .max = size,
                    .cpus_per_rank = request.cpus_per_rank,
                    .gpus_per_rank = request.gpus_per_rank,
                    .memory_bytes_per_rank = memory_bytes_per_rank,
                    .numerics = {},
                    .topology = {},
                    .labels = &kAnyLabels};
  Job job;
  if (Find(job, Plan::OfEmptyKnown(ledger), shape)) return {};
  return TooLarge(ledger, request, size, memory_bytes_per_rank);
}

}  // namespace tutti::core
