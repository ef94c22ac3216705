// Keys and values of the tokens that a decoder has seen, by sequence (slot) and layer. Owned by who
// generates; one thread.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

namespace tutti::model {

class KeyValueCache {
 public:
  struct Shape {
    std::int64_t layers = 0, slots = 0;
    std::int64_t capacity = 0;  // tokens of a slot
    std::int64_t width = 0;     // floats of a token in a layer: its keys, then its values
  };
  explicit KeyValueCache(const Shape& shape);

  const Shape& shape() const { return shape_; }
  std::int64_t length(std::int64_t slot) const { return lengths_[static_cast<std::size_t>(slot)]; }
  void SetLength(std::int64_t slot, std::int64_t tokens) {
    lengths_[static_cast<std::size_t>(slot)] = tokens;
  }
  // [capacity, width] of a layer of a slot.
  float* At(std::int64_t slot, std::int64_t layer);

  // Slot i becomes what slot sources[i] was.
  void Reorder(std::span<const std::int64_t> sources);

 private:
  Shape shape_;
  std::vector<std::int64_t> lengths_;
  std::vector<std::vector<float>> slots_;  // each [layers, capacity, width]
};

}  // namespace tutti::model
