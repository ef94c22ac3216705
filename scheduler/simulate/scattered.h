// Values known at scattered points of space, and in between by linear interpolation over a Delaunay
// triangulation: as SciPy's LinearNDInterpolator gives them (same Qhull options; published results
// depend on how it cuts ties). Immutable once made; any thread.
#pragma once

#include <array>
#include <optional>
#include <vector>

#include "common/base/result.h"

namespace tutti::simulate {

using Point = std::array<double, 3>;
using Pair = std::array<double, 2>;  // two values a point

class Scattered {
 public:
  // kInvalid when the points span no volume. REQUIRES: as many values as points.
  static Result<Scattered> Of(std::vector<Point> points, std::vector<Pair> values);

  // nullopt outside the points' convex hull.
  std::optional<Pair> At(const Point& point) const;

 private:
  static constexpr std::size_t kCorners = 4;
  static constexpr std::size_t kNone = static_cast<std::size_t>(-1);
  using Weights = std::array<double, kCorners>;  // barycentric coordinates
  struct Simplex {
    std::array<std::size_t, kCorners> corners{};
    std::array<std::size_t, kCorners> neighbors{};  // opposite to each corner; kNone = outside
    std::array<double, 5> plane{};                  // of the lifted facet: normal, offset
    bool flat = false;                              // its corners lie in one plane
    // From a point to the first three of its barycentric coordinates.
    std::array<Point, 3> inverse{};
  };

  Status Triangulate();
  void Invert(Simplex& simplex) const;
  std::size_t Near(const Point& point) const;
  std::size_t Find(const Point& point, Weights& weights) const;
  std::size_t Search(const Point& point, Weights& weights) const;
  Weights WeightsIn(const Simplex& simplex, const Point& point) const;

  std::vector<Point> points_;
  std::vector<Pair> values_;
  std::vector<Simplex> simplices_;
  double lift_scale_ = 1, lift_shift_ = 0;  // of the paraboloid
  Point low_{}, high_{};                    // the corners of the box around all points
};

}  // namespace tutti::simulate
