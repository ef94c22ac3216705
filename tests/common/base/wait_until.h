// Waiting for what another thread or process does, as every wait of a test ends.
#pragma once

#include <poll.h>

#include <chrono>
#include <functional>

#include "common/base/time.h"

namespace tutti {

// Polls until `condition` holds; false after `seconds`.
inline bool WaitUntil(const std::function<bool()>& condition, int seconds = 60) {
  const Instant deadline = MonotonicNow() + std::chrono::seconds(seconds);
  while (!condition()) {
    if (MonotonicNow() > deadline) return false;
    ::poll(nullptr, 0, 5);
  }
  return true;
}

}  // namespace tutti
