#include "worker/model/linear.h"

#include <ATen/ATen.h>
#include <c10/core/impl/LocalDispatchKeySet.h>

namespace tutti::model {
namespace {

at::Tensor View(const float* data, std::int64_t rows, std::int64_t columns, std::int64_t stride) {
  return at::from_blob(const_cast<float*>(data), {rows, columns}, {stride, 1}, at::kFloat);
}

// The weight as [out, in], whichever way it lies.
at::Tensor WeightView(const LinearShape& s, const float* w) {
  return s.input_major ? View(w, s.in, s.out, s.out).t() : View(w, s.out, s.in, s.in);
}

}  // namespace

void LinearForward(const LinearShape& s, const float* x, std::int64_t x_stride, const float* w,
                   float* y, std::int64_t y_stride) {
  const at::AutoDispatchBelowADInplaceOrView no_autograd;
  at::Tensor out = View(y, s.rows, s.out, y_stride);
  at::mm_out(out, View(x, s.rows, s.in, x_stride), WeightView(s, w).t());
}

void LinearInputGradient(const LinearShape& s, const float* dy, std::int64_t dy_stride,
                         const float* w, float* dx, std::int64_t dx_stride, bool add) {
  const at::AutoDispatchBelowADInplaceOrView no_autograd;
  at::Tensor out = View(dx, s.rows, s.in, dx_stride);
  const at::Tensor left = View(dy, s.rows, s.out, dy_stride);
  const at::Tensor right = WeightView(s, w);
  if (add) {
    out.addmm_(left, right);
  } else {
    at::mm_out(out, left, right);
  }
}

void LinearWeightGradient(const LinearShape& s, const float* dy, std::int64_t dy_stride,
                          const float* x, std::int64_t x_stride, float* dw) {
  const at::AutoDispatchBelowADInplaceOrView no_autograd;
  const at::Tensor left = View(dy, s.rows, s.out, dy_stride);
  const at::Tensor right = View(x, s.rows, s.in, x_stride);
  if (s.input_major) {
    View(dw, s.in, s.out, s.out).addmm_(right.t(), left);
  } else {
    View(dw, s.out, s.in, s.in).addmm_(left.t(), right);
  }
}

}  // namespace tutti::model
