// The CPU's element-wise, normalisation, activation and attention kernels, forward and backward, on
// plain float rows. One table per instruction set; CpuKernels() picks the best this CPU runs, once.
// Pure functions of their arguments: any thread. Sums run in a fixed order that does not depend on
// the instruction set; fused multiply-add does, which is why it is part of the numerics
// fingerprint.
#pragma once

#include <cstdint>
#include <vector>

namespace tutti::model {

// Element i of a stream is dropped when Hash(key, i) < probability · 2^32; what is kept is divided
// by (1 − probability). probability 0: nothing happens.
struct Dropout {
  std::uint64_t key = 0;
  float probability = 0;
};

// out = norm(dropout(in + bias) + residual), row by row: LayerNorm, or RMSNorm where the mean is
// not taken off.
struct AddNormForward {
  std::int64_t rows = 0, H = 0;
  const float* in = nullptr;        // [rows, H]
  const float* bias = nullptr;      // [H], may be null
  const float* residual = nullptr;  // [rows, H], may be null
  const float* gamma = nullptr;     // [H]
  const float* beta = nullptr;      // [H], may be null
  float epsilon = 0;
  bool centred = true;  // false: RMSNorm
  Dropout dropout{};
  float* sum = nullptr;         // [rows, H] what is normalised; null: not asked for
  float* out = nullptr;         // [rows, H]
  float* normalised = nullptr;  // [rows, H] (x − mean) · inverse deviation, kept for backward
  float* inverse = nullptr;     // [rows]    1 / sqrt(variance + epsilon)
};

struct AddNormBackward {
  std::int64_t rows = 0, H = 0;
  const float* grad_out = nullptr;    // [rows, H]
  const float* normalised = nullptr;  // as forward left them
  const float* inverse = nullptr;
  const float* gamma = nullptr;
  bool centred = true;
  const float* grad_residual = nullptr;  // [rows, H] of the sum from elsewhere; may be null
  Dropout dropout{};                     // the one of forward
  float* grad_sum =
      nullptr;               // [rows, H] gradient of the residual; may be grad_out or grad_residual
  float* grad_in = nullptr;  // [rows, H] gradient of `in`; null when there is no dropout
  float* grad_gamma = nullptr;  // [H], added to; may be null
  float* grad_beta = nullptr;   // [H], added to; may be null
  float* grad_bias = nullptr;   // [H], added to; may be null
};

enum class Activation { kGelu, kGeluTanh, kQuickGelu, kRelu, kSilu, kTanh };

// Heads of one row: `queries` query positions look at `keys` key positions. Causal queries are the
// last positions and see what is not behind them, with a window only the last `window` of that.
struct AttentionShape {
  std::int64_t heads = 0, head_dim = 0, queries = 0, keys = 0;
  float scale = 1;
  std::int64_t kv_heads = 0;  // of keys and values, each for as many query heads; 0: `heads`
  bool causal = false;
  std::int64_t window = 0;  // 0: none

  std::int64_t group() const { return kv_heads == 0 ? 1 : heads / kv_heads; }

  std::int64_t padded_keys() const { return (keys + 15) / 16 * 16; }
  std::int64_t padded_dim() const { return (head_dim + 15) / 16 * 16; }
  // Floats kept between forward and backward: [heads, queries, padded_keys].
  std::int64_t probabilities() const { return heads * queries * padded_keys(); }
  // Floats of working space that either direction needs.
  std::int64_t scratch() const {
    return 2 * queries * padded_keys() + head_dim * padded_keys() +
           3 * padded_dim() * (queries > keys ? queries : keys) + 64;
  }
};

// Position i, head h starts at base + i·stride + h·head_dim.
struct Heads {
  float* base = nullptr;
  std::int64_t stride = 0;
};
struct ConstHeads {
  const float* base = nullptr;
  std::int64_t stride = 0;
};

// out = dropout(softmax(scale · q kᵀ)) v over the keys that each query sees.
struct AttentionForward {
  AttentionShape shape{};
  ConstHeads q{}, k{}, v{};
  Heads out{};
  Dropout dropout{};
  float* probabilities = nullptr;  // shape.probabilities(), before dropout
  float* scratch = nullptr;
};

struct AttentionBackward {
  AttentionShape shape{};
  ConstHeads q{}, k{}, v{}, grad_out{};
  Dropout dropout{};
  const float* probabilities = nullptr;
  Heads grad_q{}, grad_k{}, grad_v{};  // written, not added to
  float* scratch = nullptr;
};

// Cross entropy of one row of logits, which become their gradient: scale · (softmax − wanted),
// where wanted is 1 − smoothing at the target and smoothing / V everywhere.
struct ScoreToken {
  std::int64_t V = 0;
  float* logits = nullptr;  // [V]
  std::int64_t target = 0;
  float smoothing = 0;
  float scale = 0;
  bool gradient = false;  // else the logits stay
};
struct TokenScore {
  double nll = 0;      // −log p(target), nats
  double uniform = 0;  // mean of −log p over the columns
  bool right = false;  // no logit is larger, none before it as large
};

// y[rows, out] = x[rows, in] · matrix, or added to what y holds. An element's sum does not depend
// on the number of rows.
inline constexpr std::int64_t kFewRows = 8;  // faster than a BLAS up to here
struct FewRows {
  std::int64_t rows = 0, in = 0, out = 0;
  bool input_major = false;  // the matrix is [in, out], else [out, in]
  bool add = false;
  const float* x = nullptr;
  std::int64_t x_stride = 0;
  const float* matrix = nullptr;
  std::int64_t matrix_stride = 0;  // floats from one of its rows to the next
  float* y = nullptr;
  std::int64_t y_stride = 0;
};

struct Kernels {
  const char* isa;
  void (*add_norm_forward)(const AddNormForward&);
  void (*add_norm_backward)(const AddNormBackward&);
  // a = f(z + bias), rows of I; with keep_derivative z becomes f'(z + bias). No bias: null.
  void (*activation_forward)(Activation f, std::int64_t rows, std::int64_t I, float* z,
                             const float* bias, float* a, bool keep_derivative);
  // grad *= derivative, grad_bias += column sums of that where it is not null.
  void (*activation_backward)(std::int64_t rows, std::int64_t I, const float* derivative,
                              float* grad, float* grad_bias);
  void (*attention_forward)(const AttentionForward&);
  void (*attention_backward)(const AttentionBackward&);
  void (*dropout)(const Dropout&, std::int64_t count, float* x);  // in place; backward is the same
  void (*add_bias)(std::int64_t rows, std::int64_t H, float* x, std::int64_t stride,
                   const float* bias);
  void (*add_column_sums)(std::int64_t rows, std::int64_t H, const float* x, std::int64_t stride,
                          float* sums);
  void (*add)(std::int64_t count, float* x, const float* y);                         // x += y
  void (*multiply)(std::int64_t count, float* out, const float* a, const float* b);  // out = a · b
  TokenScore (*score_token)(const ScoreToken&);
  void (*few_rows)(const FewRows&);
  // out = a + b + c
  void (*add3)(std::int64_t count, float* out, const float* a, const float* b, const float* c);
  // Conversions of bfloat16.h; `to` may not overlap `from`, but round_bf16's may be the same.
  void (*round_bf16)(std::int64_t count, const float* from, float* to);
  void (*narrow_bf16)(std::int64_t count, const float* from, std::uint16_t* to);
  void (*widen_bf16)(std::int64_t count, const std::uint16_t* from, float* to);
};

const Kernels& CpuKernels();
// All tables that this CPU runs, the plainest first; the last is CpuKernels().
std::vector<const Kernels*> RunnableKernels();

// SplitMix64's finaliser (Steele, Lea, Flood 2014): how keys are derived from each other.
constexpr std::uint64_t MixBits(std::uint64_t x) {
  x += 0x9E3779B97F4A7C15ULL;
  x = (x ^ (x >> 30)) * 0xBF58476D1CE4E5B9ULL;
  x = (x ^ (x >> 27)) * 0x94D049BB133111EBULL;
  return x ^ (x >> 31);
}

}  // namespace tutti::model
