// Weights from a checkpoint's directory into a flat buffer. Free functions; any thread.
#pragma once

#include <cstdint>
#include <filesystem>
#include <span>
#include <string>
#include <vector>

#include "common/base/result.h"
#include "worker/model/model.h"

namespace tutti::model {

struct LoadedWeights {
  std::vector<std::string> fresh{};    // parameters that the checkpoint lacks, in layout order
  std::vector<std::string> ignored{};  // tensors of other heads, left out, ascending
};

// Whether LoadWeights would find every parameter in its shape. It reads headers alone: what
// config.json says is believed, and memory taken for it, only after the weights say the same.
Status CheckWeights(const Model& model, const std::filesystem::path& directory);

// Fills `params` (base_layout().total() floats; gaps become zero) from model.safetensors or its
// shards, whatever float type they have. Names may come without the base's prefix, and a
// normalisation's weight and bias may be called gamma and beta (checkpoints before Transformers 1).
// Parameters with a fresh_deviation that are missing are drawn; the draws depend on `seed` and
// their name alone. kInvalid, with the tensor's name: one that is missing, is not the model's, has
// another shape, or holds NaN or infinity.
Result<LoadedWeights> LoadWeights(const Model& model, const std::filesystem::path& directory,
                                  std::uint64_t seed, std::span<float> params);

// Likewise in bfloat16, each rounded to the nearest; one tensor at a time is held as float32.
Result<LoadedWeights> LoadWeights(const Model& model, const std::filesystem::path& directory,
                                  std::uint64_t seed, std::span<std::uint16_t> params);
// Whether every tensor of a checkpoint lies in bfloat16, which then holds it without loss.
bool LiesInBf16(const std::filesystem::path& directory);

}  // namespace tutti::model
