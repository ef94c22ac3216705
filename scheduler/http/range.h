// The Range header of RFC 9110, single byte ranges. A pure function.
#pragma once

#include <cstdint>
#include <string_view>

namespace tutti::http {

struct ByteRange {
  enum class Kind : std::uint8_t { kWhole, kPart, kUnsatisfiable };
  Kind kind = Kind::kWhole;
  std::int64_t first = 0;   // of kPart
  std::int64_t length = 0;  // of kPart and kWhole, bytes
};

// `header` is the Range header's value, "" when there was none. Malformed and multiple ranges count
// as none, as the RFC allows.
ByteRange ParseRange(std::string_view header, std::int64_t size);

}  // namespace tutti::http
