#include "worker/train/evaluator.h"

#include <ATen/core/Tensor.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <numeric>
#include <span>
#include <string_view>
#include <type_traits>
#include <utility>
#include <vector>

#include "common/base/check.h"
#include "worker/model/language_model.h"
#include "worker/train/loss.h"
#include "worker/train/metrics.h"

namespace tutti::train {
namespace {

// What one micro-batch gives; a classifier's predictions follow in the bytes that ranks exchange.
struct Part {
  std::int64_t index = 0;
  double loss = 0;
  double items = 0;                               // that the loss is divided by
  std::int64_t tokens = 0;                        // of a language model: predicted ones
  std::int64_t right = 0;                         // of these, or of pairs
  double chosen_reward = 0, rejected_reward = 0;  // of pairs
  std::int64_t rows = 0;
};

template <typename T>
void Append(std::string& bytes, std::span<const T> values) {
  static_assert(std::is_trivially_copyable_v<T>);
  bytes.append(reinterpret_cast<const char*>(values.data()), values.size_bytes());
}

template <typename T>
Result<std::vector<T>> Take(std::string_view& bytes, std::size_t count) {
  if (count > bytes.size() / sizeof(T)) {
    return Fail(ErrorCode::kInternal, "a peer's part of the evaluation is cut short");
  }
  std::vector<T> values(count);
  std::memcpy(values.data(), bytes.data(), count * sizeof(T));
  bytes.remove_prefix(count * sizeof(T));
  return values;
}

Result<std::string> EvaluateTokens(model::LanguageModel& language, const model::Batch& batch,
                                   std::int64_t index) {
  TUTTI_RETURN_IF_ERROR(language.ForwardTokens(batch, {}));
  const model::TokenScores scores = language.Score({});
  const Part part{.index = index,
                  .loss = scores.loss,
                  .items = scores.weight,
                  .tokens = scores.items,
                  .right = scores.right};
  std::string bytes;
  Append(bytes, std::span<const Part>(&part, 1));
  return bytes;
}

Result<std::string> EvaluatePairs(model::Model& model, const model::Batch& batch,
                                  const PreferenceOptions& preference, std::int64_t index) {
  TUTTI_ASSIGN_OR_RETURN(const std::vector<PairScore> pairs,
                         ScorePairs(model, batch, /*training=*/false));
  const PairSums sums = SumPairs(preference, pairs);
  const Part part{.index = index,
                  .loss = sums.loss,
                  .items = static_cast<double>(pairs.size()),
                  .right = sums.right,
                  .chosen_reward = sums.chosen_reward,
                  .rejected_reward = sums.rejected_reward};
  std::string bytes;
  Append(bytes, std::span<const Part>(&part, 1));
  return bytes;
}

Result<std::string> EvaluateClasses(model::Model& model, const model::Batch& batch,
                                    std::int64_t index) {
  TUTTI_ASSIGN_OR_RETURN(const at::Tensor logits, model.Forward(batch, {}));
  const Logits values{
      .values = {logits.data_ptr<float>(), static_cast<std::size_t>(logits.numel())},
      .columns = logits.size(1)};
  const Part part{.index = index,
                  .loss = CrossEntropySum(values, batch.labels),
                  .items = static_cast<double>(CountItems(batch.labels)),
                  .rows = batch.rows};
  std::string bytes;
  Append(bytes, std::span<const Part>(&part, 1));
  Append<std::int64_t>(bytes, LargestColumns(values.values, values.columns));
  return bytes;
}

Result<std::string> EvaluateBatch(model::Model& model, const model::Batch& batch,
                                  const EvalOptions& options, std::int64_t index) {
  if (options.preference) return EvaluatePairs(model, batch, *options.preference, index);
  if (model.language() != nullptr) return EvaluateTokens(*model.language(), batch, index);
  return EvaluateClasses(model, batch, index);
}

// This rank's micro-batches as bytes.
Result<std::string> EvaluateOwn(model::Model& model, const Samples& samples,
                                const EvalOptions& options) {
  const std::int64_t rank = options.gang != nullptr ? options.gang->rank : 0;
  const std::int64_t size = options.gang != nullptr ? options.gang->size : 1;
  std::string bytes;
  for (std::int64_t index = rank; index * options.micro_batch < samples.size(); index += size) {
    if (options.on_batch) TUTTI_RETURN_IF_ERROR(options.on_batch());
    const std::int64_t begin = index * options.micro_batch;
    std::vector<std::int64_t> rows(
        static_cast<std::size_t>(std::min(options.micro_batch, samples.size() - begin)));
    std::iota(rows.begin(), rows.end(), begin);
    const model::Batch batch = MakeBatch(samples, rows);
    TUTTI_ASSIGN_OR_RETURN(const std::string part, EvaluateBatch(model, batch, options, index));
    bytes += part;
  }
  return bytes;
}

Metrics TokenMetrics(double loss, std::span<const Part> parts) {
  std::int64_t tokens = 0, right = 0;
  for (const Part& part : parts) {
    tokens += part.tokens;
    right += part.right;
  }
  return {{"loss", loss},
          {"perplexity", std::exp(loss)},
          {"token_accuracy",
           tokens > 0 ? static_cast<double>(right) / static_cast<double>(tokens) : 0.0}};
}

Metrics PairMetrics(double loss, std::span<const Part> parts) {
  double pairs = 0, chosen = 0, rejected = 0;
  std::int64_t right = 0;
  for (const Part& part : parts) {
    pairs += part.items;
    chosen += part.chosen_reward;
    rejected += part.rejected_reward;
    right += part.right;
  }
  const double each = pairs > 0 ? 1 / pairs : 0;
  return {{"loss", loss},
          {"rewards/chosen", chosen * each},
          {"rewards/rejected", rejected * each},
          {"rewards/margins", (chosen - rejected) * each},
          {"rewards/accuracies", static_cast<double>(right) * each}};
}

}  // namespace

Result<Metrics> Evaluate(model::Model& model, const Samples& samples, const EvalOptions& options) {
  TUTTI_CHECK(samples.pairs == options.preference.has_value(), "a loss of pairs is for pairs");
  TUTTI_ASSIGN_OR_RETURN(std::string own, EvaluateOwn(model, samples, options));
  std::vector<std::string> all = {std::move(own)};
  if (options.gang != nullptr) {
    TUTTI_ASSIGN_OR_RETURN(all, options.gang->gather(all[0]));
  }
  const auto classes = static_cast<std::int64_t>(model.config().labels.size());
  std::vector<Part> parts(
      static_cast<std::size_t>((samples.size() + options.micro_batch - 1) / options.micro_batch));
  ClassCounts counts(classes);
  for (const std::string& bytes : all) {
    std::string_view rest = bytes;
    while (!rest.empty()) {
      TUTTI_ASSIGN_OR_RETURN(const std::vector<Part> part, Take<Part>(rest, 1));
      TUTTI_ASSIGN_OR_RETURN(const std::vector<std::int64_t> predictions,
                             Take<std::int64_t>(rest, static_cast<std::size_t>(part[0].rows)));
      parts.at(static_cast<std::size_t>(part[0].index)) = part[0];
      if (predictions.empty()) continue;
      const auto begin = static_cast<std::size_t>(part[0].index * options.micro_batch);
      counts.Add(std::span(samples.labels).subspan(begin, predictions.size()), predictions);
    }
  }
  double loss = 0, items = 0;
  for (const Part& part : parts) {
    loss += part.loss;
    items += part.items;
  }
  loss = items > 0 ? loss / items : 0.0;
  if (options.preference) return PairMetrics(loss, parts);
  if (model.language() != nullptr) return TokenMetrics(loss, parts);
  return Metrics{{"accuracy", Accuracy(counts)}, {"macro_f1", MacroF1(counts)}, {"loss", loss}};
}

}  // namespace tutti::train
