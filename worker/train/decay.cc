#include "worker/train/decay.h"

namespace tutti::train {

std::vector<DecaySegment> DecaySegments(const model::ParameterLayout& layout) {
  std::vector<DecaySegment> segments;
  for (const model::ParameterInfo& parameter : layout.parameters()) {
    if (!segments.empty()) segments.back().end = parameter.offset;
    if (segments.empty() || segments.back().decay != parameter.decay) {
      segments.push_back({.begin = segments.empty() ? 0 : parameter.offset,
                          .end = parameter.offset,
                          .decay = parameter.decay});
    }
    segments.back().end = parameter.offset + parameter.count;
  }
  if (!segments.empty()) segments.back().end = layout.total();
  return segments;
}

}  // namespace tutti::train
