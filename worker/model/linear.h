// The three matrix products of a linear layer on row-major floats with row strides: through
// LibTorch's BLAS or oneDNN, and of a few rows forward by our own kernel, which reads the weight
// once. Free functions; any thread. All use as many threads as LibTorch's count says.
#pragma once

#include <cstdint>

#include "worker/model/arena.h"
#include "worker/model/bfloat16.h"

namespace tutti::model {

struct LinearShape {
  std::int64_t rows = 0, in = 0, out = 0;
  bool input_major = false;  // the weight is [in, out], as GPT-2's Conv1D keeps it
};

// How they are computed.
enum class Products : std::uint8_t {
  kFloat32,
  kRounded,  // both factors rounded to bfloat16, products summed in float32
  kBf16,     // the same by the CPU's own instructions (bf16_product.h)
};
struct LinearMode {
  Products products = Products::kFloat32;
  Arena* scratch = nullptr;  // needed but for kFloat32 of weights that lie in float32
};

// Rows as the products of a mode take them: where they lie, or a converted copy, which several
// products share. Copies lie in the mode's scratch until the end of this object: what is taken of
// it meanwhile is given back before. Borrows.
class LinearRows {
 public:
  LinearRows(const float* rows, std::int64_t count, std::int64_t columns, std::int64_t stride,
             const LinearMode& mode);
  LinearRows(const LinearRows&) = delete;
  LinearRows& operator=(const LinearRows&) = delete;
  ~LinearRows();

  // One of the two is there.
  const float* floats() const { return floats_; }
  const std::uint16_t* halves() const { return halves_; }
  std::int64_t stride() const { return stride_; }

 private:
  const float* floats_ = nullptr;
  const std::uint16_t* halves_ = nullptr;
  std::int64_t stride_;
  Arena* scratch_ = nullptr;
  Arena::Mark mark_;
};

// y[rows, out] = x[rows, in] · w[out, in]ᵀ, or · w[in, out]
void LinearForward(const LinearShape& shape, const LinearRows& x, const WeightPlace& w, float* y,
                   std::int64_t y_stride, const LinearMode& mode = {});
// dx[rows, in] = dy[rows, out] · w (or wᵀ), or added to what dx holds.
void LinearInputGradient(const LinearShape& shape, const LinearRows& dy, const WeightPlace& w,
                         float* dx, std::int64_t dx_stride, bool add, const LinearMode& mode = {});
// dw[out, in] += dyᵀ · x, or dw[in, out] += xᵀ · dy
void LinearWeightGradient(const LinearShape& shape, const LinearRows& dy, const LinearRows& x,
                          float* dw);

// The same of rows that one product alone takes.
void LinearForward(const LinearShape& shape, const float* x, std::int64_t x_stride,
                   const WeightPlace& w, float* y, std::int64_t y_stride,
                   const LinearMode& mode = {});
void LinearInputGradient(const LinearShape& shape, const float* dy, std::int64_t dy_stride,
                         const WeightPlace& w, float* dx, std::int64_t dx_stride, bool add,
                         const LinearMode& mode = {});
void LinearWeightGradient(const LinearShape& shape, const float* dy, std::int64_t dy_stride,
                          const float* x, std::int64_t x_stride, float* dw,
                          const LinearMode& mode = {});

}  // namespace tutti::model
