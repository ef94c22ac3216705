#include "worker/model/linear.h"

#include <ATen/ATen.h>
#include <c10/core/impl/LocalDispatchKeySet.h>

namespace tutti::model {
namespace {

at::Tensor View(const float* data, std::int64_t rows, std::int64_t columns, std::int64_t stride) {
  return at::from_blob(const_cast<float*>(data), {rows, columns}, {stride, 1}, at::kFloat);
}

}  // namespace

void LinearForward(const LinearShape& s, const float* x, std::int64_t x_stride, const float* w,
                   float* y, std::int64_t y_stride) {
  const at::AutoDispatchBelowADInplaceOrView no_autograd;
  at::Tensor out = View(y, s.rows, s.out, y_stride);
  at::mm_out(out, View(x, s.rows, s.in, x_stride), View(w, s.out, s.in, s.in).t());
}

void LinearInputGradient(const LinearShape& s, const float* dy, std::int64_t dy_stride,
                         const float* w, float* dx, std::int64_t dx_stride, bool add) {
  const at::AutoDispatchBelowADInplaceOrView no_autograd;
  at::Tensor out = View(dx, s.rows, s.in, dx_stride);
  const at::Tensor left = View(dy, s.rows, s.out, dy_stride);
  const at::Tensor right = View(w, s.out, s.in, s.in);
  if (add) {
    out.addmm_(left, right);
  } else {
    at::mm_out(out, left, right);
  }
}

void LinearWeightGradient(const LinearShape& s, const float* dy, std::int64_t dy_stride,
                          const float* x, std::int64_t x_stride, float* dw) {
  const at::AutoDispatchBelowADInplaceOrView no_autograd;
  View(dw, s.out, s.in, s.in)
      .addmm_(View(dy, s.rows, s.out, dy_stride).t(), View(x, s.rows, s.in, x_stride));
}

}  // namespace tutti::model
