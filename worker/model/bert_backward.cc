#include <ATen/ATen.h>

#include <algorithm>

#include "common/base/check.h"
#include "worker/model/bert.h"
#include "worker/model/linear.h"

namespace tutti::model {

Bert::NormGradients Bert::NormBackward(const Affine& at, std::int64_t rows, const NormState& state,
                                       const float* grad_out, std::int64_t bias_offset,
                                       const Dropout& dropout) {
  const std::int64_t H = bert_.hidden;
  NormGradients grads;
  grads.sum = arena_.Take(rows * H);
  const bool drop = dropout.probability > 0;
  grads.in = drop ? arena_.Take(rows * H) : grads.sum;
  kernels_.add_norm_backward({.rows = rows,
                              .H = H,
                              .grad_out = grad_out,
                              .normalised = state.normalised,
                              .inverse = state.inverse,
                              .gamma = Weight(at.weight),
                              .dropout = dropout,
                              .grad_sum = grads.sum,
                              .grad_in = drop ? grads.in : nullptr,
                              .grad_gamma = Gradient(at.weight),
                              .grad_beta = Gradient(at.bias),
                              .grad_bias = bias_offset < 0 ? nullptr : Gradient(bias_offset)});
  return grads;
}

void Bert::ProjectBackward(const LayerParameters& p, int from, int to, std::int64_t rows,
                           const float* x, const float* grad, std::int64_t stride, float* dx,
                           bool add) {
  const std::int64_t H = bert_.hidden;
  const int step = fused_qkv_ ? to - from : 1;
  for (int i = from; i < to; i += step) {
    const float* at = grad + (i - from) * H;
    const LinearShape shape{rows, H, step * H};
    kernels_.add_column_sums(rows, step * H, at, stride, Gradient(p.qkv[i].bias));
    LinearWeightGradient(shape, at, stride, x, H, Gradient(p.qkv[i].weight));
    LinearInputGradient(shape, at, stride, Weight(p.qkv[i].weight), dx, H, add || i > from);
  }
}

// Adds to the gradients of the layer's inputs: `grad_queries_input` [M, H] holds what the residual
// brought and is returned as the gradient of all N inputs.
float* Bert::AttentionBackwardRows(std::int64_t index, LayerState& state, float* grad_context,
                                   float* grad_queries_input) {
  const LayerParameters& p = layers_[static_cast<std::size_t>(index)];
  const std::int64_t N = packed_.N, H = bert_.hidden;
  float* grad_q = nullptr;
  float* grad_k = nullptr;
  if (state.first_only) {
    grad_q = arena_.Take(state.M * H);
    grad_k = arena_.Take(N * 2 * H);
  } else {
    grad_q = arena_.Take(N * 3 * H);
    grad_k = grad_q + H;
  }
  const Dropout dropout = DropoutOf(index, 0, bert_.attention_dropout);
  const float* kept = state.probabilities;
  for (std::int64_t row = 0; row < packed_.B; ++row) {
    const AttentionShape shape = ShapeOf(row, state);
    const std::int64_t begin = packed_.begin[static_cast<std::size_t>(row)];
    const std::int64_t query = state.first_only ? row : begin;
    const std::int64_t key = begin * state.kv_stride;
    kernels_.attention_backward(
        {.shape = shape,
         .q = {state.q + query * state.q_stride, state.q_stride},
         .k = {state.k + key, state.kv_stride},
         .v = {state.k + key + H, state.kv_stride},
         .grad_out = {grad_context + query * H, H},
         .dropout = {MixBits(dropout.key + static_cast<std::uint64_t>(row)), dropout.probability},
         .probabilities = kept,
         .grad_q = {grad_q + query * state.q_stride, state.q_stride},
         .grad_k = {grad_k + key, state.kv_stride},
         .grad_v = {grad_k + key + H, state.kv_stride},
         .scratch = scratch_});
    kept += shape.probabilities();
  }
  if (!state.first_only) {
    ProjectBackward(p, 0, 3, N, state.input, grad_q, 3 * H, grad_queries_input, /*add=*/true);
    return grad_queries_input;
  }
  ProjectBackward(p, 0, 1, state.M, state.queries, grad_q, H, grad_queries_input, /*add=*/true);
  float* grad_input = arena_.Take(N * H);
  ProjectBackward(p, 1, 3, N, state.input, grad_k, 2 * H, grad_input, /*add=*/false);
  for (std::int64_t row = 0; row < packed_.B; ++row) {
    kernels_.add(H, grad_input + packed_.begin[static_cast<std::size_t>(row)] * H,
                 grad_queries_input + row * H);
  }
  return grad_input;
}

// Parameters lie in the order that the forward pass uses them in, so what is final grows from the
// end of the buffer.
float* Bert::LayerBackward(std::int64_t index, const float* grad_out,
                           const GradientsFinal& on_final) {
  const LayerParameters& p = layers_[static_cast<std::size_t>(index)];
  LayerState& state = states_[static_cast<std::size_t>(index)];
  const std::int64_t M = state.M, H = bert_.hidden, I = bert_.intermediate;
  const NormGradients out = NormBackward(p.out_norm, M, state.out, grad_out, p.down.bias,
                                         DropoutOf(index, 2, bert_.hidden_dropout));
  const LinearShape down{M, I, H};
  LinearWeightGradient(down, out.in, H, state.active, I, Gradient(p.down.weight));
  on_final(p.down.weight);
  float* grad_active = arena_.Take(M * I);
  LinearInputGradient(down, out.in, H, Weight(p.down.weight), grad_active, I, /*add=*/false);
  kernels_.activation_backward(M, I, state.slope, grad_active, Gradient(p.up.bias));
  const LinearShape up{M, H, I};
  LinearWeightGradient(up, grad_active, I, state.middle.out, H, Gradient(p.up.weight));
  on_final(p.up.weight);
  LinearInputGradient(up, grad_active, I, Weight(p.up.weight), out.sum, H, /*add=*/true);
  const NormGradients middle =
      NormBackward(p.attention_norm, M, state.middle, out.sum, p.attention_out.bias,
                   DropoutOf(index, 1, bert_.attention_out_dropout));
  const LinearShape square{M, H, H};
  LinearWeightGradient(square, middle.in, H, state.context, H, Gradient(p.attention_out.weight));
  on_final(p.attention_out.weight);
  float* grad_context = arena_.Take(M * H);
  LinearInputGradient(square, middle.in, H, Weight(p.attention_out.weight), grad_context, H,
                      /*add=*/false);
  float* const grad_input = AttentionBackwardRows(index, state, grad_context, middle.sum);
  on_final(p.qkv[0].weight);
  return grad_input;
}

float* Bert::HeadBackward(const float* grad_logits) {
  const std::int64_t B = packed_.B, H = bert_.hidden, L = bert_.labels;
  const LinearShape classifier{B, H, L};
  kernels_.add_column_sums(B, L, grad_logits, L, Gradient(classifier_.bias));
  LinearWeightGradient(classifier, grad_logits, L, pooled_, H, Gradient(classifier_.weight));
  float* grad = arena_.Take(B * H);
  LinearInputGradient(classifier, grad_logits, L, Weight(classifier_.weight), grad, H,
                      /*add=*/false);
  kernels_.dropout(DropoutOf(-1, 1, bert_.classifier_dropout), B * H, grad);
  kernels_.activation_backward(B, H, pooler_slope_, grad, Gradient(pooler_.bias));
  const LinearShape pooler{B, H, H};
  LinearWeightGradient(pooler, grad, H, pooler_in_, H, Gradient(pooler_.weight));
  float* grad_first = arena_.Take(B * H);
  LinearInputGradient(pooler, grad, H, Weight(pooler_.weight), grad_first, H, /*add=*/false);
  kernels_.dropout(DropoutOf(-1, 2, bert_.pooler_dropout), B * H, grad_first);
  if (states_.back().first_only) return grad_first;
  float* grad_all = arena_.Take(packed_.N * H);
  std::fill_n(grad_all, packed_.N * H, 0.0F);
  for (std::int64_t row = 0; row < B; ++row) {
    std::copy_n(grad_first + row * H, H,
                grad_all + packed_.begin[static_cast<std::size_t>(row)] * H);
  }
  return grad_all;
}

void Bert::EmbedBackward(float* grad) {
  const std::int64_t N = packed_.N, H = bert_.hidden;
  kernels_.dropout(DropoutOf(-1, 0, bert_.hidden_dropout), N * H, grad);
  const NormGradients norm = NormBackward(embedding_norm_, N, embedded_, grad, -1, {});
  for (std::int64_t i = 0; i < N; ++i) {
    const auto at = static_cast<std::size_t>(i);
    const float* from = norm.sum + i * H;
    if (packed_.ids[at] != bert_.padding_id) {
      kernels_.add(H, Gradient(word_ + packed_.ids[at] * H), from);
    }
    if (!bert_.positions_by_id || packed_.positions[at] != bert_.padding_id) {
      kernels_.add(H, Gradient(position_ + packed_.positions[at] * H), from);
    }
    if (bert_.types > 0) kernels_.add(H, Gradient(type_ + packed_.types[at] * H), from);
  }
}

void Bert::Backward(const at::Tensor& grad_logits, const GradientsFinal& on_final) {
  TUTTI_CHECK(grads_ != nullptr, "BindGradients comes before Backward");
  TUTTI_CHECK(options_.training && !states_.empty(), "Backward needs a training Forward");
  TUTTI_CHECK(grad_logits.is_contiguous() && grad_logits.scalar_type() == at::kFloat &&
                  grad_logits.numel() == packed_.B * bert_.labels,
              "grad_logits are not [B, L] f32");
  const GradientsFinal tell = on_final ? on_final : [](std::int64_t) {};
  float* grad = HeadBackward(grad_logits.data_ptr<float>());
  tell(pooler_.weight);
  for (std::int64_t i = bert_.layers - 1; i >= 0; --i) grad = LayerBackward(i, grad, tell);
  EmbedBackward(grad);
  tell(0);
}

}  // namespace tutti::model
