// Products of bfloat16 matrices by the CPU's own instructions. Free functions; any thread.
#pragma once

#include <cstdint>

namespace tutti::model {

// A matrix of bfloat16 as it lies: row by row, or column by column. Borrows.
struct Bf16Matrix {
  const std::uint16_t* data = nullptr;
  std::int64_t rows = 0, columns = 0;
  std::int64_t stride = 0;         // between rows, or columns
  bool columns_lie_whole = false;  // column by column

  Bf16Matrix Transposed() const { return {data, columns, rows, stride, !columns_lie_whole}; }
};

// out[a.rows, b.columns] = a · b, or added to what is there; `stride` floats between its rows. Sums
// are float32, and rounded to it alone where oneDNN computes them (CMake's TUTTI_ONEDNN); LibTorch,
// which does elsewhere, rounds them to bfloat16. REQUIRES: CpuMultipliesBf16().
void MultiplyBf16(const Bf16Matrix& a, const Bf16Matrix& b, float* out, std::int64_t stride,
                  bool add);

}  // namespace tutti::model
