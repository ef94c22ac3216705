#include "common/base/time.h"

#include <array>
#include <charconv>
#include <cmath>
#include <cstdio>
#include <ctime>
#include <utility>

namespace tutti {
namespace {

using std::chrono::duration_cast;
using std::chrono::milliseconds;

struct Unit {
  std::string_view name;
  double seconds;
};
constexpr std::array<Unit, 5> kUnits = {Unit{"ms", 1e-3}, Unit{"d", 86400}, Unit{"h", 3600},
                                        Unit{"m", 60}, Unit{"s", 1}};
constexpr double kLongestSeconds = 10.0 * 366 * 86400;

}  // namespace

Instant MonotonicNow() {
  return {duration_cast<Duration>(std::chrono::steady_clock::now().time_since_epoch())};
}

WallTime WallNow() {
  return {duration_cast<milliseconds>(std::chrono::system_clock::now().time_since_epoch()).count()};
}

std::string WallTime::ToRfc3339() const {
  std::int64_t seconds = unix_ms / 1000;
  std::int64_t millis = unix_ms % 1000;
  if (millis < 0) {
    millis += 1000;
    --seconds;
  }
  const std::time_t time = seconds;
  std::tm utc{};
  gmtime_r(&time, &utc);
  std::array<char, 80> text{};
  std::snprintf(text.data(), text.size(), "%04d-%02d-%02dT%02d:%02d:%02d.%03dZ", utc.tm_year + 1900,
                utc.tm_mon + 1, utc.tm_mday, utc.tm_hour, utc.tm_min, utc.tm_sec,
                static_cast<int>(millis));
  return text.data();
}

std::optional<Duration> ParseDuration(std::string_view text) {
  double seconds = 0;
  if (text.empty()) return std::nullopt;
  while (!text.empty()) {
    double number = 0;
    const auto [end, error] =
        std::from_chars(text.data(), text.data() + text.size(), number, std::chars_format::fixed);
    if (error != std::errc() || text.front() == '-') return std::nullopt;
    text.remove_prefix(static_cast<std::size_t>(end - text.data()));
    const Unit* found = nullptr;
    for (const Unit& unit : kUnits) {
      if (text.starts_with(unit.name)) {
        found = &unit;
        break;
      }
    }
    if (found == nullptr) return std::nullopt;
    text.remove_prefix(found->name.size());
    seconds += number * found->seconds;
  }
  if (!(seconds > 0) || seconds > kLongestSeconds) return std::nullopt;
  return Duration(std::llround(seconds * 1e9));
}

std::string FormatDuration(Duration duration) {
  std::string text;
  std::int64_t ms = duration_cast<milliseconds>(duration).count();
  if (ms == 0) return "0s";
  if (ms < 0) {
    text = "-";
    ms = -ms;
  }
  constexpr std::array<std::pair<std::int64_t, const char*>, 5> kParts = {
      {{86'400'000, "d"}, {3'600'000, "h"}, {60'000, "m"}, {1000, "s"}, {1, "ms"}}};
  for (const auto& [size, name] : kParts) {
    if (ms >= size) {
      text += std::to_string(ms / size) + name;
      ms %= size;
    }
  }
  return text;
}

}  // namespace tutti
