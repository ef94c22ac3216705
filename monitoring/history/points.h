// Points of a curve, and how many of them become few without hiding a peak. Pure functions.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "common/base/time.h"

namespace tutti::history {

// One value, or several in a row made one: the last of them, the smallest and the largest.
struct Point {
  WallTime at;  // of the last
  std::optional<std::int64_t> step = {};
  double last = 0;
  double min = 0;
  double max = 0;
  bool operator==(const Point&) const = default;
};

struct Series {
  std::string name;
  std::vector<Point> points;  // in the order in which they were told
};

// `next` told after `into`.
void Merge(Point& into, const Point& next);

// At most `limit` points: runs of equally many neighbours made one.
std::vector<Point> ByCount(const std::vector<Point>& points, std::size_t limit);

// At most about `limit` points: neighbours within one bucket of time made one. Buckets are powers
// of two of milliseconds and start at multiples of their width, so what was merged once stays whole
// when it is merged again. Unchanged when there are few enough.
std::vector<Point> ByTime(const std::vector<Point>& points, std::size_t limit);

// Without what a later attempt did again: of points with steps, those that a later point's step
// is not behind. Steps ascend afterwards.
std::vector<Point> WithoutRepeats(std::vector<Point> points);

}  // namespace tutti::history
