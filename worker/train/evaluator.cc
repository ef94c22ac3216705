#include "worker/train/evaluator.h"

#include <ATen/core/Tensor.h>

#include <algorithm>
#include <cstring>
#include <numeric>
#include <span>
#include <string_view>
#include <type_traits>
#include <utility>
#include <vector>

#include "worker/train/loss.h"
#include "worker/train/metrics.h"

namespace tutti::train {
namespace {

// What one micro-batch gives; its predictions follow in the bytes that ranks exchange.
struct Part {
  std::int64_t index = 0;
  double loss = 0;
  std::int64_t items = 0;
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
    TUTTI_ASSIGN_OR_RETURN(const at::Tensor logits, model.Forward(batch, {}));
    const Logits values{
        .values = {logits.data_ptr<float>(), static_cast<std::size_t>(logits.numel())},
        .columns = logits.size(1)};
    const Part part{.index = index,
                    .loss = CrossEntropySum(values, batch.labels),
                    .items = CountItems(batch.labels),
                    .rows = batch.rows};
    Append(bytes, std::span<const Part>(&part, 1));
    Append<std::int64_t>(bytes, LargestColumns(values.values, values.columns));
  }
  return bytes;
}

}  // namespace

Result<Metrics> Evaluate(model::Model& model, const Samples& samples, const EvalOptions& options) {
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
      const auto begin = static_cast<std::size_t>(part[0].index * options.micro_batch);
      counts.Add(std::span(samples.labels).subspan(begin, predictions.size()), predictions);
    }
  }
  double loss = 0;
  std::int64_t items = 0;
  for (const Part& part : parts) {
    loss += part.loss;
    items += part.items;
  }
  return Metrics{{"accuracy", Accuracy(counts)},
                 {"macro_f1", MacroF1(counts)},
                 {"loss", items > 0 ? loss / static_cast<double>(items) : 0.0}};
}

}  // namespace tutti::train
