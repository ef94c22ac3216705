// Owners of what the Rust bridge hands out, and its codes as Errors. For worker/text only. Values
// of one thread.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "common/base/result.h"
#include "worker/text/bridge/bridge.h"
#include "worker/text/byte_range.h"

namespace tutti::text {

inline const std::uint8_t* BytesOf(std::string_view text) {
  return reinterpret_cast<const std::uint8_t*>(text.data());
}

class BridgeBuffer {
 public:
  BridgeBuffer() = default;
  BridgeBuffer(const BridgeBuffer&) = delete;
  BridgeBuffer& operator=(const BridgeBuffer&) = delete;
  ~BridgeBuffer() { tutti_buffer_free(&buffer_); }

  tutti_buffer* get() { return &buffer_; }
  std::string Text() const {
    if (buffer_.data == nullptr) return {};
    return std::string(reinterpret_cast<const char*>(buffer_.data), buffer_.size);
  }

 private:
  tutti_buffer buffer_{};
};

class BridgeIds {
 public:
  BridgeIds() = default;
  BridgeIds(const BridgeIds&) = delete;
  BridgeIds& operator=(const BridgeIds&) = delete;
  ~BridgeIds() { tutti_ids_free(&ids_); }

  tutti_ids* get() { return &ids_; }
  std::vector<std::uint32_t> Ids() const { return Copy(ids_.ids); }
  std::vector<std::uint32_t> TypeIds() const { return Copy(ids_.type_ids); }
  std::vector<ByteRange> Offsets() const {
    std::vector<ByteRange> offsets;
    if (ids_.offsets == nullptr) return offsets;
    offsets.reserve(ids_.size);
    for (std::size_t i = 0; i < ids_.size; ++i) {
      offsets.push_back({.from = ids_.offsets[2 * i], .to = ids_.offsets[2 * i + 1]});
    }
    return offsets;
  }

 private:
  std::vector<std::uint32_t> Copy(const std::uint32_t* from) const {
    if (from == nullptr) return {};
    return std::vector<std::uint32_t>(from, from + ids_.size);
  }
  tutti_ids ids_{};
};

// A code of bridge.h that is not TUTTI_TEXT_OK. A panic in a crate is the input's fault too: it is
// how these libraries meet what they did not expect.
inline Error BridgeError(int code, std::string what, const BridgeBuffer& error, std::string where) {
  if (code == TUTTI_TEXT_PANIC) what += "the library stopped: ";
  return Error{ErrorCode::kInvalid, std::move(what) + error.Text(), std::move(where)};
}

}  // namespace tutti::text
