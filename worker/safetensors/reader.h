// Reads a safetensors file through mmap: nothing is copied, nothing trusted. A File and its copies
// share the mapping, which lives as long as any of them; reading is safe from any thread. A file
// that is cut short while mapped kills the reader (SIGBUS): map only files that are not written any
// more.
#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <map>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "common/base/result.h"
#include "worker/safetensors/header.h"

namespace tutti::safetensors {

// Points into the mapping of the File it came from. `data` need not be aligned.
struct Tensor {
  std::string_view name;
  DType dtype = DType::kF32;
  std::span<const std::int64_t> shape;
  std::span<const std::byte> data;

  std::size_t elements() const { return data.size() / SizeOf(dtype); }
};

class File {
 public:
  // Errors: kNotFound, kIo, kInvalid, kTooLarge; they name the path. Costs the header, not the
  // data.
  static Result<File> Open(const std::filesystem::path& path);

  std::size_t size() const { return header_->tensors.size(); }
  // By ascending names.
  Tensor at(std::size_t index) const;
  // kNotFound names tensor and file.
  Result<Tensor> Find(std::string_view name) const;
  bool Contains(std::string_view name) const;
  const std::map<std::string, std::string>& metadata() const { return header_->metadata; }
  const std::filesystem::path& path() const { return path_; }

 private:
  class Mapping;
  File(std::filesystem::path path, std::shared_ptr<const Mapping> mapping, Header header,
       std::size_t data_start);

  std::filesystem::path path_;
  std::shared_ptr<const Mapping> mapping_;
  std::shared_ptr<const Header> header_;
  std::size_t data_start_ = 0;
};

}  // namespace tutti::safetensors
