// Rotary position embedding (Su et al. 2021) as transformers/modeling_rope_utils.py computes it:
// halves of a head are rotated against each other by angles that grow with the position. Values and
// pure functions.
#pragma once

#include <cstdint>
#include <nlohmann/json_fwd.hpp>
#include <vector>

#include "common/base/result.h"
#include "worker/model/config.h"

namespace tutti::model {

struct RopeConfig {
  std::vector<float> frequencies{};  // [head_dim / 2] radians a position
  float scale = 1;                   // of cosines and sines
  std::int64_t positions_max = 0;    // what more positions would mean is not built; 0: any number
};

struct RopeShape {
  std::int64_t head_dim = 0;
  std::int64_t positions = 0;  // max_position_embeddings
};

// `json` is config.json's object: rope_parameters of Transformers 5, or rope_theta and
// rope_scaling of 4; both where they say the same. kUnsupported names the kinds that are there.
Result<RopeConfig> ParseRope(const nlohmann::json& json, const std::string& path,
                             const RopeShape& shape);

// Cosines and sines by position, as far as they were asked for.
class RopeTable {
 public:
  explicit RopeTable(RopeConfig config) : config_(std::move(config)) {}

  void Reserve(std::int64_t positions);
  // Rotates `heads` heads that lie one behind the other, or back by the same angles (which is the
  // gradient). REQUIRES: Reserve above `position`.
  void Rotate(std::int64_t position, std::int64_t heads, float* x) const {
    Turn(position, heads, x, 1);
  }
  void RotateBack(std::int64_t position, std::int64_t heads, float* x) const {
    Turn(position, heads, x, -1);
  }

 private:
  void Turn(std::int64_t position, std::int64_t heads, float* x, float direction) const;

  RopeConfig config_;
  std::int64_t positions_ = 0;
  std::vector<float> cosines_, sines_;  // [positions, head_dim / 2]
};

}  // namespace tutti::model
