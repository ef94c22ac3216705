// The global gradient norm, the same bits however the buffer is sliced: blocks of 65,536 elements
// are summed in double, each alone, and the blocks' sums are added in order of index. Pure.
#pragma once

#include <cstdint>
#include <span>

#include "worker/model/parameters.h"

namespace tutti::train {

inline constexpr std::int64_t kNormBlock = model::ParameterLayout::kBlock;

// Σ x² of every block of `values` (a multiple of kNormBlock long) into `sums`.
void BlockSquareSums(std::span<const float> values, std::span<double> sums);

// sqrt of the sum over all blocks in order of index. NaN or infinite exactly when some element is:
// squares of finite floats cannot overflow a double.
double NormOfBlocks(std::span<const double> sums);

// min(1, max_norm / (norm + 1e-6)), as torch.nn.utils.clip_grad_norm_; 1 when max_norm is 0 (off).
double ClipScale(double norm, double max_norm);

}  // namespace tutti::train
