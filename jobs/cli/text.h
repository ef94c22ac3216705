// Text as it stands on a terminal: widths, cutting, numbers and times for people. Pure functions;
// text is UTF-8, broken bytes count as one column each.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "common/base/time.h"

namespace tutti::cli {

// Columns: combining marks take none, East Asian wide characters and emoji two.
int DisplayWidth(std::string_view text);
// At most `width` columns; what was cut shows as "…".
std::string Fit(std::string_view text, int width);
// Padded with spaces to `width` columns, on the left for `right`-aligned text.
std::string Pad(std::string_view text, int width, bool right = false);
// Control characters (escape sequences too) shown as '?': text from elsewhere cannot steer the
// terminal. Newlines and tabs become spaces.
std::string OneLine(std::string_view text);
// The same, but that newlines stay.
std::string Lines(std::string_view text);

// "1.234", "0.00012", "5e-05": `digits` significant ones at most.
std::string Number(double value, int digits = 4);
// "12,345".
std::string Count(std::int64_t value);
// "42 s", "3 min", "2 h 5 min", "4 d".
std::string RoughDuration(double seconds);
// "0:42", "12:05", "1:02:03".
std::string ClockDuration(double seconds);

// What ToRfc3339 writes.
std::optional<WallTime> ParseRfc3339(std::string_view text);
// "3 min" since then; "" for what is no time.
std::string Age(std::string_view rfc3339, WallTime now);

}  // namespace tutti::cli
