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
  // Four corners, and the map from a point to the first three of its barycentric coordinates.
  struct Simplex {
    std::array<std::size_t, 4> corners{};
    std::array<Point, 3> inverse{};
  };

  std::vector<Point> points_;
  std::vector<Pair> values_;
  std::vector<Simplex> simplices_;
};

}  // namespace tutti::simulate
