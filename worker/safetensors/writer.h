// Writes safetensors files: the same tensors give the same bytes, and a file exists whole or not at
// all. Free functions.
#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <map>
#include <span>
#include <string>
#include <vector>

#include "common/base/result.h"
#include "common/base/units.h"
#include "common/digest/sha256.h"
#include "worker/safetensors/dtype.h"

namespace tutti::safetensors {

struct TensorToWrite {
  std::string name;
  DType dtype = DType::kF32;
  std::vector<std::int64_t> shape;
  std::span<const std::byte> data;  // borrowed until Write returns
};

struct WriteOptions {
  std::map<std::string, std::string> metadata = {{"format", "pt"}};
  bool durable = true;  // fdatasync the file and fsync its folder
};

struct Written {
  Digest digest;  // of the whole file
  Bytes size;
};

// Temp file → write → fdatasync → rename. Tensors lie in order of their names (of several element
// sizes: the larger first, so that all are aligned). Errors: kInvalid for a name given twice or a
// size that is not its shape's; kDiskFull, kIo: then `path` is as it was.
Result<Written> Write(const std::filesystem::path& path, std::vector<TensorToWrite> tensors,
                      const WriteOptions& options = {});

}  // namespace tutti::safetensors
