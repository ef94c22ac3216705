// What a pre-norm decoder is made of: GPT-2, Llama, Mistral and Qwen2 differ in these values alone.
// Each family's file fills one in from config.json. Values.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "worker/model/config.h"
#include "worker/model/kernels.h"
#include "worker/model/parameters.h"
#include "worker/model/rope.h"

namespace tutti::model {

// What a family calls its parameters: below the checkpoint's base, but for `head`.
struct DecoderNames {
  CheckpointNames checkpoint{};
  std::string embedding{}, position{};  // position: learned ones
  std::string layer{};                  // "layers."
  std::string attention_norm{}, mlp_norm{}, final_norm{};
  std::vector<std::string> projections{};  // one for q, k and v together, or three
  std::string attention_out{}, gate{}, up{}, down{};
  std::string head{};
};

struct DecoderConfig {
  Head head = Head::kCausalLm;
  std::int64_t vocabulary = 32000;    // V
  std::int64_t hidden = 4096;         // H
  std::int64_t intermediate = 11008;  // I
  std::int64_t layers = 32;
  std::int64_t heads = 32, kv_heads = 32;
  std::int64_t head_dim = 128;
  std::int64_t labels = 2;     // of a classifier
  std::int64_t positions = 0;  // tokens of a row at most; 0: any number
  bool tied = false;           // the output layer is the embedding
  bool rms_norm = true;        // else LayerNorm with a bias
  bool gated = true;           // down(f(gate(x)) · up(x)), else down(f(up(x)))
  bool input_major = false;    // weights are [in, out]
  bool projection_bias = false, attention_out_bias = false, mlp_bias = false;
  Activation activation = Activation::kSilu;
  float norm_epsilon = 1e-6F;
  float embedding_dropout = 0, attention_dropout = 0, residual_dropout = 0;
  double initializer_range = 0.02;
  std::int64_t padding_row = -1;             // of the embedding
  std::optional<std::int64_t> padding_id{};  // a classifier reads the last token of another id
  std::optional<RopeConfig> rope{};          // none: learned positions
  std::vector<float> scales{};               // [layers] of attention
  std::vector<std::int64_t> windows{};       // [layers] 0: none
  DecoderNames names{};

  std::int64_t head_size() const { return head == Head::kCausalLm ? vocabulary : labels; }
  std::int64_t q_width() const { return heads * head_dim; }
  std::int64_t kv_width() const { return kv_heads * head_dim; }
};

}  // namespace tutti::model
