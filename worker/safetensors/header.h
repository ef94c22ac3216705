// The JSON header of a safetensors file: read with every check, and written deterministically. Pure
// functions.
#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "common/base/result.h"
#include "worker/safetensors/dtype.h"

namespace tutti::safetensors {

// Limits that no real model meets and that keep a hostile header cheap: it is refused after at most
// this much reading.
inline constexpr std::size_t kHeaderBytesMax = std::size_t{8} << 20;
inline constexpr std::size_t kTensorsMax = 32'768;
inline constexpr std::size_t kMetadataEntriesMax = 4'096;
inline constexpr std::size_t kDimensionsMax = 8;

struct TensorEntry {
  std::string name;
  DType dtype = DType::kF32;
  std::vector<std::int64_t> shape;  // empty: a scalar
  std::size_t from = 0;             // bytes, relative to the end of the header
  std::size_t to = 0;
};

struct Header {
  std::map<std::string, std::string> metadata;
  std::vector<TensorEntry> tensors;  // ascending names
};

// `json`: the header alone; `data_size`: bytes after it. Checked: names are unique, element count ×
// size = to − from without overflow, tensors cover the data exactly, without overlap or hole.
// Errors: kInvalid, kTooLarge; `where` names the file.
Result<Header> ParseHeader(std::string_view json, std::size_t data_size, const std::string& where);

// Element count of a shape × element size; kInvalid when negative or above 2^62.
Result<std::size_t> TensorBytes(DType dtype, const std::vector<std::int64_t>& shape);

// Compact JSON in the order of `tensors`, `__metadata__` first, padded with spaces so that 8 + its
// size is a multiple of 8.
std::string FormatHeader(const Header& header);

}  // namespace tutti::safetensors
