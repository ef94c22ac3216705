// A trainable model over flat buffers that others own: where its parameters lie, its forward pass
// and the gradients. One virtual seam, one class per kind of network (bert.h, decoder.h). A model
// belongs to one thread.
#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "common/base/result.h"
#include "worker/model/adapter.h"
#include "worker/model/arena.h"
#include "worker/model/bfloat16.h"
#include "worker/model/config.h"
#include "worker/model/parameters.h"

namespace tutti::model {

inline constexpr std::int64_t kIgnoreLabel = -100;

// One padded micro-batch, row-major. Rows may be padded anywhere; an encoder's not in their first
// column.
struct Batch {
  std::int64_t rows = 0;                       // B
  std::int64_t columns = 0;                    // T
  std::vector<std::int64_t> input_ids{};       // [B, T]
  std::vector<std::int64_t> attention_mask{};  // [B, T] 1 = a token; empty: every place is one
  std::vector<std::int64_t> type_ids{};        // [B, T]; empty: zeros
  // [B, T] which of the documents that share a row a token belongs to; none sees another. Empty:
  // a row is one document. Decoders only.
  std::vector<std::int64_t> documents{};
  // [B] class ids, kIgnoreLabel = none; of a language model [B, T], each the token at its place,
  // which is what the place before it is to predict.
  std::vector<std::int64_t> labels{};
  std::vector<float> weights{};  // [B, T] of a language model's labels; empty: 1
  std::vector<float> targets{};  // [B, L] multi-label or regression; else empty
};

struct ForwardOptions {
  bool training = false;     // dropout acts, and what Backward needs is kept
  std::uint64_t seed = 0;    // of this micro-batch's dropout
  bool want_hidden = false;  // hidden() is asked for: every position of the last layer is computed
  bool dropout = true;       // of training; false: none acts
  bool base_alone = false;   // the weights of BindBase, without what is trained; not of training
};

// Told during a backward pass: the gradients at offset `from` and beyond are final. It falls from
// call to call and is 0 in the last one.
using GradientsFinal = std::function<void(std::int64_t from)>;

class LanguageModel;

class Model {
 public:
  explicit Model(ModelConfig config) : config_(std::move(config)) {}
  virtual ~Model() = default;
  Model(const Model&) = delete;
  Model& operator=(const Model&) = delete;

  const ModelConfig& config() const { return config_; }
  // Of the parameters that are trained: all, or an adapter's.
  const ParameterLayout& layout() const { return adapter_ ? adapter_->layout() : layout_; }
  // Of the checkpoint's own.
  const ParameterLayout& base_layout() const { return layout_; }
  const CheckpointNames& checkpoint_names() const { return checkpoint_names_; }

  // Gives the model an adapter: from here on it alone is trained. Errors are Adapter::Make's.
  Status Adapt(const LoraOptions& options);
  const Adapter* adapter() const { return adapter_ ? &*adapter_ : nullptr; }

  // `params` and `grads` have layout().total() floats and outlive their use here. Weights are read
  // where they lie; gradients are added where they lie, never replaced.
  void Bind(const float* params) { params_ = params; }
  void BindGradients(float* grads) { grads_ = grads; }
  // The weights that stay as they are, base_layout().total() of them: what an adapter is beside,
  // and what a forward pass with base_alone reads. Those in bfloat16 are there and final now.
  void BindBase(const WeightPlace& base);

  // The products of linear layers are computed in bfloat16 (linear.h), but for an adapter's.
  void SetBf16(bool on) {
    products_ = !on                   ? Products::kFloat32
                : CpuMultipliesBf16() ? Products::kBf16
                                      : Products::kRounded;
  }
  // Backward computes each layer's forward pass anew from its input, instead of keeping what it
  // made: less memory, more time, the same bits.
  void SetGradientCheckpointing(bool on) { gradient_checkpointing_ = on; }

  // Logits [B, L] f32, of a language model [B, T, V] with zeros at padding. kInvalid when an id or
  // a length does not fit the model. REQUIRES: Bind was called.
  virtual Result<at::Tensor> Forward(const Batch& batch, const ForwardOptions& options) = 0;
  // Adds the gradients of the last Forward, given those of its logits (as large, f32, contiguous).
  // `on_final` may be empty. REQUIRES: BindGradients was called; the last Forward had `training`.
  virtual void Backward(const at::Tensor& grad_logits, const GradientsFinal& on_final) = 0;
  void Backward(const at::Tensor& grad_logits) { Backward(grad_logits, {}); }
  // [B, T, H] f32: the last layer's output of the last Forward, which had want_hidden; zeros at
  // padding.
  virtual at::Tensor Hidden() const = 0;

  // What a model that predicts tokens can do beyond that (language_model.h); null for classifiers.
  virtual LanguageModel* language() { return nullptr; }

  // Floats of working memory held now: the largest micro-batch so far.
  virtual std::int64_t WorkingFloats() const = 0;

 protected:
  bool IsBound() const {
    return params_ != nullptr && (base_.any() || (!adapter_ && !base_alone_));
  }
  // A place of base_layout() that is a matrix.
  WeightPlace Matrix(std::int64_t offset) const {
    if (base_alone_) return base_.At(offset);
    if (!adapter_) return params_ + offset;
    const auto trained = adapter_->PlaceOf(offset);
    return trained ? WeightPlace(params_ + *trained) : base_.At(offset);
  }
  // One that is a vector.
  const float* Weight(std::int64_t offset) const {
    const WeightPlace place = Matrix(offset);
    return place.halves == nullptr ? place.floats : BaseVector(offset);
  }
  LinearMode ModeOf(Arena& arena) const { return {.products = products_, .scratch = &arena}; }
  // Null where nothing is trained, and for offset −1.
  float* Gradient(std::int64_t offset) const {
    if (offset < 0) return nullptr;
    if (!adapter_) return grads_ + offset;
    const auto trained = adapter_->PlaceOf(offset);
    return trained ? grads_ + *trained : nullptr;
  }

  // What several linear layers read: rows without gaps, and how products take them.
  struct LinearInput {
    const float* x = nullptr;
    LinearRows rows;
    LinearInput(const float* at, std::int64_t count, std::int64_t columns, const LinearMode& mode)
        : x(at), rows(at, count, columns, columns, mode) {}
  };
  // The three products of a linear layer, with its adapter where it has one. `key` is of the
  // micro-batch's dropout, 0: none acts.
  void LinearApply(std::int64_t weight, const LinearShape& shape, const LinearInput& x, float* y,
                   std::int64_t stride, std::uint64_t key, Arena& arena) const;
  void LinearApply(std::int64_t weight, const LinearShape& shape, const float* x, float* y,
                   std::int64_t stride, std::uint64_t key, Arena& arena) const;
  struct LinearGradient {
    const float* dy = nullptr;
    std::int64_t stride = 0;
    float* dx = nullptr;  // [rows, in]
    bool add = false;     // to what dx holds
  };
  void LinearApplyBackward(std::int64_t weight, const LinearShape& shape, const LinearInput& x,
                           const LinearGradient& gradient, std::uint64_t key, Arena& arena) const;
  void LinearApplyBackward(std::int64_t weight, const LinearShape& shape, const float* x,
                           const LinearGradient& gradient, std::uint64_t key, Arena& arena) const;
  // Its adapter's part alone.
  void AdapterApply(std::int64_t weight, std::int64_t rows, const float* x, float* y,
                    std::int64_t stride, std::uint64_t key, Arena& arena) const;
  void AdapterApplyBackward(std::int64_t weight, std::int64_t rows, const float* x,
                            const LinearGradient& gradient, std::uint64_t key, Arena& arena) const;

  const float* BaseVector(std::int64_t offset) const { return base_vectors_.at(offset).data(); }

  ModelConfig config_;
  ParameterLayout layout_;
  CheckpointNames checkpoint_names_;
  std::vector<LinearModule> linears_;
  std::optional<Adapter> adapter_;
  const float* params_ = nullptr;
  float* grads_ = nullptr;
  WeightPlace base_;
  std::map<std::int64_t, std::vector<float>> base_vectors_;  // of a base in bfloat16, by offset
  Products products_ = Products::kFloat32;
  bool gradient_checkpointing_ = false;
  bool base_alone_ = false;  // of the forward pass that runs, or ran last
};

// The model that `config` describes, with the head that config.head names. kUnsupported for other
// families, naming those that are there.
Result<std::unique_ptr<Model>> MakeModel(const ModelConfig& config);

}  // namespace tutti::model
