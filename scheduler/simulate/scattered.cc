#include "scheduler/simulate/scattered.h"

#include <cmath>
#include <cstdio>
#include <limits>
#include <string>
#include <utility>

#include "common/base/check.h"

extern "C" {
#include <libqhull_r/qhull_ra.h>
}

namespace tutti::simulate {
namespace {

// Rows of the inverse of the matrix whose columns are `columns`; nullopt when they lie in a plane.
std::optional<std::array<Point, 3>> Inverse(const std::array<Point, 3>& columns) {
  const auto& [a, b, c] = columns;
  const auto cross = [](const Point& p, const Point& q) {
    return Point{p[1] * q[2] - p[2] * q[1], p[2] * q[0] - p[0] * q[2], p[0] * q[1] - p[1] * q[0]};
  };
  const Point bc = cross(b, c);
  const double volume = a[0] * bc[0] + a[1] * bc[1] + a[2] * bc[2];
  if (std::abs(volume) < 1e-12) return std::nullopt;
  std::array<Point, 3> rows = {bc, cross(c, a), cross(a, b)};
  for (Point& row : rows) {
    for (double& value : row) value /= volume;
  }
  return rows;
}

// Corners of the lower Delaunay cells.
Result<std::vector<std::array<std::size_t, 4>>> Triangulate(std::vector<Point>& points) {
  qhT qh_state;
  qhT* const qh = &qh_state;
  QHULL_LIB_CHECK
  qh_zero(qh, nullptr);
  char options[] = "qhull d Qt Qbb Qc Qz Q12";
  std::FILE* const silent = std::fopen("/dev/null", "w");
  const int failed = qh_new_qhull(qh, 3, static_cast<int>(points.size()), points.front().data(),
                                  False, options, silent, silent);
  std::vector<std::array<std::size_t, 4>> cells;
  if (failed == 0) {
    for (facetT* facet = qh->facet_list; facet != nullptr && facet->next != nullptr;
         facet = facet->next) {
      if (facet->upperdelaunay || !facet->simplicial) continue;
      std::array<std::size_t, 4> corners{};
      for (int i = 0; i < 4; ++i) {
        auto* const vertex = static_cast<vertexT*>(facet->vertices->e[i].p);
        corners[static_cast<std::size_t>(i)] =
            static_cast<std::size_t>(qh_pointid(qh, vertex->point));
      }
      cells.push_back(corners);
    }
  }
  qh_freeqhull(qh, qh_ALL);
  if (silent != nullptr) std::fclose(silent);
  if (failed != 0 || cells.empty()) {
    return Fail(ErrorCode::kInvalid, "the measured points span no volume");
  }
  return cells;
}

}  // namespace

Result<Scattered> Scattered::Of(std::vector<Point> points, std::vector<Pair> values) {
  TUTTI_CHECK(points.size() == values.size());
  if (points.size() < 5) return Fail(ErrorCode::kInvalid, "too few measured points");
  Scattered scattered;
  TUTTI_ASSIGN_OR_RETURN(const auto cells, Triangulate(points));
  for (const auto& corners : cells) {
    std::array<Point, 3> edges{};
    bool known = true;
    for (const std::size_t corner : corners) known = known && corner < points.size();
    if (!known) continue;  // a corner at infinity
    for (std::size_t i = 0; i < 3; ++i) {
      for (std::size_t axis = 0; axis < 3; ++axis) {
        edges[i][axis] = points[corners[i]][axis] - points[corners[3]][axis];
      }
    }
    const auto inverse = Inverse(edges);
    if (inverse) scattered.simplices_.push_back({corners, *inverse});
  }
  scattered.points_ = std::move(points);
  scattered.values_ = std::move(values);
  return scattered;
}

std::optional<Pair> Scattered::At(const Point& point) const {
  constexpr double kSlack = 100 * std::numeric_limits<double>::epsilon();
  for (const Simplex& simplex : simplices_) {
    const Point& origin = points_[simplex.corners[3]];
    std::array<double, 4> weights{};
    weights[3] = 1;
    bool inside = true;
    for (std::size_t i = 0; i < 3; ++i) {
      for (std::size_t axis = 0; axis < 3; ++axis) {
        weights[i] += simplex.inverse[i][axis] * (point[axis] - origin[axis]);
      }
      weights[3] -= weights[i];
      inside = inside && weights[i] >= -kSlack && weights[i] <= 1 + kSlack;
    }
    if (!inside || weights[3] < -kSlack || weights[3] > 1 + kSlack) continue;
    Pair value{};
    for (std::size_t i = 0; i < 4; ++i) {
      for (std::size_t each = 0; each < 2; ++each) {
        value[each] += weights[i] * values_[simplex.corners[i]][each];
      }
    }
    return value;
  }
  return std::nullopt;
}

}  // namespace tutti::simulate
