#include "worker/model/linear.h"

#include <ATen/ATen.h>
#include <ATen/Parallel.h>
#include <c10/core/impl/LocalDispatchKeySet.h>

#include <algorithm>

#include "common/base/check.h"
#include "worker/model/kernels.h"

namespace tutti::model {
namespace {

// Of a weight that is converted: so many are held at a time.
constexpr std::int64_t kPanelFloats = std::int64_t{1} << 22;

struct Extent {
  std::int64_t rows = 0, columns = 0, stride = 0;
};

at::Tensor View(const float* data, const Extent& e) {
  return at::from_blob(const_cast<float*>(data), {e.rows, e.columns}, {e.stride, 1}, at::kFloat);
}

at::Tensor View(const std::uint16_t* data, const Extent& e) {
  return at::from_blob(const_cast<std::uint16_t*>(data), {e.rows, e.columns}, {e.stride, 1},
                       at::kBFloat16);
}

// Gives back what was taken of it.
class Scratch {
 public:
  explicit Scratch(Arena* arena) : arena_(arena) {
    if (arena_ != nullptr) mark_ = arena_->Now();
  }
  Scratch(const Scratch&) = delete;
  Scratch& operator=(const Scratch&) = delete;
  ~Scratch() {
    if (arena_ != nullptr) arena_->Release(mark_);
  }
  float* Floats(std::int64_t count) {
    TUTTI_CHECK(arena_ != nullptr, "bfloat16 without room to convert in");
    return arena_->Take(count);
  }
  std::uint16_t* Halves(std::int64_t count) {
    return reinterpret_cast<std::uint16_t*>(Floats((count + 1) / 2));
  }

 private:
  Arena* arena_;
  Arena::Mark mark_;
};

// Floats as the mode multiplies them: themselves, or a compact rounded copy.
at::Tensor Factor(const float* data, const Extent& e, const LinearMode& mode, Scratch& scratch) {
  if (mode.products == Products::kFloat32) return View(data, e);
  const auto columns = static_cast<std::size_t>(e.columns);
  const Extent compact{e.rows, e.columns, e.columns};
  if (mode.products == Products::kBf16) {
    std::uint16_t* const copy = scratch.Halves(e.rows * e.columns);
    for (std::int64_t i = 0; i < e.rows; ++i) {
      NarrowToBf16({data + i * e.stride, columns}, copy + i * e.columns);
    }
    return View(copy, compact);
  }
  float* const copy = scratch.Floats(e.rows * e.columns);
  for (std::int64_t i = 0; i < e.rows; ++i) {
    RoundToBf16({data + i * e.stride, columns}, copy + i * e.columns);
  }
  return View(copy, compact);
}

// Calls use(first row, panel) for the rows of a weight, as it lies, as the mode multiplies it: all
// of them at once where they lie so, else some at a time.
template <typename Use>
void ForPanels(const WeightPlace& w, const LinearShape& s, const LinearMode& mode, const Use& use) {
  const std::int64_t rows = s.input_major ? s.in : s.out;
  const std::int64_t columns = s.input_major ? s.out : s.in;
  const Extent all{rows, columns, columns};
  if (w.halves == nullptr && mode.products == Products::kFloat32)
    return use(0, View(w.floats, all));
  if (w.halves != nullptr && mode.products == Products::kBf16) return use(0, View(w.halves, all));
  const std::int64_t step = std::clamp<std::int64_t>(kPanelFloats / columns, 1, rows);
  for (std::int64_t first = 0; first < rows; first += step) {
    Scratch scratch(mode.scratch);
    const Extent panel{std::min(step, rows - first), columns, columns};
    if (w.halves == nullptr) {
      use(first, Factor(w.floats + first * columns, panel, mode, scratch));
      continue;
    }
    const std::int64_t count = panel.rows * columns;
    float* const wide = scratch.Floats(count);
    WidenBf16({w.halves + first * columns, static_cast<std::size_t>(count)}, wide);
    use(first, View(wide, panel));
  }
}

// out = a · b, or added to it.
void Multiply(at::Tensor out, const at::Tensor& a, const at::Tensor& b, bool add) {
  if (a.scalar_type() == at::kBFloat16) {
    const at::Tensor product = at::mm(a, b);
    if (add) {
      out.add_(product);
    } else {
      out.copy_(product);
    }
  } else if (add) {
    out.addmm_(a, b);
  } else {
    at::mm_out(out, a, b);
  }
}

// Its columns divided among LibTorch's threads, which changes no sum.
void ForwardFewRows(const FewRows& all) {
  constexpr std::int64_t kLeast = 1 << 16;  // numbers of the matrix, for a thread
  const std::int64_t columns = std::max<std::int64_t>(kLeast / all.in, 16);
  at::parallel_for(0, all.out, columns, [&](std::int64_t begin, std::int64_t end) {
    FewRows part = all;
    part.out = end - begin;
    part.matrix += all.input_major ? begin : begin * all.matrix_stride;
    part.y += begin;
    CpuKernels().few_rows(part);
  });
}

}  // namespace

void LinearForward(const LinearShape& s, const float* x, std::int64_t x_stride,
                   const WeightPlace& w, float* y, std::int64_t y_stride, const LinearMode& mode) {
  const at::AutoDispatchBelowADInplaceOrView no_autograd;
  Scratch scratch(mode.scratch);
  const at::Tensor out = View(y, {s.rows, s.out, y_stride});
  const at::Tensor left = Factor(x, {s.rows, s.in, x_stride}, mode, scratch);
  const auto use = [&](std::int64_t first, const at::Tensor& panel) {
    const std::int64_t count = panel.size(0);
    if (s.rows <= kFewRows && panel.scalar_type() == at::kFloat) {
      ForwardFewRows({.rows = s.rows,
                      .in = s.input_major ? count : s.in,
                      .out = s.input_major ? s.out : count,
                      .input_major = s.input_major,
                      .add = s.input_major && first > 0,
                      .x = left.data_ptr<float>() + (s.input_major ? first : 0),
                      .x_stride = left.stride(0),
                      .matrix = panel.data_ptr<float>(),
                      .matrix_stride = panel.stride(0),
                      .y = y + (s.input_major ? 0 : first),
                      .y_stride = y_stride});
    } else if (s.input_major) {
      Multiply(out, left.narrow(1, first, count), panel, /*add=*/first > 0);
    } else {
      Multiply(out.narrow(1, first, count), left, panel.t(), /*add=*/false);
    }
  };
  ForPanels(w, s, mode, use);
}

void LinearInputGradient(const LinearShape& s, const float* dy, std::int64_t dy_stride,
                         const WeightPlace& w, float* dx, std::int64_t dx_stride, bool add,
                         const LinearMode& mode) {
  const at::AutoDispatchBelowADInplaceOrView no_autograd;
  Scratch scratch(mode.scratch);
  const at::Tensor out = View(dx, {s.rows, s.in, dx_stride});
  const at::Tensor left = Factor(dy, {s.rows, s.out, dy_stride}, mode, scratch);
  const auto use = [&](std::int64_t first, const at::Tensor& panel) {
    if (s.input_major) {
      Multiply(out.narrow(1, first, panel.size(0)), left, panel.t(), add);
    } else {
      Multiply(out, left.narrow(1, first, panel.size(0)), panel, add || first > 0);
    }
  };
  ForPanels(w, s, mode, use);
}

void LinearWeightGradient(const LinearShape& s, const float* dy, std::int64_t dy_stride,
                          const float* x, std::int64_t x_stride, float* dw,
                          const LinearMode& mode) {
  const at::AutoDispatchBelowADInplaceOrView no_autograd;
  Scratch scratch(mode.scratch);
  const at::Tensor left = Factor(dy, {s.rows, s.out, dy_stride}, mode, scratch);
  const at::Tensor right = Factor(x, {s.rows, s.in, x_stride}, mode, scratch);
  if (s.input_major) {
    Multiply(View(dw, {s.in, s.out, s.out}), right.t(), left, /*add=*/true);
  } else {
    Multiply(View(dw, {s.out, s.in, s.in}), left.t(), right, /*add=*/true);
  }
}

}  // namespace tutti::model
