#include "worker/model/arena.h"

#include <algorithm>
#include <new>

namespace tutti::model {
namespace {

constexpr std::int64_t kAlignFloats = 16;
constexpr std::int64_t kBlockFloats = 1 << 20;
constexpr std::align_val_t kAlignment{64};

}  // namespace

void Arena::Free::operator()(float* p) const { ::operator delete[](p, kAlignment); }

void Arena::AddBlock(std::int64_t size) {
  const auto bytes = static_cast<std::size_t>(size) * sizeof(float);
  blocks_.push_back(
      {std::unique_ptr<float, Free>(static_cast<float*>(::operator new[](bytes, kAlignment))),
       size});
  capacity_ += size;
}

float* Arena::Take(std::int64_t count) {
  const std::int64_t size = (count + kAlignFloats - 1) / kAlignFloats * kAlignFloats;
  while (block_ < blocks_.size() && used_ + size > blocks_[block_].size) {
    ++block_;
    used_ = 0;
  }
  if (block_ == blocks_.size()) AddBlock(std::max({size, kBlockFloats, capacity_ / 2}));
  float* piece = blocks_[block_].data.get() + used_;
  used_ += size;
  return piece;
}

void Arena::Reset() {
  if (blocks_.size() > 1) {
    const std::int64_t whole = capacity_;
    blocks_.clear();
    capacity_ = 0;
    AddBlock(whole);
  }
  block_ = 0;
  used_ = 0;
}

}  // namespace tutti::model
