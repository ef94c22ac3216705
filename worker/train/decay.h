// Weight-decay groups as ranges of the flat buffers. Pure; any thread.
#pragma once

#include <cstdint>
#include <vector>

#include "worker/model/parameters.h"

namespace tutti::train {

struct DecaySegment {
  std::int64_t begin = 0, end = 0;  // floats of a flat buffer
  bool decay = false;
  bool operator==(const DecaySegment&) const = default;
};

// Neighbours of one kind are one segment; gaps between parameters go to the segment before them.
// Sorted, from 0 to layout.total().
std::vector<DecaySegment> DecaySegments(const model::ParameterLayout& layout);

}  // namespace tutti::train
