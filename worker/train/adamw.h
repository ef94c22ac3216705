// AdamW (Loshchilov and Hutter 2019) as torch.optim.AdamW computes it, on slices of flat buffers.
// Each element depends on itself alone, so slices may be cut anywhere. Pure; any thread, each slice
// once.
#pragma once

#include <cstdint>
#include <span>

#include "worker/train/decay.h"

namespace tutti::train {

struct AdamWOptions {
  double learning_rate = 0;
  double beta1 = 0.9;
  double beta2 = 0.999;
  double epsilon = 1e-8;
  double weight_decay = 0;
  std::int64_t step = 1;    // counted from 1
  double grad_scale = 1.0;  // clipping's factor (norm.h)
};

// Elements [begin, end) of flat buffers.
struct AdamWSlice {
  std::int64_t begin = 0, end = 0;
  float* params = nullptr;
  const float* grads = nullptr;
  float* first = nullptr;   // m
  float* second = nullptr;  // v
};

// Weights × (1 − lr·wd) where `segments` say so, then the bias-corrected step.
void AdamWStep(const AdamWOptions& options, std::span<const DecaySegment> segments,
               const AdamWSlice& slice);

}  // namespace tutti::train
