// Working memory of one model: pieces are taken during a forward pass and all given back at the
// next Reset, without returning to the allocator. Owned by a model; one thread at a time.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <vector>

namespace tutti::model {

class Arena {
 public:
  // `count` floats, not zeroed, aligned to 64 bytes, valid until Reset.
  float* Take(std::int64_t count);
  // Forgets every piece; what was several blocks becomes one.
  void Reset();
  // Floats of memory held.
  std::int64_t capacity() const { return capacity_; }

 private:
  struct Free {
    void operator()(float* p) const;
  };
  struct Block {
    std::unique_ptr<float, Free> data;
    std::int64_t size = 0;
  };
  void AddBlock(std::int64_t size);

  std::vector<Block> blocks_;
  std::int64_t used_ = 0;  // of the last block
  std::int64_t capacity_ = 0;
};

}  // namespace tutti::model
