#include "worker/model/linear.h"

#include <ATen/ATen.h>
#include <ATen/Parallel.h>
#include <c10/core/impl/LocalDispatchKeySet.h>

#include <algorithm>

#include "common/base/check.h"
#include "worker/model/bf16_product.h"
#include "worker/model/kernels.h"

namespace tutti::model {
namespace {

// Of a weight that is converted: so many are held at a time.
constexpr std::int64_t kPanelFloats = std::int64_t{1} << 22;

// A matrix as a product takes it: of one of the two, row by row or, where it is transposed, column
// by column. Borrows.
struct Factor {
  const float* floats = nullptr;
  const std::uint16_t* halves = nullptr;
  std::int64_t rows = 0, columns = 0;
  std::int64_t stride = 0;
  bool transposed = false;

  Factor T() const { return {floats, halves, columns, rows, stride, !transposed}; }
  // Its columns first … first + count - 1. REQUIRES: row by row.
  Factor Columns(std::int64_t first, std::int64_t count) const {
    return {floats == nullptr ? nullptr : floats + first,
            halves == nullptr ? nullptr : halves + first, rows, count, stride};
  }
};

Factor FactorOf(const LinearRows& x, std::int64_t rows, std::int64_t columns) {
  return {x.floats(), x.halves(), rows, columns, x.stride()};
}

at::Tensor View(const float* data, std::int64_t rows, std::int64_t columns, std::int64_t by_row,
                std::int64_t by_column) {
  return at::from_blob(const_cast<float*>(data), {rows, columns}, {by_row, by_column}, at::kFloat);
}

at::Tensor FloatsOf(const Factor& f) {
  return View(f.floats, f.rows, f.columns, f.transposed ? 1 : f.stride,
              f.transposed ? f.stride : 1);
}

Bf16Matrix HalvesOf(const Factor& f) {
  return {f.halves, f.rows, f.columns, f.stride, f.transposed};
}

struct Sums {
  float* at = nullptr;
  std::int64_t stride = 0;
  bool add = false;  // to what is there
};

// out[a.rows, b.columns] = a · b, or added to it. REQUIRES: both are of one kind.
void Multiply(const Factor& a, const Factor& b, const Sums& out) {
  if (a.halves != nullptr) {
    return MultiplyBf16(HalvesOf(a), HalvesOf(b), out.at, out.stride, out.add);
  }
  const at::AutoDispatchBelowADInplaceOrView no_autograd;
  at::Tensor sums = View(out.at, a.rows, b.columns, out.stride, 1);
  if (out.add) {
    sums.addmm_(FloatsOf(a), FloatsOf(b));
  } else {
    at::mm_out(sums, FloatsOf(a), FloatsOf(b));
  }
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
  Arena* operator->() {
    TUTTI_CHECK(arena_ != nullptr, "bfloat16 without room to convert in");
    return arena_;
  }

 private:
  Arena* arena_;
  Arena::Mark mark_;
};

// Calls use(first row, panel) for the rows of a weight, as it lies, as the mode multiplies it: all
// of them at once where they lie so, else some at a time.
template <typename Use>
void ForPanels(const WeightPlace& w, const LinearShape& s, const LinearMode& mode, const Use& use) {
  const std::int64_t rows = s.input_major ? s.in : s.out;
  const std::int64_t columns = s.input_major ? s.out : s.in;
  const bool as_it_lies =
      w.halves == nullptr ? mode.products == Products::kFloat32 : mode.products == Products::kBf16;
  if (as_it_lies) return use(0, Factor{w.floats, w.halves, rows, columns, columns});
  const std::int64_t step = std::clamp<std::int64_t>(kPanelFloats / columns, 1, rows);
  for (std::int64_t first = 0; first < rows; first += step) {
    Scratch scratch(mode.scratch);
    const std::int64_t panel = std::min(step, rows - first);
    const auto count = static_cast<std::size_t>(panel * columns);
    const WeightPlace from = w.At(first * columns);
    if (mode.products == Products::kBf16) {
      std::uint16_t* const narrow = scratch->TakeHalves(panel * columns);
      NarrowToBf16({from.floats, count}, narrow);
      use(first, Factor{nullptr, narrow, panel, columns, columns});
      continue;
    }
    float* const converted = scratch->Take(panel * columns);
    if (from.halves != nullptr) {
      WidenBf16({from.halves, count}, converted);
    } else {
      RoundToBf16({from.floats, count}, converted);
    }
    use(first, Factor{converted, nullptr, panel, columns, columns});
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

LinearRows::LinearRows(const float* rows, std::int64_t count, std::int64_t columns,
                       std::int64_t stride, const LinearMode& mode)
    : floats_(rows), stride_(stride) {
  if (mode.products == Products::kFloat32) return;
  TUTTI_CHECK(mode.scratch != nullptr, "bfloat16 without room to convert in");
  scratch_ = mode.scratch;
  mark_ = scratch_->Now();
  const bool narrow = mode.products == Products::kBf16;
  float* const copy = narrow ? nullptr : scratch_->Take(count * columns);
  std::uint16_t* const halves = narrow ? scratch_->TakeHalves(count * columns) : nullptr;
  // What lies without gaps is one row.
  const std::int64_t pieces = stride == columns ? 1 : count;
  const std::int64_t length = stride == columns ? count * columns : columns;
  for (std::int64_t i = 0; i < pieces; ++i) {
    const std::span from(rows + i * stride, static_cast<std::size_t>(length));
    if (narrow) {
      NarrowToBf16(from, halves + i * columns);
    } else {
      RoundToBf16(from, copy + i * columns);
    }
  }
  floats_ = copy;
  halves_ = halves;
  stride_ = columns;
}

LinearRows::~LinearRows() {
  if (scratch_ != nullptr) scratch_->Release(mark_);
}

void LinearForward(const LinearShape& s, const LinearRows& x, const WeightPlace& w, float* y,
                   std::int64_t y_stride, const LinearMode& mode) {
  const Factor left = FactorOf(x, s.rows, s.in);
  const auto use = [&](std::int64_t first, const Factor& panel) {
    const std::int64_t count = panel.rows;
    if (s.rows <= kFewRows && panel.floats != nullptr) {
      ForwardFewRows({.rows = s.rows,
                      .in = s.input_major ? count : s.in,
                      .out = s.input_major ? s.out : count,
                      .input_major = s.input_major,
                      .add = s.input_major && first > 0,
                      .x = left.floats + (s.input_major ? first : 0),
                      .x_stride = left.stride,
                      .matrix = panel.floats,
                      .matrix_stride = panel.stride,
                      .y = y + (s.input_major ? 0 : first),
                      .y_stride = y_stride});
    } else if (s.input_major) {
      Multiply(left.Columns(first, count), panel, {y, y_stride, /*add=*/first > 0});
    } else {
      Multiply(left, panel.T(), {y + first, y_stride, /*add=*/false});
    }
  };
  ForPanels(w, s, mode, use);
}

void LinearInputGradient(const LinearShape& s, const LinearRows& dy, const WeightPlace& w,
                         float* dx, std::int64_t dx_stride, bool add, const LinearMode& mode) {
  const Factor left = FactorOf(dy, s.rows, s.out);
  const auto use = [&](std::int64_t first, const Factor& panel) {
    if (s.input_major) {
      Multiply(left, panel.T(), {dx + first, dx_stride, add});
    } else {
      Multiply(left.Columns(first, panel.rows), panel, {dx, dx_stride, add || first > 0});
    }
  };
  ForPanels(w, s, mode, use);
}

void LinearWeightGradient(const LinearShape& s, const LinearRows& dy, const LinearRows& x,
                          float* dw) {
  const Factor left = FactorOf(dy, s.rows, s.out);
  const Factor right = FactorOf(x, s.rows, s.in);
  if (s.input_major) {
    Multiply(right.T(), left, {dw, s.out, /*add=*/true});
  } else {
    Multiply(left.T(), right, {dw, s.in, /*add=*/true});
  }
}

void LinearForward(const LinearShape& s, const float* x, std::int64_t x_stride,
                   const WeightPlace& w, float* y, std::int64_t y_stride, const LinearMode& mode) {
  LinearForward(s, LinearRows(x, s.rows, s.in, x_stride, mode), w, y, y_stride, mode);
}

void LinearInputGradient(const LinearShape& s, const float* dy, std::int64_t dy_stride,
                         const WeightPlace& w, float* dx, std::int64_t dx_stride, bool add,
                         const LinearMode& mode) {
  LinearInputGradient(s, LinearRows(dy, s.rows, s.out, dy_stride, mode), w, dx, dx_stride, add,
                      mode);
}

void LinearWeightGradient(const LinearShape& s, const float* dy, std::int64_t dy_stride,
                          const float* x, std::int64_t x_stride, float* dw,
                          const LinearMode& mode) {
  const LinearRows left(dy, s.rows, s.out, dy_stride, mode);
  LinearWeightGradient(s, left, LinearRows(x, s.rows, s.in, x_stride, mode), dw);
}

}  // namespace tutti::model
