#include "worker/model/bf16_product.h"

#include "common/base/check.h"

#ifdef TUTTI_ONEDNN
#include <array>
#include <oneapi/dnnl/dnnl.hpp>
#else
#include <ATen/ATen.h>
#include <c10/core/impl/LocalDispatchKeySet.h>
#endif

namespace tutti::model {
namespace {

#ifdef TUTTI_ONEDNN

using dnnl::memory;

const dnnl::engine& Cpu() {
  static const dnnl::engine cpu(dnnl::engine::kind::cpu, 0);
  return cpu;
}

memory::desc Described(std::int64_t rows, std::int64_t columns, memory::data_type type,
                       const memory::dims& strides) {
  return {{rows, columns}, type, strides};
}

memory MemoryOf(const Bf16Matrix& m) {
  const memory::dims strides =
      m.columns_lie_whole ? memory::dims{1, m.stride} : memory::dims{m.stride, 1};
  return {Described(m.rows, m.columns, memory::data_type::bf16, strides), Cpu(),
          const_cast<std::uint16_t*>(m.data)};
}

// One for all sizes: with sizes of its own each would be compiled anew for every number of tokens,
// and be kept. As fast (docs/benchmarks.md).
dnnl::matmul MakeProduct(bool a_by_columns, bool b_by_columns, bool add) {
  constexpr std::int64_t kAny = DNNL_RUNTIME_DIM_VAL;
  const auto strides = [](bool by_columns) {
    return by_columns ? memory::dims{1, kAny} : memory::dims{kAny, 1};
  };
  dnnl::primitive_attr attributes;
  if (add) {
    dnnl::post_ops sum;
    sum.append_sum(1.0F);
    attributes.set_post_ops(sum);
  }
  const dnnl::matmul::desc what(
      Described(kAny, kAny, memory::data_type::bf16, strides(a_by_columns)),
      Described(kAny, kAny, memory::data_type::bf16, strides(b_by_columns)),
      Described(kAny, kAny, memory::data_type::f32, strides(false)));
  return dnnl::matmul(dnnl::matmul::primitive_desc(what, attributes, Cpu()));
}

const dnnl::matmul& Product(bool a_by_columns, bool b_by_columns, bool add) {
  static const std::array<dnnl::matmul, 8> kinds = {
      MakeProduct(false, false, false), MakeProduct(false, false, true),
      MakeProduct(false, true, false),  MakeProduct(false, true, true),
      MakeProduct(true, false, false),  MakeProduct(true, false, true),
      MakeProduct(true, true, false),   MakeProduct(true, true, true)};
  return kinds[(a_by_columns ? 4U : 0U) + (b_by_columns ? 2U : 0U) + (add ? 1U : 0U)];
}

#else

at::Tensor View(const Bf16Matrix& m) {
  const std::int64_t by_row = m.columns_lie_whole ? 1 : m.stride;
  const std::int64_t by_column = m.columns_lie_whole ? m.stride : 1;
  return at::from_blob(const_cast<std::uint16_t*>(m.data), {m.rows, m.columns}, {by_row, by_column},
                       at::kBFloat16);
}

#endif

}  // namespace

void MultiplyBf16(const Bf16Matrix& a, const Bf16Matrix& b, float* out, std::int64_t stride,
                  bool add) {
  TUTTI_CHECK(a.columns == b.rows, "matrices that do not fit");
  if (a.rows == 0 || b.columns == 0) return;
#ifdef TUTTI_ONEDNN
  const memory sums(Described(a.rows, b.columns, memory::data_type::f32, {stride, 1}), Cpu(), out);
  dnnl::stream now(Cpu());
  Product(a.columns_lie_whole, b.columns_lie_whole, add)
      .execute(
          now,
          {{DNNL_ARG_SRC, MemoryOf(a)}, {DNNL_ARG_WEIGHTS, MemoryOf(b)}, {DNNL_ARG_DST, sums}});
  now.wait();
#else
  const at::AutoDispatchBelowADInplaceOrView no_autograd;
  const at::Tensor all = at::from_blob(out, {a.rows, b.columns}, {stride, 1}, at::kFloat);
  const at::Tensor product = at::mm(View(a), View(b));
  if (add) {
    all.add_(product);
  } else {
    all.copy_(product);
  }
#endif
}

}  // namespace tutti::model
