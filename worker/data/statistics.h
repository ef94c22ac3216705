// How long the rows of a data set are, in tokens. Pure functions.
#pragma once

#include <cstdint>
#include <vector>

#include "worker/data/dataset.h"

namespace tutti::data {

// Rows of more tokens than the bucket before's `up_to`, and at most `up_to`.
struct LengthBucket {
  std::int64_t up_to = 0;  // 8, 16, 32, … tokens
  std::int64_t rows = 0;
};

struct LengthStatistics {
  std::int64_t rows = 0;
  std::int64_t tokens = 0;
  std::int64_t shortest = 0;
  std::int64_t longest = 0;
  // The shortest length that half, nine tenths, 99 of 100 rows do not exceed.
  std::int64_t half = 0;
  std::int64_t nine_tenths = 0;
  std::int64_t ninety_nine_hundredths = 0;
  // From the shortest row's to the longest row's; empty ones between are there.
  std::vector<LengthBucket> histogram{};
};

// All zero for no lengths.
LengthStatistics Describe(std::vector<std::int64_t> lengths);
// Of every row, as cut.
LengthStatistics DescribeLengths(const Dataset& dataset);

}  // namespace tutti::data
