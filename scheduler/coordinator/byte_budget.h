// A bound on how many bytes of messages wait at once: who takes some gives them back when done.
// Thread-safe.
#pragma once

#include <condition_variable>
#include <cstddef>
#include <mutex>

#include "common/base/time.h"

namespace tutti::coordinator {

class ByteBudget {
 public:
  explicit ByteBudget(std::size_t max) : max_(max) {}

  // Waits until they fit, at most `patience`: false then. Alone, any number fits.
  bool Take(std::size_t bytes, Duration patience) {
    std::unique_lock lock(mutex_);
    const bool fits =
        returned_.wait_for(lock, patience, [&] { return taken_ == 0 || taken_ + bytes <= max_; });
    if (fits) taken_ += bytes;
    return fits;
  }
  void Return(std::size_t bytes) {
    {
      const std::lock_guard lock(mutex_);
      taken_ -= bytes;
    }
    returned_.notify_one();
  }

 private:
  const std::size_t max_;
  std::mutex mutex_;
  std::condition_variable returned_;
  std::size_t taken_ = 0;
};

}  // namespace tutti::coordinator
