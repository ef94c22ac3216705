#include "worker/model/kv_cache.h"

#include <algorithm>
#include <utility>

#include "common/base/check.h"

namespace tutti::model {

KeyValueCache::KeyValueCache(const Shape& shape)
    : shape_(shape), lengths_(static_cast<std::size_t>(shape.slots)) {
  const auto floats = static_cast<std::size_t>(shape.layers * shape.capacity * shape.width);
  for (std::int64_t i = 0; i < shape.slots; ++i) slots_.emplace_back(floats);
}

float* KeyValueCache::At(std::int64_t slot, std::int64_t layer) {
  TUTTI_CHECK(slot >= 0 && slot < shape_.slots && layer < shape_.layers, "slot ", slot);
  return slots_[static_cast<std::size_t>(slot)].data() + layer * shape_.capacity * shape_.width;
}

// A slot that one sequence alone continues is moved; others are copied, as far as they are filled.
void KeyValueCache::Reorder(std::span<const std::int64_t> sources) {
  TUTTI_CHECK(sources.size() == slots_.size(), sources.size(), " sources");
  std::vector<std::int64_t> users(slots_.size());
  for (const std::int64_t source : sources) ++users[static_cast<std::size_t>(source)];
  std::vector<std::vector<float>> spare;
  for (std::size_t i = 0; i < slots_.size(); ++i) {
    if (users[i] == 0) spare.push_back(std::move(slots_[i]));
  }
  std::vector<std::vector<float>> next(slots_.size());
  std::vector<std::int64_t> lengths(slots_.size());
  for (std::size_t i = 0; i < sources.size(); ++i) {
    const auto source = static_cast<std::size_t>(sources[i]);
    lengths[i] = lengths_[source];
    if (--users[source] == 0) {  // its last user
      next[i] = std::move(slots_[source]);
      continue;
    }
    next[i] = std::move(spare.back());
    spare.pop_back();
    const std::int64_t stride = shape_.capacity * shape_.width;
    for (std::int64_t layer = 0; layer < shape_.layers; ++layer) {
      std::copy_n(slots_[source].data() + layer * stride, lengths[i] * shape_.width,
                  next[i].data() + layer * stride);
    }
  }
  slots_ = std::move(next);
  lengths_ = std::move(lengths);
}

}  // namespace tutti::model
