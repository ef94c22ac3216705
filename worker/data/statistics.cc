#include "worker/data/statistics.h"

#include <algorithm>
#include <numeric>
#include <utility>

namespace tutti::data {
namespace {

constexpr std::int64_t kFirstBucket = 8;

std::int64_t BucketOf(std::int64_t length) {
  std::int64_t up_to = kFirstBucket;
  while (up_to < length) up_to *= 2;
  return up_to;
}

// Of sorted lengths: the least that at least `percent` of 100 rows do not exceed.
std::int64_t Quantile(const std::vector<std::int64_t>& sorted, std::int64_t percent) {
  const auto count = static_cast<std::int64_t>(sorted.size());
  const std::int64_t at = (count * percent + 99) / 100 - 1;
  return sorted[static_cast<std::size_t>(std::max<std::int64_t>(at, 0))];
}

}  // namespace

LengthStatistics Describe(std::vector<std::int64_t> lengths) {
  if (lengths.empty()) return {};
  std::ranges::sort(lengths);
  LengthStatistics result{
      .rows = static_cast<std::int64_t>(lengths.size()),
      .tokens = std::accumulate(lengths.begin(), lengths.end(), std::int64_t{0}),
      .shortest = lengths.front(),
      .longest = lengths.back(),
      .half = Quantile(lengths, 50),
      .nine_tenths = Quantile(lengths, 90),
      .ninety_nine_hundredths = Quantile(lengths, 99)};
  auto from = lengths.begin();
  for (std::int64_t up_to = BucketOf(result.shortest); from != lengths.end(); up_to *= 2) {
    const auto to = std::upper_bound(from, lengths.end(), up_to);
    result.histogram.push_back({.up_to = up_to, .rows = to - from});
    from = to;
  }
  return result;
}

LengthStatistics DescribeLengths(const Dataset& dataset) {
  std::vector<std::int64_t> lengths(static_cast<std::size_t>(dataset.rows()));
  for (std::int64_t row = 0; row < dataset.rows(); ++row) {
    lengths[static_cast<std::size_t>(row)] = static_cast<std::int64_t>(dataset.Tokens(row).size());
  }
  return Describe(std::move(lengths));
}

}  // namespace tutti::data
