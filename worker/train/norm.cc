#include "worker/train/norm.h"

#include <algorithm>
#include <cmath>

#include "common/base/check.h"

#if defined(__x86_64__) && defined(__GNUC__) && !defined(__clang__) && \
    !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__)
#define TUTTI_CLONES __attribute__((target_clones("avx512f", "avx2", "default")))
#else
#define TUTTI_CLONES
#endif

namespace tutti::train {
namespace {

constexpr int kLanes = 16;

// Lane j sums elements j, j + 16, …; the order is written out, so every instruction set adds alike.
TUTTI_CLONES double SquareSum(const float* values) {
  double lanes[kLanes] = {};
  for (std::int64_t i = 0; i < kNormBlock; i += kLanes) {
    for (int j = 0; j < kLanes; ++j) {
      const auto value = static_cast<double>(values[i + j]);
      lanes[j] += value * value;
    }
  }
  double sum = 0;
  for (const double lane : lanes) sum += lane;
  return sum;
}

}  // namespace

void BlockSquareSums(std::span<const float> values, std::span<double> sums) {
  TUTTI_CHECK(values.size() == sums.size() * static_cast<std::size_t>(kNormBlock), "norm of ",
              values.size(), " elements in ", sums.size(), " blocks");
  for (std::size_t i = 0; i < sums.size(); ++i) {
    sums[i] = SquareSum(values.data() + i * static_cast<std::size_t>(kNormBlock));
  }
}

double NormOfBlocks(std::span<const double> sums) {
  double total = 0;
  for (const double sum : sums) total += sum;
  return std::sqrt(total);
}

double ClipScale(double norm, double max_norm) {
  return max_norm > 0 ? std::min(1.0, max_norm / (norm + 1e-6)) : 1.0;
}

}  // namespace tutti::train
