#include "worker/train/samples.h"

#include <algorithm>
#include <cmath>
#include <map>
#include <numeric>
#include <string>
#include <tuple>

#include "common/base/check.h"
#include "worker/train/generator.h"

namespace tutti::train {
namespace {

// Fisher-Yates with draws that follow from `seed` alone.
std::vector<std::int64_t> Permutation(std::int64_t count, std::uint64_t seed) {
  TUTTI_CHECK(count < (std::int64_t{1} << 32), count, " rows");
  std::vector<std::int64_t> order(static_cast<std::size_t>(count));
  std::iota(order.begin(), order.end(), std::int64_t{0});
  for (std::size_t i = order.size(); i > 1; --i) {
    const std::uint64_t draw = HashSeed(seed, i);
    const std::size_t j = ((draw >> 32) * i) >> 32;  // even to 1 in 2^32 ÷ i
    std::swap(order[i - 1], order[j]);
  }
  return order;
}

Samples PartOf(const Samples& samples, std::span<const std::int64_t> indices) {
  Samples part{.dataset = samples.dataset, .pairs = samples.pairs};
  if (!samples.packs.empty()) part.packs.push_back(0);
  for (const std::int64_t index : indices) {
    const std::span<const std::int64_t> rows = samples.RowsOf(index);
    part.rows.insert(part.rows.end(), rows.begin(), rows.end());
    if (!samples.packs.empty()) part.packs.push_back(static_cast<std::int64_t>(part.rows.size()));
    if (!samples.labels.empty()) {
      part.labels.push_back(samples.labels[static_cast<std::size_t>(index)]);
    }
  }
  return part;
}

}  // namespace

Result<Samples> AllRows(std::shared_ptr<const data::Dataset> dataset, const data::LabelTable& table,
                        bool strict) {
  Samples samples{.dataset = std::move(dataset)};
  TUTTI_ASSIGN_OR_RETURN(samples.labels, samples.dataset->LabelIds(table, strict));
  samples.rows.resize(samples.labels.size());
  std::iota(samples.rows.begin(), samples.rows.end(), std::int64_t{0});
  return samples;
}

Samples AllRows(std::shared_ptr<const data::Dataset> dataset) {
  Samples samples{.dataset = std::move(dataset)};
  samples.rows.resize(static_cast<std::size_t>(samples.dataset->rows()));
  std::iota(samples.rows.begin(), samples.rows.end(), std::int64_t{0});
  return samples;
}

Samples Pairs(std::shared_ptr<const data::Dataset> dataset) {
  Samples samples = AllRows(std::move(dataset));
  samples.pairs = true;
  TUTTI_CHECK(samples.rows.size() % 2 == 0, samples.rows.size(), " rows");
  for (std::size_t at = 0; at <= samples.rows.size(); at += 2) {
    samples.packs.push_back(static_cast<std::int64_t>(at));
  }
  return samples;
}

std::span<const std::int64_t> Samples::RowsOf(std::int64_t sample) const {
  const auto at = static_cast<std::size_t>(sample);
  if (packs.empty()) return std::span(rows).subspan(at, 1);
  const auto begin = static_cast<std::size_t>(packs[at]);
  return std::span(rows).subspan(begin, static_cast<std::size_t>(packs[at + 1]) - begin);
}

// A row's first token is predicted by nothing.
double Samples::PredictedIn(std::int64_t row) const {
  double items = 0;
  for (const float weight : dataset->Weights(row).subspan(1)) items += static_cast<double>(weight);
  return items;
}

double Samples::ItemsOf(std::int64_t sample) const {
  if (pairs) return 1;
  if (!by_token()) {
    return labels[static_cast<std::size_t>(sample)] == model::kIgnoreLabel ? 0 : 1;
  }
  double items = 0;
  for (const std::int64_t row : RowsOf(sample)) items += PredictedIn(row);
  return items;
}

// Room left is looked up by size, so that packing takes n log n.
Samples Pack(const Samples& samples, std::int64_t max_length) {
  const auto length = [&samples](std::int64_t row) {
    return static_cast<std::int64_t>(samples.dataset->Tokens(row).size());
  };
  std::vector<std::int64_t> order = samples.rows;
  std::ranges::stable_sort(order, std::ranges::greater{}, length);
  std::vector<std::vector<std::int64_t>> packs;
  std::multimap<std::int64_t, std::size_t> room;  // tokens left -> pack
  for (const std::int64_t row : order) {
    auto fits = room.lower_bound(length(row));
    std::size_t pack = packs.size();
    std::int64_t left = max_length;
    if (fits != room.end()) {
      std::tie(left, pack) = *fits;
      room.erase(fits);
    } else {
      packs.emplace_back();
    }
    packs[pack].push_back(row);
    room.emplace(left - length(row), pack);
  }
  Samples packed{.dataset = samples.dataset, .packs = {0}};
  for (const std::vector<std::int64_t>& pack : packs) {
    packed.rows.insert(packed.rows.end(), pack.begin(), pack.end());
    packed.packs.push_back(static_cast<std::int64_t>(packed.rows.size()));
  }
  return packed;
}

Result<Split> SplitRows(const Samples& samples, double fraction, std::uint64_t seed) {
  const auto eval_rows =
      static_cast<std::int64_t>(std::ceil(fraction * static_cast<double>(samples.size())));
  if (eval_rows >= samples.size()) {
    return Fail(ErrorCode::kInvalid,
                "of " + std::to_string(samples.size()) + " rows none is left to train on",
                "data.eval", "give more rows or a smaller fraction");
  }
  std::vector<std::int64_t> order = Permutation(samples.size(), HashSeed(seed, "evaluation"));
  const auto middle = order.begin() + eval_rows;
  std::sort(order.begin(), middle);
  std::sort(middle, order.end());
  return Split{.train = PartOf(samples, {middle, order.end()}),
               .eval = PartOf(samples, {order.begin(), middle})};
}

std::span<const std::int64_t> Deal::OfShard(std::span<const std::int64_t> rows,
                                            std::int64_t shard) const {
  TUTTI_CHECK(shard >= 0 && shard < shards, "shard ", shard, " of ", shards);
  const auto count = static_cast<std::int64_t>(rows.size());
  const std::int64_t begin = count * shard / shards;
  const std::int64_t end = count * (shard + 1) / shards;
  return rows.subspan(static_cast<std::size_t>(begin), static_cast<std::size_t>(end - begin));
}

EpochOrder::EpochOrder(std::int64_t rows, std::int64_t global_batch, std::uint64_t seed)
    : rows_(rows),
      global_batch_(global_batch),
      steps_per_epoch_((rows + global_batch - 1) / global_batch),
      seed_(seed) {
  TUTTI_CHECK(rows > 0 && global_batch > 0, rows, " rows in batches of ", global_batch);
}

std::span<const std::int64_t> EpochOrder::RowsOf(std::int64_t step) {
  const std::int64_t epoch = step / steps_per_epoch_;
  if (epoch != epoch_) {
    order_ = Permutation(rows_, HashSeed(seed_, static_cast<std::uint64_t>(epoch)));
    epoch_ = epoch;
  }
  const std::int64_t begin = step % steps_per_epoch_ * global_batch_;
  const std::int64_t count = std::min(global_batch_, rows_ - begin);
  return std::span<const std::int64_t>(order_).subspan(static_cast<std::size_t>(begin),
                                                       static_cast<std::size_t>(count));
}

namespace {

// The tokens of a language model's row, as labels of themselves where they count.
void AddTokenLabels(std::span<const std::int32_t> tokens, std::span<const float> weights,
                    std::size_t at, model::Batch& batch) {
  for (std::size_t i = 0; i < tokens.size(); ++i) {
    if (!(weights[i] > 0)) continue;
    batch.labels[at + i] = tokens[i];
    batch.weights[at + i] = weights[i];
  }
}

}  // namespace

model::Batch MakeBatch(const Samples& samples, std::span<const std::int64_t> rows) {
  model::Batch batch{.rows = static_cast<std::int64_t>(rows.size())};
  for (const std::int64_t row : rows) {
    batch.columns = std::max(batch.columns, CountTokens(samples, {&row, 1}));
  }
  const auto T = static_cast<std::size_t>(batch.columns);
  batch.input_ids.assign(rows.size() * T, 0);
  batch.attention_mask.assign(rows.size() * T, 0);
  if (samples.by_token()) {
    batch.labels.assign(rows.size() * T, model::kIgnoreLabel);
    batch.weights.assign(rows.size() * T, 0);
    batch.documents.assign(rows.size() * T, 0);
  }
  for (std::size_t i = 0; i < rows.size(); ++i) {
    std::size_t at = i * T;
    std::int64_t document = 0;
    for (const std::int64_t row : samples.RowsOf(rows[i])) {
      const std::span<const std::int32_t> tokens = samples.dataset->Tokens(row);
      const auto begin = static_cast<std::ptrdiff_t>(at);
      std::ranges::copy(tokens, batch.input_ids.begin() + begin);
      std::fill_n(batch.attention_mask.begin() + begin, tokens.size(), 1);
      if (samples.by_token()) {
        std::fill_n(batch.documents.begin() + begin, tokens.size(), document++);
        AddTokenLabels(tokens, samples.dataset->Weights(row), at, batch);
      }
      at += tokens.size();
    }
    if (!samples.by_token()) {
      batch.labels.push_back(samples.labels[static_cast<std::size_t>(rows[i])]);
    }
  }
  return batch;
}

std::int64_t CountTokens(const Samples& samples, std::span<const std::int64_t> rows) {
  std::int64_t tokens = 0;
  for (const std::int64_t sample : rows) {
    for (const std::int64_t row : samples.RowsOf(sample)) {
      tokens += static_cast<std::int64_t>(samples.dataset->Tokens(row).size());
    }
  }
  return tokens;
}

}  // namespace tutti::train
