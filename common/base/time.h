// Two clocks that cannot be mixed up. Instant is monotonic: all decisions use it. WallTime is for
// people: it is recorded and shown, and never compared.
#pragma once

#include <chrono>
#include <compare>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace tutti {

using Duration = std::chrono::nanoseconds;

// A point on the monotonic clock of one process (or of the simulator). Meaningless in another.
struct Instant {
  Duration since_start{0};

  auto operator<=>(const Instant&) const = default;
  friend Duration operator-(Instant a, Instant b) { return a.since_start - b.since_start; }
  friend Instant operator+(Instant a, Duration d) { return {a.since_start + d}; }
};

Instant MonotonicNow();

// Milliseconds since 1970 UTC.
struct WallTime {
  std::int64_t unix_ms = 0;

  auto operator<=>(const WallTime&) const = default;
  // "2026-02-03T04:05:06.789Z" (RFC 3339).
  std::string ToRfc3339() const;
};

WallTime WallNow();

// "90s", "1.5h", "6h30m", "250ms", "2d"; units d h m s ms. nullopt for anything else, a sum of zero
// or one beyond 10 years.
std::optional<Duration> ParseDuration(std::string_view text);
// The shortest exact form in those units: "6h30m", "1m30s", "250ms".
std::string FormatDuration(Duration duration);

}  // namespace tutti
