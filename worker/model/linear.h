// The three matrix products of a linear layer, through LibTorch's BLAS, on row-major floats with
// row strides. Free functions; any thread (LibTorch's thread count applies).
#pragma once

#include <cstdint>

namespace tutti::model {

struct LinearShape {
  std::int64_t rows = 0, in = 0, out = 0;
  bool input_major = false;  // the weight is [in, out], as GPT-2's Conv1D keeps it
};

// y[rows, out] = x[rows, in] · w[out, in]ᵀ, or · w[in, out]
void LinearForward(const LinearShape& shape, const float* x, std::int64_t x_stride, const float* w,
                   float* y, std::int64_t y_stride);
// dx[rows, in] = dy[rows, out] · w (or wᵀ), or added to what dx holds.
void LinearInputGradient(const LinearShape& shape, const float* dy, std::int64_t dy_stride,
                         const float* w, float* dx, std::int64_t dx_stride, bool add);
// dw[out, in] += dyᵀ · x, or dw[in, out] += xᵀ · dy
void LinearWeightGradient(const LinearShape& shape, const float* dy, std::int64_t dy_stride,
                          const float* x, std::int64_t x_stride, float* dw);

}  // namespace tutti::model
