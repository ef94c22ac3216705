#include <ATen/ATen.h>

#include <algorithm>
#include <numeric>
#include <utility>

#include "common/base/check.h"
#include "worker/model/decoder.h"
#include "worker/model/linear.h"

namespace tutti::model {
namespace {

// Logits that are held at a time where only the loss is asked for; and rows at least, since a
// product reads the whole output layer, which is larger than their logits where the model is wider.
constexpr std::int64_t kLogitFloats = std::int64_t{1} << 22;
constexpr std::int64_t kRowsMin = 256;

}  // namespace

const float* Decoder::Gather(std::span<const std::int64_t> rows, float* out) const {
  const std::int64_t H = d_.hidden;
  float* to = out;
  for (const std::int64_t row : rows) {
    std::copy_n(final_.out + row * H, H, to);
    to += H;
  }
  return out;
}

// The output layer's weight as many products take it.
WeightPlace Decoder::ConvertedHead() {
  const WeightPlace head = Matrix(head_);
  if (products_ != Products::kBf16 || head.halves != nullptr) return head;
  const std::int64_t count = d_.hidden * d_.head_size();
  std::uint16_t* const halves = arena_.TakeHalves(count);
  NarrowToBf16({head.floats, static_cast<std::size_t>(count)}, halves);
  return halves;
}

void Decoder::HeadForward(const WeightPlace& head, const float* rows, std::int64_t count,
                          float* logits) {
  LinearForward({count, d_.hidden, d_.head_size()}, rows, d_.hidden, head, logits, d_.head_size(),
                ModeOf(arena_));
}

// Onto grad_hidden_ at these rows; `grad_rows` has room for their gradients.
void Decoder::HeadBackward(const WeightPlace& head, std::span<const std::int64_t> at,
                           const float* rows, const float* grad, float* grad_rows) {
  const std::int64_t H = d_.hidden;
  const LinearShape shape{static_cast<std::int64_t>(at.size()), H, d_.head_size()};
  const LinearMode mode = ModeOf(arena_);
  const LinearRows dy(grad, shape.rows, shape.out, shape.out, mode);
  if (float* const gradient = Gradient(head_)) {
    LinearWeightGradient(shape, dy, LinearRows(rows, shape.rows, H, H, mode), gradient);
  }
  LinearInputGradient(shape, dy, head, grad_rows, H, /*add=*/false, mode);
  for (const std::int64_t row : at) {
    kernels_.add(H, grad_hidden_ + row * H, grad_rows);
    grad_rows += H;
  }
}

void Decoder::TakeGradHidden() {
  const std::int64_t count = packed_.N * d_.hidden;
  grad_hidden_ = arena_.Take(count);
  std::fill_n(grad_hidden_, count, 0.0F);
}

// By its id, not by the mask; the first where every token is padding.
std::int64_t Decoder::LastToken(std::int64_t document) const {
  const auto at = static_cast<std::size_t>(document);
  std::int64_t last = packed_.begin[at + 1] - 1;
  if (!d_.padding_id) return last;
  while (last > packed_.begin[at] &&
         packed_.ids[static_cast<std::size_t>(last)] == *d_.padding_id) {
    --last;
  }
  return last;
}

Result<at::Tensor> Decoder::Forward(const Batch& batch, const ForwardOptions& options) {
  TUTTI_RETURN_IF_ERROR(ForwardTokens(batch, options));
  const std::int64_t N = packed_.N, B = packed_.B, V = d_.head_size();
  head_rows_.clear();
  if (d_.head == Head::kClassification) {
    TUTTI_CHECK(packed_.documents() == B, "a classifier's rows are one document each");
    for (std::int64_t row = 0; row < B; ++row) head_rows_.push_back(LastToken(row));
    head_in_ = Gather(head_rows_, arena_.Take(B * d_.hidden));
    at::Tensor logits = at::empty({B, V}, at::kFloat);
    HeadForward(Matrix(head_), head_in_, B, logits.data_ptr<float>());
    return logits;
  }
  head_rows_.resize(static_cast<std::size_t>(N));
  std::iota(head_rows_.begin(), head_rows_.end(), std::int64_t{0});
  head_in_ = final_.out;
  const at::Tensor rows = at::empty({N, V}, at::kFloat);
  HeadForward(Matrix(head_), head_in_, N, rows.data_ptr<float>());
  at::Tensor logits = at::zeros({B, packed_.T, V}, at::kFloat);
  for (std::int64_t i = 0; i < N; ++i) {
    std::copy_n(rows.data_ptr<float>() + i * V, V,
                logits.data_ptr<float>() + packed_.cells[static_cast<std::size_t>(i)] * V);
  }
  return logits;
}

void Decoder::Backward(const at::Tensor& grad_logits, const GradientsFinal& on_final) {
  TUTTI_CHECK(grads_ != nullptr, "BindGradients comes before Backward");
  TUTTI_CHECK(options_.training && head_in_ != nullptr, "Backward needs a training Forward");
  const std::int64_t V = d_.head_size(), N = packed_.N;
  const bool rows_only = d_.head == Head::kClassification;
  TUTTI_CHECK(grad_logits.is_contiguous() && grad_logits.scalar_type() == at::kFloat &&
                  grad_logits.numel() == packed_.B * (rows_only ? 1 : packed_.T) * V,
              "grad_logits are not as large as the logits");
  const float* grad = grad_logits.data_ptr<float>();
  if (!rows_only) {
    float* packed = arena_.Take(N * V);
    for (std::int64_t i = 0; i < N; ++i) {
      std::copy_n(grad + packed_.cells[static_cast<std::size_t>(i)] * V, V, packed + i * V);
    }
    grad = packed;
  }
  TakeGradHidden();
  const auto count = static_cast<std::int64_t>(head_rows_.size());
  HeadBackward(Matrix(head_), head_rows_, head_in_, grad, arena_.Take(count * d_.hidden));
  LayersBackward(grad_hidden_, on_final);
}

at::Tensor Decoder::Hidden() const {
  const std::int64_t H = d_.hidden;
  at::Tensor hidden = at::zeros({packed_.B, packed_.T, H}, at::kFloat);
  for (std::int64_t i = 0; i < packed_.N; ++i) {
    std::copy_n(final_.out + i * H, H,
                hidden.data_ptr<float>() + packed_.cells[static_cast<std::size_t>(i)] * H);
  }
  return hidden;
}

TokenScores Decoder::Score(const ScoreOptions& options) {
  std::vector<std::int64_t> scored;
  for (std::int64_t i = 0; i < packed_.N; ++i) {
    if (packed_.targets[static_cast<std::size_t>(i)] != kIgnoreLabel) scored.push_back(i);
  }
  const bool gradient = options_.training && options.gradient;
  if (gradient && grad_hidden_ == nullptr) TakeGradHidden();
  const Arena::Mark mark = arena_.Now();
  const std::int64_t V = d_.head_size(), H = d_.hidden;
  const auto chunk = static_cast<std::size_t>(std::max(kLogitFloats / V, kRowsMin));
  const auto rows_max = static_cast<std::int64_t>(std::min(chunk, scored.size()));
  float* const rows = arena_.Take(rows_max * H);
  float* const grad_rows = arena_.Take(rows_max * H);
  float* const logits = arena_.Take(rows_max * V);
  const WeightPlace head = ConvertedHead();
  TokenScores scores;
  scores.documents.resize(static_cast<std::size_t>(packed_.documents()));
  for (std::size_t at = 0; at < scored.size(); at += chunk) {
    const auto part = std::span(scored).subspan(at, std::min(chunk, scored.size() - at));
    HeadForward(head, Gather(part, rows), static_cast<std::int64_t>(part.size()), logits);
    ScoreRows(part, options, logits, scores);
    if (gradient) HeadBackward(head, part, rows, logits, grad_rows);
  }
  arena_.Release(mark);
  return scores;
}

// The document that `row` belongs to: `from` or one after it.
std::size_t Decoder::DocumentOf(std::int64_t row, std::size_t from) const {
  while (row >= packed_.begin[from + 1]) ++from;
  return from;
}

void Decoder::ScoreRows(std::span<const std::int64_t> rows, const ScoreOptions& options,
                        float* logits, TokenScores& scores) const {
  std::size_t document = 0;
  for (const std::int64_t row : rows) {
    const auto at = static_cast<std::size_t>(row);
    document = DocumentOf(row, document);
    const double weight = packed_.weights.empty() ? 1.0 : static_cast<double>(packed_.weights[at]);
    const double factor = options.by_document.empty() ? 1.0 : options.by_document[document];
    const TokenScore score =
        kernels_.score_token({.V = d_.head_size(),
                              .logits = logits,
                              .target = packed_.targets[at],
                              .smoothing = static_cast<float>(options.label_smoothing),
                              .scale = static_cast<float>(weight * factor * options.scale),
                              .gradient = options_.training && options.gradient});
    const double loss = weight * ((1 - options.label_smoothing) * score.nll +
                                  options.label_smoothing * score.uniform);
    scores.loss += loss;
    scores.weight += weight;
    scores.documents[document].loss += loss;
    scores.documents[document].weight += weight;
    ++scores.items;
    if (score.right) ++scores.right;
    logits += d_.head_size();
  }
}

void Decoder::BackwardTokens(const GradientsFinal& on_final) {
  TUTTI_CHECK(grads_ != nullptr, "BindGradients comes before BackwardTokens");
  TUTTI_CHECK(options_.training && grad_hidden_ != nullptr,
              "BackwardTokens needs a training Score");
  LayersBackward(grad_hidden_, on_final);
}

Result<at::Tensor> Decoder::Extend(std::span<const Continuation> continuations,
                                   KeyValueCache& cache) {
  TUTTI_RETURN_IF_ERROR(PackContinuations(continuations, cache));
  cache_ = &cache;
  Begin({});
  LayersForward();
  cache_ = nullptr;
  std::vector<std::int64_t> last;
  for (std::size_t i = 0; i < continuations.size(); ++i) {
    const Continuation& one = continuations[i];
    cache.SetLength(one.slot,
                    cache.length(one.slot) + static_cast<std::int64_t>(one.tokens.size()));
    last.push_back(packed_.begin[i + 1] - 1);
  }
  const auto count = static_cast<std::int64_t>(last.size());
  at::Tensor logits = at::empty({count, d_.vocabulary}, at::kFloat);
  HeadForward(Matrix(head_), Gather(last, arena_.Take(count * d_.hidden)), count,
              logits.data_ptr<float>());
  return logits;
}

}  // namespace tutti::model
