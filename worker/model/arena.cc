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
  used_ = 0;
}

float* Arena::Take(std::int64_t count) {
  const std::int64_t size = (count + kAlignFloats - 1) / kAlignFloats * kAlignFloats;
  if (blocks_.empty() || used_ + size > blocks_.back().size) {
    AddBlock(std::max({size, kBlockFloats, capacity_ / 2}));
  }
  float* piece = blocks_.back().data.get() + used_;
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
  used_ = 0;
}

}  // namespace tutti::model
