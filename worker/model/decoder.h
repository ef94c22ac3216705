// A pre-norm decoder with a language model's or a classifier's head: GPT-2, Llama, Mistral, Qwen2
// (gpt2.cc, llama.cc, mistral.cc, qwen2.cc fill in what differs), with a backward pass written out.
//
// Only real tokens are computed: a micro-batch's documents are laid one behind the other without
// their padding, and each attends to itself alone. A language model's logits are computed some rows
// at a time where only the loss is asked for. One thread at a time.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "worker/model/arena.h"
#include "worker/model/decoder_config.h"
#include "worker/model/kernels.h"
#include "worker/model/language_model.h"
#include "worker/model/model.h"
#include "worker/model/packed_rows.h"
#include "worker/model/rope.h"

namespace tutti::model {

Result<std::unique_ptr<Model>> MakeGpt2(const ModelConfig& config);
Result<std::unique_ptr<Model>> MakeLlama(const ModelConfig& config);
Result<std::unique_ptr<Model>> MakeMistral(const ModelConfig& config);
Result<std::unique_ptr<Model>> MakeQwen2(const ModelConfig& config);

class Decoder final : public Model, public LanguageModel {
 public:
  Decoder(ModelConfig config, const DecoderConfig& decoder);

  Result<at::Tensor> Forward(const Batch& batch, const ForwardOptions& options) override;
  using Model::Backward;
  void Backward(const at::Tensor& grad_logits, const GradientsFinal& on_final) override;
  at::Tensor Hidden() const override;
  LanguageModel* language() override { return d_.head == Head::kCausalLm ? this : nullptr; }
  std::int64_t WorkingFloats() const override { return arena_.capacity(); }

  Status ForwardTokens(const Batch& batch, const ForwardOptions& options) override;
  TokenScores Score(const ScoreOptions& options) override;
  void BackwardTokens(const GradientsFinal& on_final) override;
  KeyValueCache MakeCache(std::int64_t slots, std::int64_t capacity) const override;
  Result<at::Tensor> Extend(std::span<const Continuation> continuations,
                            KeyValueCache& cache) override;

 private:
  // A linear layer: offsets of its weight and its bias (-1: none).
  struct Affine {
    std::int64_t weight = 0, bias = -1, in = 0, out = 0;
    bool input_major = false;
  };
  struct NormParameters {
    std::int64_t weight = 0, bias = -1;
  };
  struct LayerParameters {
    NormParameters attention_norm{};
    std::vector<Affine> projections{};  // side by side they give q, k, v
    Affine attention_out{};
    NormParameters mlp_norm{};
    Affine gate{}, up{}, down{};
  };
  // What branch_ lacks to be what the stream takes in.
  struct Branch {
    std::int64_t bias = -1;
    Dropout dropout{};
  };
  struct NormState {
    float* out = nullptr;         // [N, H]
    float* normalised = nullptr;  // [N, H]
    float* inverse = nullptr;     // [N]
    Dropout dropout{};            // of the branch that came in, and its bias
    std::int64_t bias = -1;
  };
  // What a layer keeps for backward; qkv is [N, q_width + 2 · kv_width].
  struct LayerState {
    NormState attention_norm{};
    float* qkv = nullptr;
    float* probabilities = nullptr;
    float* context = nullptr;  // [N, q_width]
    NormState mlp_norm{};
    float* slope = nullptr;    // [N, I] derivative of the activation
    float* active = nullptr;   // [N, I]
    float* up = nullptr;       // [N, I] where gated
    float* product = nullptr;  // [N, I] active · up where gated, else active
  };
  // What a layer's forward pass is computed anew from, where its state was not kept.
  struct LayerInput {
    float* stream = nullptr;  // [N, H] with the branch taken in; of the first layer: none
    Branch branch{};          // the one taken in
  };
  // Tokens that attend to each other: `queries` from `begin` on, behind `cached` ones.
  struct Document {
    std::int64_t begin = 0, queries = 0, cached = 0;
    std::int64_t keys() const { return cached + queries; }
  };
  // Of the residual stream and of the branch that it took in last; [N, H] each.
  struct StreamGradients {
    float* sum = nullptr;
    float* dropped = nullptr;       // room for the branch's where dropout made them differ
    const float* branch = nullptr;  // one of the two
    bool any = false;               // `sum` holds some
  };
  struct GradientRows {
    const float* rows = nullptr;
    std::int64_t stride = 0;
  };

  // ---- decoder.cc: parameters and the forward pass ----
  void AddParameters();
  Affine AddAffine(const std::string& name, std::int64_t out, std::int64_t in, bool bias);
  NormParameters AddNorm(const std::string& name);
  void Begin(const ForwardOptions& options);
  NormState TakeNorm();
  void LayersForward();
  Branch EmbedForward();
  void NormForward(const NormParameters& at, const Branch& branch, NormState& state);
  Branch AttentionForwardLayer(std::int64_t index, LayerState& state);
  void AttendDocuments(std::int64_t index, LayerState& state);
  void MlpInner(std::int64_t index, LayerState& state);  // but for its last product
  Branch MlpForward(std::int64_t index, LayerState& state);
  void KeepInput(std::int64_t index, const Branch& branch);
  // What linear layers read, [N, columns].
  LinearInput Input(const float* x, std::int64_t columns);
  void Apply(const Affine& affine, const LinearInput& x, float* y, std::int64_t stride);
  void Rotate(float* qkv, bool back) const;
  Status PackContinuations(std::span<const Continuation> continuations, const KeyValueCache& cache);
  AttentionShape ShapeOf(std::int64_t index, std::int64_t queries, std::int64_t keys) const;
  Document DocumentAt(std::int64_t index) const;
  Dropout DropoutOf(std::int64_t layer, int place, float probability) const;
  std::int64_t qkv_width() const { return d_.q_width() + 2 * d_.kv_width(); }

  // ---- decoder_backward.cc ----
  LayerState& StateForBackward(std::int64_t index);
  void LayersBackward(const float* grad_hidden, const GradientsFinal& on_final);
  void NormBackward(const NormParameters& at, const NormState& state, const float* grad_out,
                    StreamGradients& gradients);
  float* AttentionBackwardLayer(std::int64_t index, LayerState& state, const float* grad_branch,
                                const GradientsFinal& on_final);
  void AttendDocumentsBackward(std::int64_t index, const LayerState& state, float* grad_context,
                               float* grad_qkv);
  float* MlpBackward(std::int64_t index, LayerState& state, const float* grad_branch,
                     const GradientsFinal& on_final);
  // dx = gradient of x, or added to it, and the weight's.
  void ApplyBackward(const Affine& affine, const LinearInput& x, const GradientRows& grad,
                     float* dx, bool add);
  void EmbedBackward(const float* grad);

  // ---- decoder_head.cc ----
  // These rows of the last hidden states, one behind the other in `out`.
  const float* Gather(std::span<const std::int64_t> rows, float* out) const;
  WeightPlace ConvertedHead();
  void HeadForward(const WeightPlace& head, const float* rows, std::int64_t count, float* logits);
  void HeadBackward(const WeightPlace& head, std::span<const std::int64_t> at, const float* rows,
                    const float* grad, float* grad_rows);
  void ScoreRows(std::span<const std::int64_t> rows, const ScoreOptions& options, float* logits,
                 TokenScores& scores) const;
  std::size_t DocumentOf(std::int64_t row, std::size_t from) const;
  void TakeGradHidden();
  std::int64_t LastToken(std::int64_t document) const;

  bool Checkpoints() const { return options_.training && gradient_checkpointing_; }
  LayerState& StateOf(std::int64_t index) {
    return states_[states_.size() > 1 ? static_cast<std::size_t>(index) : 0];
  }
  // Of the micro-batch's dropout; 0: none acts.
  std::uint64_t DropoutKey() const {
    return options_.training && options_.dropout ? options_.seed | 1 : 0;
  }

  DecoderConfig d_;
  const Kernels& kernels_;
  std::int64_t embedding_ = 0, position_ = 0;
  std::vector<LayerParameters> layers_;
  NormParameters final_norm_;
  std::int64_t head_ = 0;  // weight of the output layer; the embedding's where they are one
  RopeTable rope_;

  Arena arena_;
  ForwardOptions options_;
  PackedRows packed_;
  KeyValueCache* cache_ = nullptr;   // while Extend runs
  std::vector<std::int64_t> slots_;  // of the documents then
  float* stream_ = nullptr;          // [N, H] the residual stream
  bool stream_holds_ = false;        // something
  float* branch_ = nullptr;          // [N, H] what it takes in next
  std::vector<LayerState> states_;   // of every layer in training, else one for all
  std::vector<LayerInput> inputs_;   // of every layer with gradient checkpointing
  NormState final_;
  float* scratch_ = nullptr;             // attention's
  std::vector<std::int64_t> head_rows_;  // of the hidden states that logits were computed of
  const float* head_in_ = nullptr;       // these rows
  float* grad_hidden_ = nullptr;         // [N, H]
};

}  // namespace tutti::model
