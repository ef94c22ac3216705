#include "scheduler/http/failure_limit.h"

#include <algorithm>
#include <cmath>

namespace tutti::http {
namespace {

double FilledSince(Instant at, Instant now) {
  return std::chrono::duration<double>(now - at).count() * FailureLimit::kPerSecond;
}

}  // namespace

std::optional<std::chrono::seconds> FailureLimit::Count(const std::string& address, Instant now) {
  const std::lock_guard lock(mutex_);
  if (buckets_.size() >= kAddressesMax && buckets_.count(address) == 0) {
    // The full ones remember nothing; should none be full, all are forgotten: memory stays bounded.
    std::erase_if(buckets_, [&](const auto& each) {
      return each.second.left + FilledSince(each.second.at, now) >= kBurst;
    });
    if (buckets_.size() >= kAddressesMax) buckets_.clear();
  }
  Bucket& bucket = buckets_.try_emplace(address, Bucket{kBurst, now}).first->second;
  bucket.left = std::min(kBurst, bucket.left + FilledSince(bucket.at, now));
  bucket.at = now;
  if (bucket.left >= 1) {
    bucket.left -= 1;
    return std::nullopt;
  }
  const double wait = std::ceil((1 - bucket.left) / kPerSecond);
  return std::chrono::seconds(std::max(1L, static_cast<long>(wait)));
}

}  // namespace tutti::http
