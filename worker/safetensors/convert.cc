#include "worker/safetensors/convert.h"

#include <bit>
#include <cstring>
#include <string>
#include <utility>

namespace tutti::safetensors {
namespace {

// `data` may lie at any address.
template <typename From, typename To, typename Convert>
void ConvertAll(std::span<const std::byte> data, std::span<To> out, const Convert& convert) {
  for (std::size_t i = 0; i < out.size(); ++i) {
    From value;
    std::memcpy(&value, data.data() + i * sizeof(From), sizeof(From));
    out[i] = convert(value);
  }
}

Status CheckSize(const Tensor& tensor, std::size_t size) {
  if (tensor.elements() == size) return {};
  return Fail(ErrorCode::kInvalid, "tensor " + std::string(tensor.name) + " has " +
                                       std::to_string(tensor.elements()) + " elements, not " +
                                       std::to_string(size));
}

Status CannotRead(const Tensor& tensor, const char* as, std::string where = {}) {
  return Fail(ErrorCode::kUnsupported,
              "tensor " + std::string(tensor.name) + " is " + std::string(ToString(tensor.dtype)) +
                  ", which cannot be read as " + as,
              std::move(where));
}

}  // namespace

float HalfToFloat(std::uint16_t bits) {
  const std::uint32_t sign = std::uint32_t{bits & 0x8000U} << 16;
  const std::uint32_t exponent = (bits >> 10) & 0x1fU;
  const std::uint32_t mantissa = bits & 0x3ffU;
  if (exponent == 0) {  // zero or subnormal: mantissa × 2^-24
    const float magnitude = static_cast<float>(mantissa) * 0x1p-24F;
    return sign != 0 ? -magnitude : magnitude;
  }
  const std::uint32_t widened = exponent == 31 ? 255U : exponent + 112U;
  return std::bit_cast<float>(sign | (widened << 23) | (mantissa << 13));
}

float BrainToFloat(std::uint16_t bits) { return std::bit_cast<float>(std::uint32_t{bits} << 16); }

std::uint16_t FloatToHalf(float value) {
  const auto bits = std::bit_cast<std::uint32_t>(value);
  const auto sign = static_cast<std::uint16_t>((bits >> 16) & 0x8000U);
  const std::uint32_t magnitude = bits & 0x7fffffffU;
  if (magnitude > 0x7f800000U) {
    return static_cast<std::uint16_t>(sign | 0x7e00U | ((magnitude >> 13) & 0x3ffU));
  }
  if (magnitude >= 0x477ff000U) return static_cast<std::uint16_t>(sign | 0x7c00U);  // ≥ 65520
  if (magnitude < 0x38800000U) {  // below 2^-14: subnormal. Adding 0.5 rounds at 2^-24.
    const float shifted = std::bit_cast<float>(magnitude) + 0.5F;
    return static_cast<std::uint16_t>(sign | (std::bit_cast<std::uint32_t>(shifted) - 0x3f000000U));
  }
  const std::uint32_t odd = (magnitude >> 13) & 1U;
  return static_cast<std::uint16_t>(sign | ((magnitude + 0xfffU + odd - 0x38000000U) >> 13));
}

std::uint16_t FloatToBrain(float value) {
  const auto bits = std::bit_cast<std::uint32_t>(value);
  if ((bits & 0x7fffffffU) > 0x7f800000U) return static_cast<std::uint16_t>((bits >> 16) | 0x40U);
  const std::uint32_t odd = (bits >> 16) & 1U;
  return static_cast<std::uint16_t>((bits + 0x7fffU + odd) >> 16);
}

Status CheckReadsAsFloat32(const Tensor& tensor, const std::string& where) {
  const DType dtype = tensor.dtype;
  if (dtype == DType::kF32 || dtype == DType::kF16 || dtype == DType::kBF16 ||
      dtype == DType::kF64) {
    return {};
  }
  return CannotRead(tensor, "float32", where);
}

Status ToFloat32(const Tensor& tensor, std::span<float> out) {
  TUTTI_RETURN_IF_ERROR(CheckSize(tensor, out.size()));
  switch (tensor.dtype) {
    case DType::kF32:
      if (!out.empty()) std::memcpy(out.data(), tensor.data.data(), tensor.data.size());
      return {};
    case DType::kF16:
      ConvertAll<std::uint16_t>(tensor.data, out, HalfToFloat);
      return {};
    case DType::kBF16:
      ConvertAll<std::uint16_t>(tensor.data, out, BrainToFloat);
      return {};
    case DType::kF64:
      ConvertAll<double>(tensor.data, out, [](double v) { return static_cast<float>(v); });
      return {};
    case DType::kI64:
    case DType::kI32:
    case DType::kI16:
    case DType::kI8:
    case DType::kU64:
    case DType::kU32:
    case DType::kU16:
    case DType::kU8:
    case DType::kBool:
    case DType::kF8E4M3:
    case DType::kF8E5M2:
      break;
  }
  return CannotRead(tensor, "float32");
}

Status ToInt64(const Tensor& tensor, std::span<std::int64_t> out) {
  TUTTI_RETURN_IF_ERROR(CheckSize(tensor, out.size()));
  if (tensor.dtype == DType::kI64) {
    if (!out.empty()) std::memcpy(out.data(), tensor.data.data(), tensor.data.size());
    return {};
  }
  if (tensor.dtype == DType::kI32) {
    ConvertAll<std::int32_t>(tensor.data, out, [](std::int32_t v) { return std::int64_t{v}; });
    return {};
  }
  return CannotRead(tensor, "int64");
}

}  // namespace tutti::safetensors
