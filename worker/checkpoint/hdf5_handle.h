// An HDF5 id and the function that closes it. For worker/checkpoint only; one thread.
#pragma once

#include <hdf5.h>

#include <string>
#include <utility>

#include "common/base/result.h"

namespace tutti::checkpoint {

class Hdf5Handle {
 public:
  using CloseFunction = herr_t (*)(hid_t);
  Hdf5Handle() = default;
  Hdf5Handle(hid_t id, CloseFunction close) : id_(id), close_(close) {}
  Hdf5Handle(Hdf5Handle&& other) noexcept
      : id_(std::exchange(other.id_, -1)), close_(other.close_) {}
  Hdf5Handle& operator=(Hdf5Handle&& other) noexcept {
    if (this != &other) {
      Close();
      id_ = std::exchange(other.id_, -1);
      close_ = other.close_;
    }
    return *this;
  }
  ~Hdf5Handle() { Close(); }

  hid_t get() const { return id_; }
  explicit operator bool() const { return id_ >= 0; }
  // False when HDF5 says that closing failed.
  bool Close() {
    const hid_t id = std::exchange(id_, -1);
    return id < 0 || close_(id) >= 0;
  }

 private:
  hid_t id_ = -1;
  CloseFunction close_ = nullptr;
};

// What HDF5's error stack of this thread says first, then empties it.
inline std::string TakeHdf5Problem() {
  std::string text;
  H5Ewalk2(
      H5E_DEFAULT, H5E_WALK_UPWARD,
      [](unsigned depth, const H5E_error2_t* error, void* out) -> herr_t {
        if (depth == 0 && error->desc != nullptr) *static_cast<std::string*>(out) = error->desc;
        return 0;
      },
      &text);
  H5Eclear2(H5E_DEFAULT);
  return text.empty() ? "no reason given" : text;
}

}  // namespace tutti::checkpoint
