#include "scheduler/simulate/allocator.h"

#include <algorithm>
#include <array>

#include "scheduler/simulate/scheduler_allocator.h"

namespace tutti::simulate {
namespace {

struct Published {
  std::string_view name;
  std::unique_ptr<Allocator> (*make)(const Cluster&);
};
constexpr std::array kPublished = {Published{"tiresias", &MakeTiresias},
                                   Published{"optimus", &MakeOptimus}};

}  // namespace

Shape Packed(std::uint32_t ranks, const Cluster& cluster) {
  ranks = std::min(ranks, cluster.machines * cluster.slots);
  Shape shape(ranks / cluster.slots, cluster.slots);
  if (ranks % cluster.slots != 0) shape.push_back(ranks % cluster.slots);
  return shape;
}

std::vector<std::string> AllocatorNames() {
  std::vector<std::string> names;
  for (const core::Policy& policy : core::Policies()) names.emplace_back(policy.name);
  for (const Published& published : kPublished) names.emplace_back(published.name);
  return names;
}

Result<std::unique_ptr<Allocator>> MakeAllocator(std::string_view policy, const Cluster& cluster) {
  for (const Published& published : kPublished) {
    if (published.name == policy) return published.make(cluster);
  }
  if (const core::Policy* own = core::FindPolicy(policy)) {
    return MakeSchedulerAllocator(*own, cluster);
  }
  std::string known;
  for (const std::string& name : AllocatorNames()) known += (known.empty() ? "" : ", ") + name;
  return Fail(ErrorCode::kNotFound, "there is no policy '" + std::string(policy) + "'", "--policy",
              "one of: " + known);
}

}  // namespace tutti::simulate
