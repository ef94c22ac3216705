#include "worker/model/kernels.h"

#include <gtest/gtest.h>

#include <cmath>
#include <cstring>
#include <string>
#include <vector>

#include "worker/model/random.h"

namespace tutti::model {

extern const Kernels kWideKernels;

namespace {

using Floats = std::vector<float>;
using Doubles = std::vector<double>;

std::vector<const Kernels*> Tables() {
  std::vector<const Kernels*> tables = RunnableKernels();
  tables.push_back(&kWideKernels);
  return tables;
}

std::string NameOf(const testing::TestParamInfo<const Kernels*>& info) { return info.param->isa; }

// Every table of this CPU beside loops written in doubles.
class KernelsOf : public testing::TestWithParam<const Kernels*> {
 protected:
  const Kernels& kernels() const { return *GetParam(); }

  // Multipliers of `count` elements: what the dropout kernel makes of ones.
  Doubles Multipliers(const Dropout& dropout, std::int64_t count) const {
    Floats ones(static_cast<std::size_t>(count), 1.0F);
    kernels().dropout(dropout, count, ones.data());
    return Doubles(ones.begin(), ones.end());
  }
};
INSTANTIATE_TEST_SUITE_P(Cpu, KernelsOf, testing::ValuesIn(Tables()), NameOf);

Floats Draw(std::uint64_t seed, std::int64_t count) {
  Floats values(static_cast<std::size_t>(count));
  FillNormal(seed, 1, values);
  return values;
}

void ExpectNear(const Floats& got, const Doubles& want, double tolerance, const std::string& what) {
  ASSERT_EQ(got.size(), want.size()) << what;
  for (std::size_t i = 0; i < got.size(); ++i) {
    ASSERT_NEAR(static_cast<double>(got[i]), want[i], tolerance * (1 + std::fabs(want[i])))
        << what << "[" << i << "]";
  }
}

double At(const Floats& values, std::int64_t index) {
  return static_cast<double>(values[static_cast<std::size_t>(index)]);
}

// Widths below, at and between multiples of the vector width.
constexpr std::int64_t kWidths[] = {1, 5, 16, 31, 32, 40, 128};
constexpr Dropout kNone{};
constexpr Dropout kSome{.key = 0x1234'5678'9ABC'DEF0, .probability = 0.3F};

struct Norm {
  Doubles normalised, out;
  Doubles inverse;
};

Norm ReferenceNorm(const Doubles& sum, const Floats& gamma, const Floats& beta, double epsilon) {
  const std::size_t H = gamma.size();
  Norm norm;
  for (std::size_t row = 0; row < sum.size(); row += H) {
    double mean = 0, variance = 0;
    for (std::size_t i = 0; i < H; ++i) mean += sum[row + i] / static_cast<double>(H);
    for (std::size_t i = 0; i < H; ++i) {
      variance += (sum[row + i] - mean) * (sum[row + i] - mean) / static_cast<double>(H);
    }
    norm.inverse.push_back(1 / std::sqrt(variance + epsilon));
    for (std::size_t i = 0; i < H; ++i) {
      norm.normalised.push_back((sum[row + i] - mean) * norm.inverse.back());
      norm.out.push_back(norm.normalised.back() * static_cast<double>(gamma[i]) +
                         static_cast<double>(beta[i]));
    }
  }
  return norm;
}

TEST_P(KernelsOf, AddNormForwardIsLayerNormOfTheSum) {
  constexpr std::int64_t rows = 3;
  for (const std::int64_t H : kWidths) {
    for (const Dropout& dropout : {kNone, kSome}) {
      for (const bool with : {false, true}) {
        const Floats in = Draw(1, rows * H), residual = Draw(2, rows * H);
        const Floats bias = Draw(3, H), gamma = Draw(4, H), beta = Draw(5, H);
        const Doubles keep = Multipliers(dropout, rows * H);
        Doubles sum;
        for (std::int64_t i = 0; i < rows * H; ++i) {
          sum.push_back((At(in, i) + (with ? At(bias, i % H) : 0)) *
                            keep[static_cast<std::size_t>(i)] +
                        (with ? At(residual, i) : 0));
        }
        const Norm want = ReferenceNorm(sum, gamma, beta, 1e-3);
        Floats out(in.size()), normalised(in.size()), inverse(rows);
        kernels().add_norm_forward({.rows = rows,
                                    .H = H,
                                    .in = in.data(),
                                    .bias = with ? bias.data() : nullptr,
                                    .residual = with ? residual.data() : nullptr,
                                    .gamma = gamma.data(),
                                    .beta = beta.data(),
                                    .epsilon = 1e-3F,
                                    .dropout = dropout,
                                    .out = out.data(),
                                    .normalised = normalised.data(),
                                    .inverse = inverse.data()});
        ExpectNear(normalised, want.normalised, 2e-5, "normalised");
        ExpectNear(out, want.out, 2e-5, "out");
        ExpectNear(inverse, want.inverse, 2e-5, "inverse");
      }
    }
  }
}

TEST_P(KernelsOf, AddNormBackwardIsTheGradientAndAddsToParameters) {
  constexpr std::int64_t rows = 3;
  for (const std::int64_t H : kWidths) {
    for (const Dropout& dropout : {kNone, kSome}) {
      const Floats sum = Draw(1, rows * H), gamma = Draw(2, H), grad_out = Draw(3, rows * H);
      const Floats start = Draw(4, H);  // what the parameters' gradients hold already
      const Doubles keep = Multipliers(dropout, rows * H);
      const Norm norm =
          ReferenceNorm(Doubles(sum.begin(), sum.end()), gamma, Floats(gamma.size()), 1e-3);
      Doubles grad_sum, grad_in, grad_gamma(start.begin(), start.end());
      Doubles grad_beta = grad_gamma, grad_bias = grad_gamma;
      for (std::int64_t row = 0; row < rows; ++row) {
        double mean = 0, mean_x = 0;
        for (std::int64_t i = 0; i < H; ++i) {
          const auto at = static_cast<std::size_t>(row * H + i),
                     column = static_cast<std::size_t>(i);
          const double grad = static_cast<double>(grad_out[at]);
          grad_gamma[column] += grad * norm.normalised[at];
          grad_beta[column] += grad;
          mean += grad * At(gamma, i) / static_cast<double>(H);
          mean_x += grad * At(gamma, i) * norm.normalised[at] / static_cast<double>(H);
        }
        for (std::int64_t i = 0; i < H; ++i) {
          const auto at = static_cast<std::size_t>(row * H + i);
          grad_sum.push_back(norm.inverse[static_cast<std::size_t>(row)] *
                             (static_cast<double>(grad_out[at]) * At(gamma, i) - mean -
                              norm.normalised[at] * mean_x));
          grad_in.push_back(grad_sum.back() * keep[at]);
          grad_bias[static_cast<std::size_t>(i)] += grad_in.back();
        }
      }
      const Floats normalised(norm.normalised.begin(), norm.normalised.end());
      const Floats inverse(norm.inverse.begin(), norm.inverse.end());
      Floats got_sum = grad_out, got_in(grad_out.size());  // in place, as allowed
      Floats got_gamma = start, got_beta = start, got_bias = start;
      const bool drop = dropout.probability > 0;
      kernels().add_norm_backward({.rows = rows,
                                   .H = H,
                                   .grad_out = got_sum.data(),
                                   .normalised = normalised.data(),
                                   .inverse = inverse.data(),
                                   .gamma = gamma.data(),
                                   .dropout = dropout,
                                   .grad_sum = got_sum.data(),
                                   .grad_in = drop ? got_in.data() : nullptr,
                                   .grad_gamma = got_gamma.data(),
                                   .grad_beta = got_beta.data(),
                                   .grad_bias = got_bias.data()});
      ExpectNear(got_sum, grad_sum, 1e-4, "grad_sum");
      if (drop) ExpectNear(got_in, grad_in, 1e-4, "grad_in");
      ExpectNear(got_gamma, grad_gamma, 1e-4, "grad_gamma");
      ExpectNear(got_beta, grad_beta, 1e-4, "grad_beta");
      ExpectNear(got_bias, grad_bias, 1e-4, "grad_bias");
    }
  }
}

double Activated(Activation f, double x) {
  const double pi = std::acos(-1.0);
  switch (f) {
    case Activation::kGelu:
      return 0.5 * x * (1 + std::erf(x / std::sqrt(2.0)));
    case Activation::kGeluTanh:
      return 0.5 * x * (1 + std::tanh(std::sqrt(2 / pi) * (x + 0.044715 * x * x * x)));
    case Activation::kQuickGelu:
      return x / (1 + std::exp(-1.702 * x));
    case Activation::kRelu:
      return std::max(x, 0.0);
    case Activation::kSilu:
      return x / (1 + std::exp(-x));
    case Activation::kTanh:
      return std::tanh(x);
  }
  return 0;
}

TEST_P(KernelsOf, ActivationsAndTheirSlopesAreThoseOfTheFormula) {
  for (const Activation f : {Activation::kGelu, Activation::kGeluTanh, Activation::kQuickGelu,
                             Activation::kRelu, Activation::kSilu, Activation::kTanh}) {
    for (const std::int64_t I : {37, 48}) {
      constexpr std::int64_t rows = 40;
      Floats z, bias = Draw(1, I);
      Doubles value, slope;
      for (std::int64_t i = 0; i < rows * I; ++i) {
        const double x = -12 + 24 * static_cast<double>(i) / static_cast<double>(rows * I - 1);
        z.push_back(static_cast<float>(x) - bias[static_cast<std::size_t>(i % I)]);
        const double seen = At(z, i) + At(bias, i % I);
        value.push_back(Activated(f, seen));
        const double step = f == Activation::kRelu ? 1e-12 : 1e-4;
        slope.push_back((Activated(f, seen + step) - Activated(f, seen - step)) / (2 * step));
        if (f == Activation::kRelu) slope.back() = seen > 0 ? 1 : 0;
      }
      Floats active(z.size()), kept = z;
      kernels().activation_forward(f, rows, I, kept.data(), bias.data(), active.data(), true);
      ExpectNear(active, value, 2e-6, "value of " + std::to_string(static_cast<int>(f)));
      ExpectNear(kept, slope, 2e-5, "slope of " + std::to_string(static_cast<int>(f)));
      Floats plain = z, again(z.size());
      kernels().activation_forward(f, rows, I, plain.data(), bias.data(), again.data(), false);
      EXPECT_EQ(again, active);
    }
  }
}

TEST_P(KernelsOf, ActivationBackwardMultipliesAndSumsTheBias) {
  constexpr std::int64_t rows = 4, I = 21;
  const Floats derivative = Draw(1, rows * I), start = Draw(3, I);
  Floats grad = Draw(2, rows * I), grad_bias = start;
  Doubles want, want_bias(start.begin(), start.end());
  for (std::int64_t i = 0; i < rows * I; ++i) {
    want.push_back(At(grad, i) * At(derivative, i));
    want_bias[static_cast<std::size_t>(i % I)] += want.back();
  }
  kernels().activation_backward(rows, I, derivative.data(), grad.data(), grad_bias.data());
  ExpectNear(grad, want, 1e-6, "grad");
  ExpectNear(grad_bias, want_bias, 1e-5, "grad_bias");
}

TEST_P(KernelsOf, DropoutDropsItsShareAndScalesTheRest) {
  constexpr std::int64_t count = 100'003;
  const Doubles keep = Multipliers(kSome, count);
  std::int64_t dropped = 0;
  for (const double x : keep) {
    if (x == 0) {
      ++dropped;
    } else {
      ASSERT_NEAR(x, 1 / 0.7, 1e-6);
    }
  }
  EXPECT_NEAR(static_cast<double>(dropped) / count, 0.3, 0.01);
  EXPECT_EQ(Multipliers(kNone, 33), Doubles(33, 1.0));
  EXPECT_NE(keep, Multipliers({.key = kSome.key + 1, .probability = 0.3F}, count));
}

TEST_P(KernelsOf, DropoutOfAnElementDependsOnItsPlaceAlone) {
  const Doubles all = Multipliers(kSome, 200);
  const Doubles some = Multipliers(kSome, 73);
  EXPECT_TRUE(std::equal(some.begin(), some.end(), all.begin()));
}

TEST_P(KernelsOf, SumsAndBiasesReachEveryColumnOfAStride) {
  constexpr std::int64_t rows = 3, H = 21, stride = 30;
  const Floats x = Draw(1, rows * stride), bias = Draw(2, H);
  Floats sums = bias, moved = x;
  kernels().add_column_sums(rows, H, x.data(), stride, sums.data());
  kernels().add_bias(rows, H, moved.data(), stride, bias.data());
  Doubles want_sums(bias.begin(), bias.end()), want_moved(x.begin(), x.end());
  for (std::int64_t row = 0; row < rows; ++row) {
    for (std::int64_t i = 0; i < H; ++i) {
      want_sums[static_cast<std::size_t>(i)] += At(x, row * stride + i);
      want_moved[static_cast<std::size_t>(row * stride + i)] += At(bias, i);
    }
  }
  ExpectNear(sums, want_sums, 1e-6, "sums");
  ExpectNear(moved, want_moved, 1e-6, "moved");
  Floats added = x, three(x.size());
  kernels().add(static_cast<std::int64_t>(x.size()), added.data(), moved.data());
  kernels().add3(static_cast<std::int64_t>(x.size()), three.data(), x.data(), moved.data(),
                 added.data());
  for (std::size_t i = 0; i < x.size(); ++i) {
    ASSERT_EQ(added[i], x[i] + moved[i]);
    ASSERT_EQ(three[i], x[i] + moved[i] + added[i]);
  }
}

// One row's attention with everything that both directions take.
struct Attention {
  AttentionShape shape{};
  Dropout dropout{};
  Floats q, k, v, grad_out;
  std::int64_t stride = 0;

  Attention(const AttentionShape& s, const Dropout& d) : shape(s), dropout(d) {
    stride = s.heads * s.head_dim + 3;  // rows of a wider matrix
    q = Draw(1, s.queries * stride);
    k = Draw(2, s.keys * stride);
    v = Draw(3, s.keys * stride);
    grad_out = Draw(4, s.queries * stride);
  }
};

struct AttentionResult {
  Floats out, probabilities, grad_q, grad_k, grad_v;
};

AttentionResult Attend(const Kernels& kernels, const Attention& a) {
  AttentionResult r;
  const std::int64_t stride = a.stride;
  r.out.resize(a.q.size());
  r.grad_q.resize(a.q.size());
  r.grad_k.resize(a.k.size());
  r.grad_v.resize(a.v.size());
  r.probabilities.resize(static_cast<std::size_t>(a.shape.probabilities()), 1e30F);
  Floats scratch(static_cast<std::size_t>(a.shape.scratch()), 1e30F);
  kernels.attention_forward({.shape = a.shape,
                             .q = {a.q.data(), stride},
                             .k = {a.k.data(), stride},
                             .v = {a.v.data(), stride},
                             .out = {r.out.data(), stride},
                             .dropout = a.dropout,
                             .probabilities = r.probabilities.data(),
                             .scratch = scratch.data()});
  kernels.attention_backward({.shape = a.shape,
                              .q = {a.q.data(), stride},
                              .k = {a.k.data(), stride},
                              .v = {a.v.data(), stride},
                              .grad_out = {a.grad_out.data(), stride},
                              .dropout = a.dropout,
                              .probabilities = r.probabilities.data(),
                              .grad_q = {r.grad_q.data(), stride},
                              .grad_k = {r.grad_k.data(), stride},
                              .grad_v = {r.grad_v.data(), stride},
                              .scratch = scratch.data()});
  return r;
}

struct AttentionReference {
  Doubles out, grad_q, grad_k, grad_v;
};

// One head in doubles; `keep` are dropout's multipliers [queries, padded_keys].
void ReferenceHead(const Attention& a, std::int64_t head, const Doubles& keep,
                   AttentionReference& r) {
  const std::int64_t T = a.shape.keys, D = a.shape.head_dim, from = head * D;
  const auto at = [&](std::int64_t i, std::int64_t d) {
    return static_cast<std::size_t>(i * a.stride + from + d);
  };
  for (std::int64_t i = 0; i < a.shape.queries; ++i) {
    Doubles p(static_cast<std::size_t>(T)), grad(p.size());
    double sum = 0, weighted = 0;
    const std::int64_t last = T - a.shape.queries + i;  // that a causal query sees
    for (std::int64_t j = 0; j < T; ++j) {
      double score = 0;
      for (std::int64_t d = 0; d < D; ++d) {
        score += static_cast<double>(a.q[at(i, d)]) * static_cast<double>(a.k[at(j, d)]);
      }
      if (a.shape.causal && j > last) continue;
      if (a.shape.window > 0 && j <= last - a.shape.window) continue;
      p[static_cast<std::size_t>(j)] = std::exp(score * static_cast<double>(a.shape.scale));
      sum += p[static_cast<std::size_t>(j)];
    }
    for (std::int64_t j = 0; j < T; ++j) {
      const auto key = static_cast<std::size_t>(j);
      const double kept = keep[static_cast<std::size_t>(i * a.shape.padded_keys() + j)];
      p[key] /= sum;
      for (std::int64_t d = 0; d < D; ++d) {
        const double grad_out = static_cast<double>(a.grad_out[at(i, d)]);
        r.out[at(i, d)] += p[key] * kept * static_cast<double>(a.v[at(j, d)]);
        r.grad_v[at(j, d)] += p[key] * kept * grad_out;
        grad[key] += grad_out * static_cast<double>(a.v[at(j, d)]) * kept;
      }
      weighted += grad[key] * p[key];
    }
    for (std::int64_t j = 0; j < T; ++j) {
      const auto key = static_cast<std::size_t>(j);
      const double score = p[key] * (grad[key] - weighted) * static_cast<double>(a.shape.scale);
      for (std::int64_t d = 0; d < D; ++d) {
        r.grad_q[at(i, d)] += score * static_cast<double>(a.k[at(j, d)]);
        r.grad_k[at(j, d)] += score * static_cast<double>(a.q[at(i, d)]);
      }
    }
  }
}

std::vector<Attention> AttentionCases() {
  std::vector<Attention> cases;
  for (const std::int64_t dim : {8, 10, 16, 32}) {
    for (const std::int64_t keys : {1, 3, 15, 16, 17, 40}) {
      for (const Dropout& dropout : {kNone, kSome}) {
        for (const std::int64_t queries : {std::int64_t{1}, keys}) {
          cases.emplace_back(
              AttentionShape{
                  .heads = 2, .head_dim = dim, .queries = queries, .keys = keys, .scale = 0.4F},
              dropout);
        }
      }
    }
  }
  // Causal ones, longer than what is computed at a time: alone, behind cached keys, in a window.
  for (const AttentionShape& one :
       {AttentionShape{.queries = 40, .keys = 40}, AttentionShape{.queries = 61, .keys = 61},
        AttentionShape{.queries = 30, .keys = 75},
        AttentionShape{.queries = 70, .keys = 70, .window = 9}}) {
    for (const Dropout& dropout : {kNone, kSome}) {
      for (const std::int64_t dim : {10, 16}) {
        AttentionShape shape = one;
        shape.heads = 2;
        shape.head_dim = dim;
        shape.scale = 0.4F;
        shape.causal = true;
        cases.emplace_back(shape, dropout);
      }
    }
  }
  return cases;
}

TEST_P(KernelsOf, AttentionAndItsGradientsAreThoseOfTheFormula) {
  for (const Attention& a : AttentionCases()) {
    SCOPED_TRACE("dim " + std::to_string(a.shape.head_dim) + " keys " +
                 std::to_string(a.shape.keys) + " queries " + std::to_string(a.shape.queries));
    AttentionReference want{Doubles(a.q.size()), Doubles(a.q.size()), Doubles(a.k.size()),
                            Doubles(a.v.size())};
    for (std::int64_t head = 0; head < a.shape.heads; ++head) {
      const Dropout of_head{MixBits(a.dropout.key + static_cast<std::uint64_t>(head)),
                            a.dropout.probability};
      ReferenceHead(a, head, Multipliers(of_head, a.shape.queries * a.shape.padded_keys()), want);
    }
    const AttentionResult got = Attend(kernels(), a);
    ExpectNear(got.out, want.out, 2e-5, "out");
    ExpectNear(got.grad_q, want.grad_q, 1e-4, "grad_q");
    ExpectNear(got.grad_k, want.grad_k, 1e-4, "grad_k");
    ExpectNear(got.grad_v, want.grad_v, 1e-4, "grad_v");
  }
}

TEST_P(KernelsOf, LargeScoresDoNotOverflowTheSoftmax) {
  Attention a({.heads = 1, .head_dim = 16, .queries = 5, .keys = 5, .scale = 1}, kNone);
  for (float& x : a.q) x *= 1000;
  const AttentionResult got = Attend(kernels(), a);
  for (std::int64_t row = 0; row < 5; ++row) {
    double sum = 0;
    for (std::int64_t j = 0; j < 16; ++j) sum += At(got.probabilities, row * 16 + j);
    EXPECT_NEAR(sum, 1, 1e-6);
  }
}

// Sums run in one order whatever the register width; only fused multiply-add differs.
TEST(Kernels, TablesAgreeWithEachOther) {
  const std::vector<const Kernels*> tables = Tables();
  const AttentionResult first = Attend(*tables.front(), AttentionCases().back());
  for (const Kernels* other : tables) {
    SCOPED_TRACE(other->isa);
    const AttentionResult got = Attend(*other, AttentionCases().back());
    ExpectNear(got.out, Doubles(first.out.begin(), first.out.end()), 1e-6, "out");
    ExpectNear(got.grad_q, Doubles(first.grad_q.begin(), first.grad_q.end()), 1e-5, "grad_q");
    Floats a = Draw(1, 1000), b = a;
    tables.front()->dropout(kSome, 1000, a.data());
    other->dropout(kSome, 1000, b.data());
    EXPECT_EQ(a, b);
  }
  // Neither of these is compiled for fused multiply-add.
  const AttentionResult wide = Attend(kWideKernels, AttentionCases().back());
  EXPECT_EQ(wide.out, first.out);
  EXPECT_EQ(wide.grad_k, first.grad_k);
}

TEST(Kernels, TheBestTableOfThisCpuIsTaken) {
  EXPECT_STREQ(RunnableKernels().front()->isa, "baseline");
  EXPECT_EQ(&CpuKernels(), RunnableKernels().back());
}

}  // namespace
}  // namespace tutti::model
