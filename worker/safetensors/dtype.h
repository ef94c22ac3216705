// Element types of safetensors files. Pure values.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string_view>

namespace tutti::safetensors {

// Tutti computes with the first four and kI64; the others are carried as bytes.
enum class DType : std::uint8_t {
  kF32,
  kF16,
  kBF16,
  kF64,
  kI64,
  kI32,
  kI16,
  kI8,
  kU64,
  kU32,
  kU16,
  kU8,
  kBool,
  kF8E4M3,
  kF8E5M2,
};

// The name in files: "F32", "BF16", "F8_E4M3", …
std::string_view ToString(DType dtype);
std::optional<DType> ParseDType(std::string_view name);
// Bytes of one element: 1, 2, 4 or 8.
std::size_t SizeOf(DType dtype);

}  // namespace tutti::safetensors
