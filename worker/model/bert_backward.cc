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
  const int step = Fused(p) ? to - from : 1;
  for (int i = from; i < to; i += step) {
    const float* at = grad + (i - from) * H;
    const LinearShape shape{rows, H, step * H};
    if (float* const bias = Gradient(p.qkv[i].bias)) {
      kernels_.add_column_sums(rows, step * H, at, stride, bias);
    }
    if (float* const weight = Gradient(p.qkv[i].weight)) {
      LinearWeightGradient(shape, at, stride, x, H, weight, ModeOf(arena_));
    }
    LinearInputGradient(shape, at, stride, Matrix(p.qkv[i].weight), dx, H, add || i > from,
                        ModeOf(arena_));
    for (int j = i; j < i + step; ++j) {
      AdapterApplyBackward(p.qkv[j].weight, rows, x,
                           {.dy = grad + (j - from) * H, .stride = stride, .dx = dx}, DropoutKey(),
                           arena_);
    }
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
  float* grad_active = arena_.Take(M * I);
  LinearApplyBackward(p.down.weight, down, state.active,
                      {.dy = out.in, .stride = H, .dx = grad_active}, DropoutKey(), arena_);
  on_final(p.down.weight);
  kernels_.activation_backward(M, I, state.slope, grad_active, Gradient(p.up.bias));
  const LinearShape up{M, H, I};
  LinearApplyBackward(p.up.weight, up, state.middle.out,
                      {.dy = grad_active, .stride = I, .dx = out.sum, .add = true}, DropoutKey(),
                      arena_);
  on_final(p.up.weight);
  const NormGradients middle =
      NormBackward(p.attention_norm, M, state.middle, out.sum, p.attention_out.bias,
                   DropoutOf(index, 1, bert_.attention_out_dropout));
  const LinearShape square{M, H, H};
  float* grad_context = arena_.Take(M * H);
  LinearApplyBackward(p.attention_out.weight, square, state.context,
                      {.dy = middle.in, .stride = H, .dx = grad_context}, DropoutKey(), arena_);
  on_final(p.attention_out.weight);
  float* const grad_input = AttentionBackwardRows(index, state, grad_context, middle.sum);
  on_final(p.qkv[0].weight);
  return grad_input;
}

float* Bert::HeadBackward(const float* grad_logits) {
  const std::int64_t B = packed_.B, H = bert_.hidden, L = bert_.labels;
  const LinearShape classifier{B, H, L};
  if (float* const bias = Gradient(classifier_.bias)) {
    kernels_.add_column_sums(B, L, grad_logits, L, bias);
  }
  float* grad = arena_.Take(B * H);
  LinearApplyBackward(classifier_.weight, classifier, pooled_,
                      {.dy = grad_logits, .stride = L, .dx = grad}, DropoutKey(), arena_);
  kernels_.dropout(DropoutOf(-1, 1, bert_.classifier_dropout), B * H, grad);
  kernels_.activation_backward(B, H, pooler_slope_, grad, Gradient(pooler_.bias));
  const LinearShape pooler{B, H, H};
  float* grad_first = arena_.Take(B * H);
  LinearApplyBackward(pooler_.weight, pooler, pooler_in_,
                      {.dy = grad, .stride = H, .dx = grad_first}, DropoutKey(), arena_);
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
  float* const words = Gradient(word_);
  float* const positions = Gradient(position_);
  float* const types = bert_.types > 0 ? Gradient(type_) : nullptr;
  for (std::int64_t i = 0; i < N; ++i) {
    const auto at = static_cast<std::size_t>(i);
    const float* from = norm.sum + i * H;
    if (words != nullptr && packed_.ids[at] != bert_.padding_id) {
      kernels_.add(H, words + packed_.ids[at] * H, from);
    }
    const bool padding = bert_.positions_by_id && packed_.positions[at] == bert_.padding_id;
    if (positions != nullptr && !padding) {
      kernels_.add(H, positions + packed_.positions[at] * H, from);
    }
    if (types != nullptr) kernels_.add(H, types + packed_.types[at] * H, from);
  }
}

void Bert::Backward(const at::Tensor& grad_logits, const GradientsFinal& on_final) {
  TUTTI_CHECK(grads_ != nullptr, "BindGradients comes before Backward");
  TUTTI_CHECK(options_.training && !states_.empty(), "Backward needs a training Forward");
  TUTTI_CHECK(grad_logits.is_contiguous() && grad_logits.scalar_type() == at::kFloat &&
                  grad_logits.numel() == packed_.B * bert_.labels,
              "grad_logits are not [B, L] f32");
  // An adapter's are few: they are final together.
  const GradientsFinal tell = on_final && !adapter_ ? on_final : [](std::int64_t) {};
  float* grad = HeadBackward(grad_logits.data_ptr<float>());
  tell(pooler_.weight);
  const std::int64_t NH = packed_.N * bert_.hidden;
  Arena::Mark mark = arena_.Now();
  for (std::int64_t i = bert_.layers - 1; i >= 0; --i) {
    if (!inputs_.empty() && i + 1 < bert_.layers) {
      const float* const kept = inputs_[static_cast<std::size_t>(i)];
      LayerForward(i, i == 0 ? embedded_.out : kept);
    }
    std::copy_n(LayerBackward(i, grad, tell), NH, grad_kept_);
    grad = grad_kept_;
    // What the head and the last layer kept has served.
    if (!inputs_.empty()) mark = last_layer_;
    arena_.Release(mark);
  }
  EmbedBackward(grad);
  if (on_final) on_final(0);
}

}  // namespace tutti::model
