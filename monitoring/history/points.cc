#include "monitoring/history/points.h"

#include <algorithm>
#include <limits>

namespace tutti::history {

void Merge(Point& into, const Point& next) {
  into.at = next.at;
  if (next.step) into.step = next.step;
  into.last = next.last;
  into.min = std::min(into.min, next.min);
  into.max = std::max(into.max, next.max);
}

std::vector<Point> ByCount(const std::vector<Point>& points, std::size_t limit) {
  if (points.size() <= limit || limit == 0) return limit == 0 ? std::vector<Point>() : points;
  std::vector<Point> few;
  few.reserve(limit);
  for (std::size_t i = 0; i < points.size(); ++i) {
    const std::size_t group = i * limit / points.size();
    if (group == few.size()) {
      few.push_back(points[i]);
    } else {
      Merge(few.back(), points[i]);
    }
  }
  return few;
}

std::vector<Point> ByTime(const std::vector<Point>& points, std::size_t limit) {
  if (points.size() <= limit) return points;
  const auto [first, last] =
      std::ranges::minmax_element(points, {}, [](const Point& point) { return point.at.unix_ms; });
  const auto span = static_cast<std::uint64_t>(last->at.unix_ms - first->at.unix_ms) + 1;
  int shift = 0;
  while ((span >> shift) > limit && shift < std::numeric_limits<std::int64_t>::digits) ++shift;
  std::vector<Point> few;
  std::int64_t bucket = 0;
  for (const Point& point : points) {
    const std::int64_t its = point.at.unix_ms >> shift;
    if (!few.empty() && its == bucket) {
      Merge(few.back(), point);
    } else {
      few.push_back(point);
      bucket = its;
    }
  }
  return few;
}

std::vector<Point> WithoutRepeats(std::vector<Point> points) {
  std::int64_t lowest = std::numeric_limits<std::int64_t>::max();
  std::vector<Point> kept;
  for (auto point = points.rbegin(); point != points.rend(); ++point) {
    if (point->step && *point->step >= lowest) continue;
    if (point->step) lowest = *point->step;
    kept.push_back(*point);
  }
  std::ranges::reverse(kept);
  return kept;
}

}  // namespace tutti::history
