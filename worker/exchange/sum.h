// The sums gradients go through. Pure functions over flat buffers; each writes only its own output.
//
// Every element is summed along one fixed binary tree, so that the same terms give the same bits
// however they are spread over ranks. Instructions are chosen by CPUID, the order is not.
#pragma once

#include <cstddef>
#include <span>

namespace tutti::exchange {

// Elements a block of the norm (numerics contract, 3).
inline constexpr std::size_t kBlockElements = 65'536;

inline constexpr std::size_t BlocksOf(std::size_t elements) {
  return (elements + kBlockElements - 1) / kBlockElements;
}

// out[i] = terms[0][i] + terms[1][i], or with more terms the sum along the balanced binary tree:
// ((t0 + t1) + (t2 + t3)) + …. REQUIRES: terms.size() a power of two; `out` may be one of the
// terms.
void TreeSum(std::span<const float* const> terms, float* out, std::size_t elements);

// out[i] = stored[last][i] + (… + (stored[0][i] + newest[i])): a carry through a binary counter.
// `out` may be any of the buffers.
void CarrySum(std::span<const float* const> stored, const float* newest, float* out,
              std::size_t elements);

// Sum of squares of at most kBlockElements elements, in double, in an order that depends on the
// index alone. NaN or infinite elements make it NaN or infinite; finite ones never overflow it.
double BlockSumOfSquares(std::span<const float> block);

}  // namespace tutti::exchange
