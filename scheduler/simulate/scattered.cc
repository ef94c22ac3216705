#include "scheduler/simulate/scattered.h"

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <limits>
#include <map>
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

constexpr double kSlack = 100 * std::numeric_limits<double>::epsilon();
constexpr double kSlackBroad = 1.4901161193847656e-08;  // the root of the machine's

bool Within(double weight, double slack) { return weight >= -slack && weight <= 1 + kSlack; }

}  // namespace

Result<Scattered> Scattered::Of(std::vector<Point> points, std::vector<Pair> values) {
  TUTTI_CHECK(points.size() == values.size());
  if (points.size() < 5) return Fail(ErrorCode::kInvalid, "too few measured points");
  Scattered scattered;
  scattered.points_ = std::move(points);
  scattered.values_ = std::move(values);
  scattered.low_ = scattered.high_ = scattered.points_.front();
  for (const Point& point : scattered.points_) {
    for (std::size_t axis = 0; axis < 3; ++axis) {
      scattered.low_[axis] = std::min(scattered.low_[axis], point[axis]);
      scattered.high_[axis] = std::max(scattered.high_[axis], point[axis]);
    }
  }
  TUTTI_RETURN_IF_ERROR(scattered.Triangulate());
  return scattered;
}

// The lower facets of the convex hull of the points lifted onto a paraboloid.
Status Scattered::Triangulate() {
  qhT qh_state;
  qhT* const qh = &qh_state;
  QHULL_LIB_CHECK
  qh_zero(qh, nullptr);
  char options[] = "qhull d Qt Qbb Qc Qz Q12";
  std::FILE* const silent = std::fopen("/dev/null", "w");
  const int failed = qh_new_qhull(qh, 3, static_cast<int>(points_.size()), points_.front().data(),
                                  False, options, silent, silent);
  if (failed == 0) {
    std::map<unsigned int, std::size_t> numbers;
    const auto each = [&](const auto& visit) {
      for (facetT* facet = qh->facet_list; facet != nullptr && facet->next != nullptr;
           facet = facet->next) {
        if (!facet->upperdelaunay && facet->simplicial) visit(*facet);
      }
    };
    each([&](const facetT& facet) { numbers.emplace(facet.id, numbers.size()); });
    each([&](const facetT& facet) {
      Simplex simplex;
      for (std::size_t i = 0; i < kCorners; ++i) {
        const auto* vertex = static_cast<const vertexT*>(facet.vertices->e[i].p);
        const auto* neighbor = static_cast<const facetT*>(facet.neighbors->e[i].p);
        simplex.corners[i] = static_cast<std::size_t>(qh_pointid(qh, vertex->point));
        const auto number = numbers.find(neighbor->id);
        simplex.neighbors[i] = number == numbers.end() ? kNone : number->second;
        simplex.plane[i] = facet.normal[i];
      }
      simplex.plane[4] = facet.offset;
      Invert(simplex);
      simplices_.push_back(simplex);
    });
    if (qh->SCALElast) {
      lift_scale_ = qh->last_newhigh / (qh->last_high - qh->last_low);
      lift_shift_ = -qh->last_low * lift_scale_;
    }
  }
  int long_left = 0;
  int short_left = 0;
  qh_freeqhull(qh, qh_ALL);
  qh_memfreeshort(qh, &short_left, &long_left);
  if (silent != nullptr) std::fclose(silent);
  if (failed != 0 || simplices_.empty()) {
    return Fail(ErrorCode::kInvalid, "the measured points span no volume");
  }
  return {};
}

void Scattered::Invert(Simplex& simplex) const {
  std::array<Point, 3> edges{};
  for (std::size_t i = 0; i < 3; ++i) {
    for (std::size_t axis = 0; axis < 3; ++axis) {
      edges[i][axis] = points_.at(simplex.corners[i])[axis] - points_.at(simplex.corners[3])[axis];
    }
  }
  const auto inverse = Inverse(edges);
  simplex.flat = !inverse;
  if (inverse) simplex.inverse = *inverse;
}

Scattered::Weights Scattered::WeightsIn(const Simplex& simplex, const Point& point) const {
  const Point& origin = points_[simplex.corners[3]];
  Weights weights{};
  weights[3] = 1;
  for (std::size_t i = 0; i < 3; ++i) {
    for (std::size_t axis = 0; axis < 3; ++axis) {
      weights[i] += simplex.inverse[i][axis] * (point[axis] - origin[axis]);
    }
    weights[3] -= weights[i];
  }
  return weights;
}

// Uphill over the lifted facets from the first one.
std::size_t Scattered::Near(const Point& point) const {
  const double square = point[0] * point[0] + point[1] * point[1] + point[2] * point[2];
  const double lifted = square * lift_scale_ + lift_shift_;
  const auto height = [&](std::size_t at) {
    const auto& plane = simplices_[at].plane;
    return plane[4] + plane[0] * point[0] + plane[1] * point[1] + plane[2] * point[2] +
           plane[3] * lifted;
  };
  std::size_t at = 0;
  double best = height(at);
  for (bool changed = true; changed && best <= 0;) {
    changed = false;
    for (std::size_t k = 0; k < kCorners; ++k) {
      const std::size_t next = simplices_[at].neighbors[k];
      if (next == kNone) continue;
      const double reached = height(next);
      if (reached <= best + kSlack * (1 + std::abs(best))) continue;
      at = next;
      best = reached;
      changed = true;
    }
  }
  return at;
}

// A directed walk. Points on a grid lie on one sphere by many, and how Qhull cuts such cells need
// not fit at their borders: the cell found depends on the way there, so the way is SciPy's.
std::size_t Scattered::Find(const Point& point, Weights& weights) const {
  std::size_t at = Near(point);
  for (std::size_t steps = 0; steps < 1 + simplices_.size() / 4; ++steps) {
    const Simplex& simplex = simplices_[at];
    if (simplex.flat) return Search(point, weights);
    weights = WeightsIn(simplex, point);
    bool inside = true;
    bool moved = false;
    for (std::size_t k = 0; k < kCorners && !moved; ++k) {
      if (weights[k] < -kSlack) {
        if (simplex.neighbors[k] == kNone) return kNone;
        at = simplex.neighbors[k];
        moved = true;
      } else if (weights[k] > 1 + kSlack) {
        inside = false;
      }
    }
    if (moved) continue;
    return inside ? at : Search(point, weights);
  }
  return Search(point, weights);
}

// One after another; a neighbour of a flat cell reaches a little into it.
std::size_t Scattered::Search(const Point& point, Weights& weights) const {
  const auto fits = [&](std::size_t at, std::size_t flat) {
    weights = WeightsIn(simplices_[at], point);
    for (std::size_t k = 0; k < kCorners; ++k) {
      const bool towards = flat != kNone && simplices_[at].neighbors[k] == flat;
      if (!Within(weights[k], towards ? kSlackBroad : kSlack)) return false;
    }
    return true;
  };
  for (std::size_t at = 0; at < simplices_.size(); ++at) {
    if (!simplices_[at].flat) {
      if (fits(at, kNone)) return at;
      continue;
    }
    for (const std::size_t neighbor : simplices_[at].neighbors) {
      if (neighbor == kNone || simplices_[neighbor].flat) continue;
      if (fits(neighbor, at)) return neighbor;
    }
  }
  return kNone;
}

std::optional<Pair> Scattered::At(const Point& point) const {
  for (std::size_t axis = 0; axis < 3; ++axis) {
    if (point[axis] < low_[axis] - kSlack || point[axis] > high_[axis] + kSlack) {
      return std::nullopt;
    }
  }
  Weights weights{};
  const std::size_t at = Find(point, weights);
  if (at == kNone) return std::nullopt;
  Pair value{};
  for (std::size_t k = 0; k < kCorners; ++k) {
    for (std::size_t each = 0; each < 2; ++each) {
      value[each] += weights[k] * values_[simplices_[at].corners[k]][each];
    }
  }
  return value;
}

}  // namespace tutti::simulate
