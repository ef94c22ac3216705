// BERT with a classification head (BertForSequenceClassification): Devlin et al. 2018, as
// transformers/models/bert/modeling_bert.py computes it, with a backward pass written out; and
// DistilBERT (Sanh et al. 2019) and RoBERTa (Liu et al. 2019), which are its layers with another
// head (modeling_distilbert.py, modeling_roberta.py).
//
// Only real tokens are computed: a micro-batch's rows are laid one behind the other without their
// padding, and the last layer is computed for the rows' first token alone, which is all that the
// head reads (exact: nothing else depends on the rest). One thread at a time.
#pragma once

#include <algorithm>
#include <cstdint>
#include <memory>
#include <span>
#include <vector>

#include "worker/model/arena.h"
#include "worker/model/bert_config.h"
#include "worker/model/kernels.h"
#include "worker/model/model.h"

namespace tutti::model {

Result<std::unique_ptr<Model>> MakeBert(const ModelConfig& config);
Result<std::unique_ptr<Model>> MakeDistilBert(const ModelConfig& config);
Result<std::unique_ptr<Model>> MakeRoberta(const ModelConfig& config);

class Bert final : public Model {
 public:
  Bert(ModelConfig config, const BertConfig& bert);

  Result<at::Tensor> Forward(const Batch& batch, const ForwardOptions& options) override;
  using Model::Backward;
  void Backward(const at::Tensor& grad_logits, const GradientsFinal& on_final) override;
  at::Tensor Hidden() const override;
  std::int64_t WorkingFloats() const override { return arena_.capacity(); }

 private:
  // Offsets of a weight and its bias.
  struct Affine {
    std::int64_t weight = 0, bias = 0;
  };
  struct LayerParameters {
    Affine qkv[3];  // query, key, value
    Affine attention_out, attention_norm, up, down, out_norm;
  };
  // What a normalisation keeps for backward.
  struct NormState {
    float* out = nullptr;         // [rows, H]
    float* normalised = nullptr;  // [rows, H]
    float* inverse = nullptr;     // [rows]
  };
  // What a layer keeps for backward. M = positions computed: all N tokens, or in the last layer the
  // B first ones; `queries` is then their input apart from `input`.
  struct LayerState {
    std::int64_t M = 0;
    bool first_only = false;
    const float* input = nullptr;    // [N, H]
    const float* queries = nullptr;  // [M, H]
    float* q = nullptr;              // [M, ·] with stride q_stride
    float* k = nullptr;              // [N, ·] with stride kv_stride; v lies H behind
    std::int64_t q_stride = 0, kv_stride = 0;
    float* probabilities = nullptr;
    float* context = nullptr;  // [M, H]
    NormState middle;          // after attention
    float* slope = nullptr;    // [M, I] derivative of the activation
    float* active = nullptr;   // [M, I]
    NormState out;             // the layer's output
  };
  // The packed micro-batch.
  struct Packed {
    std::int64_t B = 0, T = 0, N = 0;
    std::vector<std::int64_t> begin{};                      // [B + 1] first token of each row
    std::vector<std::int64_t> ids{}, types{}, positions{};  // [N]
    std::vector<std::int64_t> columns{};  // [N] where in its row each token stands
  };

  void AddParameters();
  Affine AddAffine(const std::string& name, std::int64_t out, std::int64_t in, bool head = false);
  Affine AddNorm(const std::string& name);

  Status Pack(const Batch& batch);
  Status PackRow(const Batch& batch, std::int64_t row);
  void EmbedForward();
  void LayersForward();
  void LayerForward(std::int64_t index, const float* input);
  void AttentionForwardRows(std::int64_t index, LayerState& state);
  void HeadForward(float* logits);
  NormState NormForward(const Affine& at, std::int64_t rows, const float* in, std::int64_t in_bias,
                        const float* residual, const Dropout& dropout);

  float* HeadBackward(const float* grad_logits);
  float* LayerBackward(std::int64_t index, const float* grad_out, const GradientsFinal& on_final);
  float* AttentionBackwardRows(std::int64_t index, LayerState& state, float* grad_context,
                               float* grad_queries_input);
  // Gradient of `in` (before dropout) as `in`, of the residual as `sum`; bias_offset -1: none.
  struct NormGradients {
    float* sum = nullptr;
    float* in = nullptr;
  };
  NormGradients NormBackward(const Affine& at, std::int64_t rows, const NormState& state,
                             const float* grad_out, std::int64_t bias_offset,
                             const Dropout& dropout);
  void EmbedBackward(float* grad);

  // Projections [from, to) of q, k, v side by side in `out`, with their biases.
  void Project(const LayerParameters& p, int from, int to, std::int64_t rows, const float* x,
               float* out, std::int64_t stride);
  // dx += grad · w and the gradients of weights and biases. add: dx is added to.
  void ProjectBackward(const LayerParameters& p, int from, int to, std::int64_t rows,
                       const float* x, const float* grad, std::int64_t stride, float* dx, bool add);

  // Whether q, k and v lie side by side: not where one of them is trained apart.
  bool Fused(const LayerParameters& p) const {
    return fused_qkv_ && (!adapter_ || std::ranges::none_of(p.qkv, [this](const Affine& one) {
             return adapter_->PlaceOf(one.weight).has_value();
           }));
  }
  bool Checkpoints() const { return options_.training && gradient_checkpointing_; }
  // Of the micro-batch's dropout; 0: none acts.
  std::uint64_t DropoutKey() const {
    return options_.training && options_.dropout ? options_.seed | 1 : 0;
  }
  Dropout DropoutOf(std::int64_t layer, int place, float probability) const;
  AttentionShape ShapeOf(std::int64_t row, const LayerState& state) const;

  BertConfig bert_;
  const Kernels& kernels_;
  std::int64_t word_ = 0, position_ = 0, type_ = 0;
  Affine embedding_norm_, pooler_, classifier_;
  std::vector<LayerParameters> layers_;
  bool fused_qkv_ = false;  // q, k and v lie without gaps: one product for all

  Arena arena_;
  ForwardOptions options_;
  Packed packed_;
  NormState embedded_;
  std::vector<LayerState> states_;
  // With gradient checkpointing: what each layer but the first reads, [N, H]; the states of all but
  // the last are made anew from it.
  std::vector<float*> inputs_;
  Arena::Mark last_layer_;            // where the last layer's state begins
  float* grad_kept_ = nullptr;        // [N, H] between layers
  float* scratch_ = nullptr;          // attention's
  const float* pooler_in_ = nullptr;  // [B, H] after dropout
  float* pooler_slope_ = nullptr;     // [B, H]
  float* pooled_ = nullptr;           // [B, H] after dropout
};

}  // namespace tutti::model
