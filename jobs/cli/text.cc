#include "jobs/cli/text.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <cstdio>
#include <ctime>

namespace tutti::cli {
namespace {

struct Range {
  char32_t first;
  char32_t last;
};
// Unicode 15, the blocks that terminals draw in no column, and in two.
constexpr std::array<Range, 9> kZero{{{0x0300, 0x036f},
                                      {0x0483, 0x0489},
                                      {0x0591, 0x05bd},
                                      {0x064b, 0x065f},
                                      {0x1ab0, 0x1aff},
                                      {0x200b, 0x200f},
                                      {0x20d0, 0x20f0},
                                      {0xfe00, 0xfe0f},
                                      {0xfe20, 0xfe2f}}};
constexpr std::array<Range, 10> kWide{{{0x1100, 0x115f},
                                       {0x2e80, 0x303e},
                                       {0x3041, 0xa4cf},
                                       {0xac00, 0xd7a3},
                                       {0xf900, 0xfaff},
                                       {0xfe30, 0xfe6f},
                                       {0xff00, 0xff60},
                                       {0xffe0, 0xffe6},
                                       {0x1f300, 0x1faff},
                                       {0x20000, 0x3fffd}}};

template <std::size_t N>
bool In(const std::array<Range, N>& ranges, char32_t point) {
  return std::any_of(ranges.begin(), ranges.end(),
                     [point](const Range& r) { return point >= r.first && point <= r.last; });
}

struct Character {
  std::size_t bytes = 1;
  int width = 1;
  char32_t point = 0xfffd;
};

// The character at the start of `text`, which is not empty.
Character First(std::string_view text) {
  const auto lead = static_cast<unsigned char>(text[0]);
  if (lead < 0x80) return {1, 1, lead};
  std::size_t size = 0;
  char32_t point = 0;
  if ((lead & 0xe0) == 0xc0) size = 2, point = lead & 0x1fu;
  if ((lead & 0xf0) == 0xe0) size = 3, point = lead & 0x0fu;
  if ((lead & 0xf8) == 0xf0) size = 4, point = lead & 0x07u;
  if (size == 0 || size > text.size()) return {};
  for (std::size_t i = 1; i < size; ++i) {
    const auto next = static_cast<unsigned char>(text[i]);
    if ((next & 0xc0) != 0x80) return {};
    point = (point << 6) | (next & 0x3fu);
  }
  return {size, In(kZero, point) ? 0 : In(kWide, point) ? 2 : 1, point};
}

std::string Format(const char* format, auto... values) {
  std::array<char, 64> out{};
  std::snprintf(out.data(), out.size(), format, values...);
  return out.data();
}

}  // namespace

int DisplayWidth(std::string_view text) {
  int width = 0;
  while (!text.empty()) {
    const Character c = First(text);
    width += c.width;
    text.remove_prefix(c.bytes);
  }
  return width;
}

std::string Fit(std::string_view text, int width) {
  if (DisplayWidth(text) <= width) return std::string(text);
  if (width <= 0) return {};
  std::string out;
  int used = 0;
  while (!text.empty()) {
    const Character c = First(text);
    if (used + c.width > width - 1) break;
    out += text.substr(0, c.bytes);
    used += c.width;
    text.remove_prefix(c.bytes);
  }
  return out + "…";
}

std::string Pad(std::string_view text, int width, bool right) {
  const std::string space(static_cast<std::size_t>(std::max(0, width - DisplayWidth(text))), ' ');
  return right ? space + std::string(text) : std::string(text) + space;
}

std::string OneLine(std::string_view text) {
  std::string out;
  while (!text.empty()) {
    const Character c = First(text);
    if (c.point == '\n' || c.point == '\t' || c.point == '\r') {
      out.push_back(' ');
    } else if (c.point < 0x20 || (c.point >= 0x7f && c.point < 0xa0) || c.point == 0xfffd) {
      out.push_back('?');
    } else {
      out += text.substr(0, c.bytes);
    }
    text.remove_prefix(c.bytes);
  }
  return out;
}

std::string Lines(std::string_view text) {
  std::string out;
  for (std::size_t at = 0;;) {
    const std::size_t end = text.find('\n', at);
    out += OneLine(text.substr(at, end - at));
    if (end == std::string_view::npos) return out;
    out += '\n';
    at = end + 1;
  }
}

std::string Number(double value, int digits) { return Format("%.*g", digits, value); }

std::string Count(std::int64_t value) {
  std::string digits = std::to_string(value);
  const std::size_t first = value < 0 ? 1 : 0;
  for (std::size_t at = digits.size(); at > first + 3;) {
    at -= 3;
    digits.insert(at, ",");
  }
  return digits;
}

std::string RoughDuration(double seconds) {
  if (!(seconds >= 0) || seconds > 1e12) return "?";
  const auto s = static_cast<std::int64_t>(std::llround(seconds));
  if (s < 60) return Format("%d s", static_cast<int>(s));
  if (s < 3600) return Format("%d min", static_cast<int>(s / 60));
  if (s < 36'000) {
    return Format("%d h %d min", static_cast<int>(s / 3600), static_cast<int>(s / 60 % 60));
  }
  if (s < 172'800) return Format("%d h", static_cast<int>(s / 3600));
  return Format("%lld d", static_cast<long long>(s / 86'400));
}

std::string ClockDuration(double seconds) {
  if (!(seconds >= 0) || seconds > 1e9) return "?";
  const auto s = static_cast<int>(std::llround(seconds));
  if (s < 3600) return Format("%d:%02d", s / 60, s % 60);
  return Format("%d:%02d:%02d", s / 3600, s / 60 % 60, s % 60);
}

std::optional<WallTime> ParseRfc3339(std::string_view text) {
  const std::string copy(text);
  std::tm tm{};
  int ms = 0;
  int used = 0;
  if (std::sscanf(copy.c_str(), "%4d-%2d-%2dT%2d:%2d:%2d%n", &tm.tm_year, &tm.tm_mon, &tm.tm_mday,
                  &tm.tm_hour, &tm.tm_min, &tm.tm_sec, &used) != 6) {
    return std::nullopt;
  }
  if (copy[static_cast<std::size_t>(used)] == '.') {
    if (std::sscanf(copy.c_str() + used, ".%3d", &ms) != 1) return std::nullopt;
  }
  if (copy.empty() || copy.back() != 'Z') return std::nullopt;
  tm.tm_year -= 1900;
  tm.tm_mon -= 1;
  const std::time_t seconds = ::timegm(&tm);
  return WallTime{static_cast<std::int64_t>(seconds) * 1000 + ms};
}

std::string Age(std::string_view rfc3339, WallTime now) {
  const auto then = ParseRfc3339(rfc3339);
  if (!then) return {};
  // The coordinator's clock may be a little ahead of this machine's.
  return RoughDuration(std::max(0.0, static_cast<double>(now.unix_ms - then->unix_ms) / 1000));
}

}  // namespace tutti::cli
