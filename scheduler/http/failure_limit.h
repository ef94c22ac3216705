// How many wrong tokens an address may send: a bucket an address, that fills again with time. Those
// with a right token are never held up. Thread-safe.
#pragma once

#include <chrono>
#include <cstddef>
#include <mutex>
#include <optional>
#include <string>
#include <unordered_map>

#include "common/base/time.h"

namespace tutti::http {

class FailureLimit {
 public:
  static constexpr double kBurst = 20;
  static constexpr double kPerSecond = 1;
  static constexpr std::size_t kAddressesMax = 4096;

  // A failure of `address`. nullopt when it is one of those that are allowed, else how long until
  // the next is: 1 s at least.
  std::optional<std::chrono::seconds> Count(const std::string& address, Instant now);

 private:
  struct Bucket {
    double left = kBurst;
    Instant at;
  };
  std::mutex mutex_;
  std::unordered_map<std::string, Bucket> buckets_;  // guarded by mutex_
};

}  // namespace tutti::http
