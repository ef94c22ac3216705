// Seconds as messages carry them. Any thread.
#pragma once

#include "common/base/time.h"

namespace tutti::coordinator {

inline Duration FromSeconds(double seconds) {
  return std::chrono::duration_cast<Duration>(std::chrono::duration<double>(seconds));
}

}  // namespace tutti::coordinator
