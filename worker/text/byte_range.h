// A part of a UTF-8 text. A value.
#pragma once

#include <cstddef>

namespace tutti::text {

struct ByteRange {
  std::size_t from = 0;
  std::size_t to = 0;  // one past the last
  bool operator==(const ByteRange&) const = default;
};

}  // namespace tutti::text
