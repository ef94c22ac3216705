// The part of config.json that BERT and what was made from it have, checked: DistilBERT and RoBERTa
// are its layers under other names. Values.
#pragma once

#include <cstdint>
#include <string>

#include "common/base/result.h"
#include "worker/model/config.h"
#include "worker/model/kernels.h"
#include "worker/model/parameters.h"

namespace tutti::model {

// What a family calls its parameters: below `base`, but for the head's two layers.
struct BertNames {
  CheckpointNames checkpoint{};
  std::string layer{};         // "encoder.layer."
  std::string projections[3];  // query, key, value of a layer
  std::string attention_out{}, attention_norm{}, up{}, down{}, out_norm{};
  std::string pooler{}, classifier{};
};

struct BertConfig {
  std::int64_t vocabulary = 30522;  // V
  std::int64_t hidden = 768;        // H
  std::int64_t layers = 12;
  std::int64_t heads = 12;
  std::int64_t intermediate = 3072;  // I
  std::int64_t positions = 512;
  std::int64_t types = 2;       // 0: no embedding of types
  std::int64_t padding_id = 0;  // -1: none
  std::int64_t labels = 2;      // L
  Activation activation = Activation::kGelu;
  Activation pooler_activation = Activation::kTanh;
  // RoBERTa: positions count the ids that are not padding_id, from padding_id + 1 on.
  bool positions_by_id = false;
  float norm_epsilon = 1e-12F;
  float hidden_dropout = 0.1F;
  float attention_dropout = 0.1F;
  float attention_out_dropout = 0.1F;
  float pooler_dropout = 0;  // of its input
  float classifier_dropout = 0.1F;
  double initializer_range = 0.02;

  BertNames names{};

  std::int64_t head_dim() const { return hidden / heads; }
};

// kInvalid for values that make no model, kUnsupported for options that Tutti does not build.
Result<BertConfig> ParseBertConfig(const ModelConfig& config);
Result<BertConfig> ParseDistilBertConfig(const ModelConfig& config);
Result<BertConfig> ParseRobertaConfig(const ModelConfig& config);

}  // namespace tutti::model
