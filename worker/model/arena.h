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
  // The same of numbers of two bytes.
  std::uint16_t* TakeHalves(std::int64_t count) {
    return reinterpret_cast<std::uint16_t*>(Take((count + 1) / 2));
  }
  // Where the next piece begins, and back there: what was taken since is taken again.
  struct Mark {
    std::size_t block = 0;
    std::int64_t used = 0;
  };
  Mark Now() const { return {block_, used_}; }
  void Release(const Mark& mark) {
    block_ = mark.block;
    used_ = mark.used;
  }
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
  std::size_t block_ = 0;  // that pieces are taken from
  std::int64_t used_ = 0;  // of it
  std::int64_t capacity_ = 0;
};

}  // namespace tutti::model
