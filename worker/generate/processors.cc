#include "worker/generate/processors.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <numeric>
#include <set>

namespace tutti::generate {
namespace {

constexpr float kNever = -std::numeric_limits<float>::infinity();

void PenalizeRepetition(double penalty, std::span<const std::int64_t> ids,
                        std::span<float> scores) {
  const auto p = static_cast<float>(penalty);
  for (const std::int64_t id : std::set<std::int64_t>(ids.begin(), ids.end())) {
    float& score = scores[static_cast<std::size_t>(id)];
    score = score < 0 ? score * p : score / p;
  }
}

// Bans what would complete an n-gram that is there already.
void BanRepeatedNgrams(std::size_t n, std::span<const std::int64_t> ids, std::span<float> scores) {
  if (ids.size() + 1 < n) return;
  const auto last = ids.last(n - 1);
  for (std::size_t at = 0; at + n <= ids.size(); ++at) {
    if (!std::ranges::equal(ids.subspan(at, n - 1), last)) continue;
    scores[static_cast<std::size_t>(ids[at + n - 1])] = kNever;
  }
}

}  // namespace

void ApplyProcessors(const Options& options, std::span<const std::int64_t> ids,
                     std::int64_t generated, std::span<float> scores) {
  if (options.repetition_penalty != 1) {
    PenalizeRepetition(options.repetition_penalty, ids, scores);
  }
  if (options.no_repeat_ngram_size > 0) {
    BanRepeatedNgrams(static_cast<std::size_t>(options.no_repeat_ngram_size), ids, scores);
  }
  if (generated >= options.min_new_tokens) return;
  for (const std::int64_t end : options.end_tokens) {
    if (end >= 0 && static_cast<std::size_t>(end) < scores.size()) {
      scores[static_cast<std::size_t>(end)] = kNever;
    }
  }
}

std::int64_t Largest(std::span<const float> scores) {
  return std::ranges::max_element(scores) - scores.begin();
}

void LogSoftmax(std::span<float> scores) {
  const auto top = static_cast<double>(*std::ranges::max_element(scores));
  double sum = 0;
  for (const float score : scores) sum += std::exp(static_cast<double>(score) - top);
  const double log_sum = top + std::log(sum);
  for (float& score : scores) score = static_cast<float>(static_cast<double>(score) - log_sum);
}

// The kept tokens are a beginning of the order by score: top_k of them, and of those as few as hold
// top_p of their probability.
std::int64_t Draw(const Options& options, std::span<const float> scores, double uniform) {
  std::vector<std::size_t> order(scores.size());
  std::iota(order.begin(), order.end(), std::size_t{0});
  const auto better = [&](std::size_t a, std::size_t b) {
    return scores[a] != scores[b] ? scores[a] > scores[b] : a < b;
  };
  if (options.top_k > 0 && static_cast<std::size_t>(options.top_k) < order.size()) {
    const auto middle = order.begin() + options.top_k;
    std::partial_sort(order.begin(), middle, order.end(), better);
    order.erase(middle, order.end());
  } else {
    std::sort(order.begin(), order.end(), better);
  }
  const auto top = static_cast<double>(scores[order.front()]);
  std::vector<double> weights;
  double total = 0;
  for (const std::size_t id : order) {
    weights.push_back(std::exp((static_cast<double>(scores[id]) - top) / options.temperature));
    total += weights.back();
  }
  if (options.top_p < 1) {
    double kept = 0;
    std::size_t count = 0;
    while (count < weights.size() && (count == 0 || kept < options.top_p * total)) {
      kept += weights[count++];
    }
    weights.resize(count);
    total = kept;
  }
  double rest = uniform * total;
  for (std::size_t i = 0; i < weights.size(); ++i) {
    rest -= weights[i];
    if (rest < 0) return static_cast<std::int64_t>(order[i]);
  }
  return static_cast<std::int64_t>(order[weights.size() - 1]);
}

}  // namespace tutti::generate
