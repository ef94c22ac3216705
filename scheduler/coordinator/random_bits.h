// Random bits for ids and session numbers. Any thread.
#pragma once

#include <sys/random.h>

#include <cstdint>

#include "common/base/check.h"

namespace tutti::coordinator {

inline std::uint64_t RandomBits() {
  std::uint64_t bits = 0;
  TUTTI_CHECK(::getrandom(&bits, sizeof bits, 0) == sizeof bits);
  return bits;
}

}  // namespace tutti::coordinator
