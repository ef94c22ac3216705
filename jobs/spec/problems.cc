#include "jobs/spec/problems.h"

#include <algorithm>
#include <utility>

namespace tutti::spec {
namespace {

constexpr std::size_t kKept = 200;

}  // namespace

void Problems::Add(ErrorCode code, std::string message, const Place& place, std::string hint) {
  if (errors_.size() >= kKept) return;
  errors_.push_back({{code, std::move(message), place.where, std::move(hint)}, place.order});
}

std::vector<Error> Problems::Take() {
  std::ranges::stable_sort(errors_, {}, &LocatedError::order);
  std::vector<Error> taken;
  for (LocatedError& located : errors_) {
    if (taken.size() == kErrorsMax) break;
    taken.push_back(std::move(located.error));
  }
  errors_.clear();
  return taken;
}

}  // namespace tutti::spec
