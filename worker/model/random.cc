#include "worker/model/random.h"

#include <cmath>
#include <numbers>

#include "worker/model/kernels.h"

namespace tutti::model {
namespace {

// ln x for x in (0, 1], from operations that IEEE 754 rounds exactly: the C library's differs
// between CPUs in the last bit. x = m·2^e with m in [√½, √2); ln m = 2·artanh((m − 1) / (m + 1)).
double ExactLog(double x) {
  int exponent = 0;
  double m = std::frexp(x, &exponent);
  if (m < std::numbers::sqrt2 / 2) {
    m *= 2;
    --exponent;
  }
  const double z = (m - 1) / (m + 1);
  const double square = z * z;
  double series = 0;
  for (int k = 21; k >= 1; k -= 2) series = series * square + 1.0 / k;
  return 2 * z * series + exponent * std::numbers::ln2;
}

// In (−1, 1), 53 bits.
double Symmetric(std::uint64_t bits) {
  return (static_cast<double>(bits >> 11) + 0.5) * 0x1p-52 - 1.0;
}

}  // namespace

std::uint64_t HashSeed(std::uint64_t seed, std::uint64_t value) {
  return MixBits(MixBits(seed) ^ value);
}

std::uint64_t HashSeed(std::uint64_t seed, std::string_view name) {
  std::uint64_t hash = MixBits(seed) ^ name.size();
  for (const char c : name) hash = MixBits(hash ^ static_cast<unsigned char>(c));
  return hash;
}

void FillUniform(std::uint64_t seed, double bound, std::span<float> out) {
  for (std::size_t i = 0; i < out.size(); ++i) {
    out[i] = static_cast<float>(bound * Symmetric(HashSeed(seed, i)));
  }
}

// Marsaglia's polar method: two values of each point within the unit circle.
void FillNormal(std::uint64_t seed, double deviation, std::span<float> out) {
  std::uint64_t counter = 0;
  for (std::size_t i = 0; i < out.size();) {
    const double x = Symmetric(HashSeed(seed, counter));
    const double y = Symmetric(HashSeed(seed, counter + 1));
    counter += 2;
    const double square = x * x + y * y;
    if (square >= 1) continue;
    const double factor = deviation * std::sqrt(-2 * ExactLog(square) / square);
    out[i++] = static_cast<float>(x * factor);
    if (i < out.size()) out[i++] = static_cast<float>(y * factor);
  }
}

}  // namespace tutti::model
