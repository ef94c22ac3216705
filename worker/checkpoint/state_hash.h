// SHA-256 over a training state in the order that docs/formats/checkpoint.md fixes, whatever
// attempt, gang or file it lies in. One use; one thread.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "common/digest/sha256.h"
#include "worker/checkpoint/container.h"

namespace tutti::checkpoint {

class StateHash {
 public:
  StateHash();
  // Tensors come by kind, then by name; after each its bytes, in any number of pieces.
  void Tensor(Kind kind, const std::string& name, const std::vector<std::int64_t>& shape);
  void Data(std::span<const std::byte> data) { hash_.Update(data); }
  // Last.
  Digest Finish(const Cursor& cursor);

 private:
  Sha256 hash_;
};

}  // namespace tutti::checkpoint
