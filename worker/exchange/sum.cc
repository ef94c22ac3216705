#include "worker/exchange/sum.h"

#include <algorithm>
#include <array>
#include <bit>

#include "common/base/check.h"

#if defined(__x86_64__) && !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__)
#define TUTTI_CLONES __attribute__((target_clones("avx512f", "avx2", "default")))
#else
#define TUTTI_CLONES
#endif

namespace tutti::exchange {
namespace {

// One tile stays in the first-level cache while a longer sum passes over it.
constexpr std::size_t kTile = 2048;

// `out` may be `a` or `b` themselves, never a shifted view of them: no iteration reads what another
// one writes.
TUTTI_CLONES void Add(const float* a, const float* b, float* out, std::size_t n) {
#pragma GCC ivdep
  for (std::size_t i = 0; i < n; ++i) out[i] = a[i] + b[i];
}

TUTTI_CLONES void Add4(const float* a, const float* b, const float* c, const float* d, float* out,
                       std::size_t n) {
#pragma GCC ivdep
  for (std::size_t i = 0; i < n; ++i) out[i] = (a[i] + b[i]) + (c[i] + d[i]);
}

TUTTI_CLONES void AddSquares(const float* x, std::size_t n, double* lanes) {
  for (std::size_t i = 0; i < n; i += 16) {
#pragma GCC unroll 16
    for (std::size_t j = 0; j < 16; ++j) {
      const double value = static_cast<double>(x[i + j]);
      lanes[j] += value * value;
    }
  }
}

void TreeSumTile(std::span<const float* const> terms, std::size_t from, std::size_t n, float* out) {
  if (terms.size() == 1) {
    if (terms[0] + from != out) std::copy_n(terms[0] + from, n, out);
  } else if (terms.size() == 2) {
    Add(terms[0] + from, terms[1] + from, out, n);
  } else if (terms.size() == 4) {
    Add4(terms[0] + from, terms[1] + from, terms[2] + from, terms[3] + from, out, n);
  } else {
    // Both halves go to scratch first: `out` may be one of the terms.
    std::array<float, kTile> left;
    std::array<float, kTile> right;
    TreeSumTile(terms.first(terms.size() / 2), from, n, left.data());
    TreeSumTile(terms.last(terms.size() / 2), from, n, right.data());
    Add(left.data(), right.data(), out, n);
  }
}

}  // namespace

void TreeSum(std::span<const float* const> terms, float* out, std::size_t elements) {
  TUTTI_CHECK(std::has_single_bit(terms.size()), terms.size(), " terms");
  for (std::size_t from = 0; from < elements; from += kTile) {
    TreeSumTile(terms, from, std::min(kTile, elements - from), out + from);
  }
}

void CarrySum(std::span<const float* const> stored, const float* newest, float* out,
              std::size_t elements) {
  std::array<float, kTile> scratch;
  for (std::size_t from = 0; from < elements; from += kTile) {
    const std::size_t n = std::min(kTile, elements - from);
    const float* sum = newest + from;
    for (std::size_t level = 0; level < stored.size(); ++level) {
      float* to = level + 1 == stored.size() ? out + from : scratch.data();
      Add(stored[level] + from, sum, to, n);
      sum = to;
    }
    if (stored.empty() && newest != out) std::copy_n(newest + from, n, out + from);
  }
}

double BlockSumOfSquares(std::span<const float> block) {
  TUTTI_CHECK(block.size() <= kBlockElements, block.size(), " elements in a block");
  std::array<double, 16> lanes{};
  const std::size_t whole = block.size() / 16 * 16;
  AddSquares(block.data(), whole, lanes.data());
  if (whole < block.size()) {
    std::array<float, 16> rest{};
    std::copy(block.begin() + static_cast<std::ptrdiff_t>(whole), block.end(), rest.begin());
    AddSquares(rest.data(), 16, lanes.data());
  }
  for (std::size_t width = 8; width > 0; width /= 2) {
    for (std::size_t j = 0; j < width; ++j) lanes[j] += lanes[j + width];
  }
  return lanes[0];
}

}  // namespace tutti::exchange
