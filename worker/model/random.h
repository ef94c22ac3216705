// Random numbers by hash: what a stream gives follows from its seed and name alone, so nothing is
// kept between draws. Pure functions; the same bits on every machine.
#pragma once

#include <cstdint>
#include <span>
#include <string_view>

namespace tutti::model {

// SplitMix64's finaliser (kernels.h) over a chain of values; the order matters.
std::uint64_t HashSeed(std::uint64_t seed, std::uint64_t value);
std::uint64_t HashSeed(std::uint64_t seed, std::string_view name);

// Draws from the normal distribution of mean 0, in order: the first n values are the same whatever
// the size of `out`.
void FillNormal(std::uint64_t seed, double deviation, std::span<float> out);
// Likewise, evenly from (−bound, bound).
void FillUniform(std::uint64_t seed, double bound, std::span<float> out);

}  // namespace tutti::model
