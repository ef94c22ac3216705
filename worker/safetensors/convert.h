// Half-precision numbers and float32. Pure functions.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "common/base/result.h"
#include "worker/safetensors/reader.h"

namespace tutti::safetensors {

// IEEE 754 binary16, exact. Subnormals, infinities and NaN too.
float HalfToFloat(std::uint16_t bits);
// bfloat16 = the upper half of a float32, exact.
float BrainToFloat(std::uint16_t bits);
// To the nearest, ties to even; above the largest half: infinity; NaN stays NaN.
std::uint16_t FloatToHalf(float value);
std::uint16_t FloatToBrain(float value);

// kUnsupported for a type that ToFloat32 does not read; `where` names the file.
Status CheckReadsAsFloat32(const Tensor& tensor, const std::string& where);
// Fills out[0 … elements) from F32, F16, BF16 or F64. kUnsupported for other types; kInvalid when
// sizes differ.
Status ToFloat32(const Tensor& tensor, std::span<float> out);
// As ToFloat32, from I64 or I32.
Status ToInt64(const Tensor& tensor, std::span<std::int64_t> out);

}  // namespace tutti::safetensors
