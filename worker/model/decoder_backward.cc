#include <algorithm>

#include "common/base/check.h"
#include "worker/model/decoder.h"
#include "worker/model/linear.h"

namespace tutti::model {

// `grad_out` is of the norm's output; `gradients` go from those of its sum's later users to those
// of what it was made from.
void Decoder::NormBackward(const NormParameters& at, const NormState& state, const float* grad_out,
                           StreamGradients& gradients) {
  const bool drop = state.dropout.probability > 0;
  kernels_.add_norm_backward({.rows = packed_.N,
                              .H = d_.hidden,
                              .grad_out = grad_out,
                              .normalised = state.normalised,
                              .inverse = state.inverse,
                              .gamma = Weight(at.weight),
                              .centred = !d_.rms_norm,
                              .grad_residual = gradients.any ? gradients.sum : nullptr,
                              .dropout = state.dropout,
                              .grad_sum = gradients.sum,
                              .grad_in = drop ? gradients.dropped : nullptr,
                              .grad_gamma = Gradient(at.weight),
                              .grad_beta = Gradient(at.bias),
                              .grad_bias = Gradient(state.bias)});
  gradients.any = true;
  gradients.branch = drop ? gradients.dropped : gradients.sum;
}

void Decoder::ApplyBackward(const Affine& affine, const LinearInput& x, const GradientRows& grad,
                            float* dx, bool add) {
  const LinearShape shape{packed_.N, affine.in, affine.out, affine.input_major};
  LinearApplyBackward(affine.weight, shape, x,
                      {.dy = grad.rows, .stride = grad.stride, .dx = dx, .add = add}, DropoutKey(),
                      arena_);
}

// The gradient of what the MLP read. Biases of `down` and `attention_out` are the norms' that take
// these branches in.
float* Decoder::MlpBackward(std::int64_t index, LayerState& state, const float* grad_branch,
                            const GradientsFinal& on_final) {
  const LayerParameters& p = layers_[static_cast<std::size_t>(index)];
  const std::int64_t N = packed_.N, I = d_.intermediate;
  float* grad = arena_.Take(N * I);
  float* dx = arena_.Take(N * d_.hidden);
  ApplyBackward(p.down, Input(state.product, I), {grad_branch, d_.hidden}, grad, /*add=*/false);
  on_final(p.down.weight);
  if (!d_.gated) {
    kernels_.activation_backward(N, I, state.slope, grad, Gradient(p.up.bias));
    ApplyBackward(p.up, Input(state.mlp_norm.out, d_.hidden), {grad, I}, dx, /*add=*/false);
    on_final(p.up.weight);
    return dx;
  }
  float* grad_up = arena_.Take(N * I);
  kernels_.multiply(N * I, grad_up, grad, state.active);
  kernels_.multiply(N * I, grad, grad, state.up);
  kernels_.activation_backward(N, I, state.slope, grad, Gradient(p.gate.bias));
  if (float* const bias = Gradient(p.up.bias)) {
    kernels_.add_column_sums(N, I, grad_up, I, bias);
  }
  const LinearInput in = Input(state.mlp_norm.out, d_.hidden);
  ApplyBackward(p.up, in, {grad_up, I}, dx, /*add=*/false);
  ApplyBackward(p.gate, in, {grad, I}, dx, /*add=*/true);
  on_final(p.gate.weight);
  return dx;
}

void Decoder::AttendDocumentsBackward(std::int64_t index, const LayerState& state,
                                      float* grad_context, float* grad_qkv) {
  const std::int64_t W = qkv_width(), kv = d_.kv_width(), Q = d_.q_width();
  const Dropout dropout = DropoutOf(index, 0, d_.attention_dropout);
  const float* kept = state.probabilities;
  for (std::int64_t i = 0; i < packed_.documents(); ++i) {
    const Document document = DocumentAt(i);
    const AttentionShape shape = ShapeOf(index, document.queries, document.keys());
    const float* const rows = state.qkv + document.begin * W;
    float* const grad = grad_qkv + document.begin * W;
    kernels_.attention_backward(
        {.shape = shape,
         .q = {rows, W},
         .k = {rows + Q, W},
         .v = {rows + Q + kv, W},
         .grad_out = {grad_context + document.begin * Q, Q},
         .dropout = {MixBits(dropout.key + static_cast<std::uint64_t>(i)), dropout.probability},
         .probabilities = kept,
         .grad_q = {grad, W},
         .grad_k = {grad + Q, W},
         .grad_v = {grad + Q + kv, W},
         .scratch = scratch_});
    kept += shape.probabilities();
  }
}

float* Decoder::AttentionBackwardLayer(std::int64_t index, LayerState& state,
                                       const float* grad_branch, const GradientsFinal& on_final) {
  const LayerParameters& p = layers_[static_cast<std::size_t>(index)];
  const std::int64_t N = packed_.N, W = qkv_width();
  float* grad_context = arena_.Take(N * d_.q_width());
  ApplyBackward(p.attention_out, Input(state.context, d_.q_width()), {grad_branch, d_.hidden},
                grad_context, /*add=*/false);
  on_final(p.attention_out.weight);
  float* grad_qkv = arena_.Take(N * W);
  AttendDocumentsBackward(index, state, grad_context, grad_qkv);
  Rotate(grad_qkv, /*back=*/true);
  float* dx = arena_.Take(N * d_.hidden);
  const float* grad = grad_qkv;
  const LinearInput in = Input(state.attention_norm.out, d_.hidden);
  for (const Affine& projection : p.projections) {
    if (float* const bias = Gradient(projection.bias)) {
      kernels_.add_column_sums(N, projection.out, grad, W, bias);
    }
    ApplyBackward(projection, in, {grad, W}, dx, /*add=*/grad != grad_qkv);
    grad += projection.out;
  }
  on_final(p.projections.front().weight);
  return dx;
}

void Decoder::EmbedBackward(const float* grad) {
  const std::int64_t H = d_.hidden;
  float* const words = Gradient(embedding_);
  float* const positions = d_.rope ? nullptr : Gradient(position_);
  for (std::int64_t i = 0; i < packed_.N; ++i) {
    const auto at = static_cast<std::size_t>(i);
    if (words != nullptr && packed_.ids[at] != d_.padding_row) {
      kernels_.add(H, words + packed_.ids[at] * H, grad + i * H);
    }
    if (positions != nullptr) {
      kernels_.add(H, positions + packed_.positions[at] * H, grad + i * H);
    }
  }
}

// A layer's state as the forward pass made it, or made anew with the same bits. The last layer's is
// still there. Of the others the stream is what it was when it had taken the branch in: nothing is
// added again. The first layer begins with the embeddings, whose dropout is rounded otherwise where
// it is not computed in the same breath as the norm.
Decoder::LayerState& Decoder::StateForBackward(std::int64_t index) {
  LayerState& state = StateOf(index);
  if (inputs_.empty() || index + 1 == d_.layers) return state;
  const LayerInput& input = inputs_[static_cast<std::size_t>(index)];
  const LayerParameters& p = layers_[static_cast<std::size_t>(index)];
  stream_holds_ = false;
  if (index == 0) {
    NormForward(p.attention_norm, EmbedForward(), state.attention_norm);
  } else {
    std::copy_n(input.stream, packed_.N * d_.hidden, branch_);
    NormForward(p.attention_norm, {}, state.attention_norm);
  }
  state.attention_norm.dropout = input.branch.dropout;
  state.attention_norm.bias = input.branch.bias;
  NormForward(p.mlp_norm, AttentionForwardLayer(index, state), state.mlp_norm);
  MlpInner(index, state);
  return state;
}

// Parameters lie in the order that the forward pass uses them in, so what is final grows from the
// end of the buffer. An output layer that is the embedding is final with that.
void Decoder::LayersBackward(const float* grad_hidden, const GradientsFinal& on_final) {
  // An adapter's are few: they are final together.
  const GradientsFinal tell = on_final && !adapter_ ? on_final : [](std::int64_t) {};
  if (head_ != embedding_) tell(head_);
  const std::int64_t NH = packed_.N * d_.hidden;
  StreamGradients gradients{.sum = arena_.Take(NH), .dropped = arena_.Take(NH)};
  NormBackward(final_norm_, final_, grad_hidden, gradients);
  for (std::int64_t i = d_.layers - 1; i >= 0; --i) {
    const LayerParameters& p = layers_[static_cast<std::size_t>(i)];
    const Arena::Mark mark = arena_.Now();
    LayerState& state = StateForBackward(i);
    NormBackward(p.mlp_norm, state.mlp_norm, MlpBackward(i, state, gradients.branch, tell),
                 gradients);
    NormBackward(p.attention_norm, state.attention_norm,
                 AttentionBackwardLayer(i, state, gradients.branch, tell), gradients);
    arena_.Release(mark);
  }
  EmbedBackward(gradients.branch);
  if (on_final) on_final(0);
}

}  // namespace tutti::model
