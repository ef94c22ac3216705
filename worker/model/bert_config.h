// BERT's part of config.json, checked. A value.
#pragma once

#include <cstdint>

#include "common/base/result.h"
#include "worker/model/config.h"
#include "worker/model/kernels.h"

namespace tutti::model {

struct BertConfig {
  std::int64_t vocabulary = 30522;  // V
  std::int64_t hidden = 768;        // H
  std::int64_t layers = 12;
  std::int64_t heads = 12;
  std::int64_t intermediate = 3072;  // I
  std::int64_t positions = 512;
  std::int64_t types = 2;
  std::int64_t padding_id = 0;  // -1: none
  std::int64_t labels = 2;      // L
  Activation activation = Activation::kGelu;
  float norm_epsilon = 1e-12F;
  float hidden_dropout = 0.1F;
  float attention_dropout = 0.1F;
  float classifier_dropout = 0.1F;
  double initializer_range = 0.02;

  std::int64_t head_dim() const { return hidden / heads; }
};

// kInvalid for values that make no model, kUnsupported for options that Tutti does not build.
Result<BertConfig> ParseBertConfig(const ModelConfig& config);

}  // namespace tutti::model
