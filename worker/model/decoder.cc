#include "worker/model/decoder.h"

#include <algorithm>
#include <utility>

#include "common/base/check.h"
#include "worker/model/linear.h"

namespace tutti::model {

Decoder::Decoder(ModelConfig config, const DecoderConfig& decoder)
    : Model(std::move(config)),
      d_(decoder),
      kernels_(CpuKernels()),
      rope_(d_.rope.value_or(RopeConfig{})) {
  checkpoint_names_ = d_.names.checkpoint;
  AddParameters();
}

Decoder::Affine Decoder::AddAffine(const std::string& name, std::int64_t out, std::int64_t in,
                                   bool bias) {
  Affine affine{.in = in, .out = out, .input_major = d_.input_major};
  affine.weight =
      layout_.Add(name + ".weight", d_.input_major ? std::vector{in, out} : std::vector{out, in});
  if (bias) affine.bias = layout_.Add(name + ".bias", {out});
  linears_.push_back({.name = name,
                      .weight = affine.weight,
                      .shape = {.in = in, .out = out, .input_major = d_.input_major}});
  return affine;
}

Decoder::NormParameters Decoder::AddNorm(const std::string& name) {
  NormParameters norm;
  norm.weight = layout_.Add(name + ".weight", {d_.hidden}, {.norm = true});
  if (!d_.rms_norm) norm.bias = layout_.Add(name + ".bias", {d_.hidden}, {.norm = true});
  return norm;
}

// In the order that the forward pass uses them in.
void Decoder::AddParameters() {
  const std::int64_t H = d_.hidden, I = d_.intermediate;
  const DecoderNames& names = d_.names;
  const std::string base = names.checkpoint.base;
  embedding_ = layout_.Add(base + names.embedding + ".weight", {d_.vocabulary, H},
                           {.padding_row = d_.padding_row});
  if (!d_.rope) position_ = layout_.Add(base + names.position + ".weight", {d_.positions, H});
  for (std::int64_t i = 0; i < d_.layers; ++i) {
    const std::string layer = base + names.layer + std::to_string(i) + ".";
    LayerParameters p;
    p.attention_norm = AddNorm(layer + names.attention_norm);
    const std::int64_t widths[3] = {d_.q_width(), d_.kv_width(), d_.kv_width()};
    for (std::size_t j = 0; j < names.projections.size(); ++j) {
      const std::int64_t width = names.projections.size() == 1 ? qkv_width() : widths[j];
      p.projections.push_back(
          AddAffine(layer + names.projections[j], width, H, d_.projection_bias));
    }
    p.attention_out =
        AddAffine(layer + names.attention_out, H, d_.q_width(), d_.attention_out_bias);
    p.mlp_norm = AddNorm(layer + names.mlp_norm);
    if (d_.gated) p.gate = AddAffine(layer + names.gate, I, H, d_.mlp_bias);
    p.up = AddAffine(layer + names.up, I, H, d_.mlp_bias);
    p.down = AddAffine(layer + names.down, H, I, d_.mlp_bias);
    layers_.push_back(std::move(p));
  }
  final_norm_ = AddNorm(base + names.final_norm);
  if (d_.head == Head::kCausalLm && d_.tied) {
    head_ = embedding_;
  } else {
    ParameterOptions options;
    if (d_.head == Head::kClassification) options.fresh_deviation = d_.initializer_range;
    head_ = layout_.Add(names.head + ".weight", {d_.head_size(), H}, options);
  }
  linears_.push_back({.name = names.head,
                      .weight = head_,
                      .shape = {.in = H, .out = d_.head_size()},
                      .output = true});
}

Dropout Decoder::DropoutOf(std::int64_t layer, int place, float probability) const {
  if (!options_.training || !options_.dropout) return {};
  const auto site = static_cast<std::uint64_t>(layer * 8 + place);
  return {MixBits(options_.seed ^ MixBits(site)), probability};
}

AttentionShape Decoder::ShapeOf(std::int64_t index, std::int64_t queries, std::int64_t keys) const {
  const auto layer = static_cast<std::size_t>(index);
  return {.heads = d_.heads,
          .head_dim = d_.head_dim,
          .queries = queries,
          .keys = keys,
          .scale = d_.scales[layer],
          .kv_heads = d_.kv_heads,
          .causal = true,
          .window = d_.windows[layer]};
}

Decoder::Document Decoder::DocumentAt(std::int64_t index) const {
  const auto at = static_cast<std::size_t>(index);
  Document document{.begin = packed_.begin[at],
                    .queries = packed_.begin[at + 1] - packed_.begin[at]};
  if (cache_ != nullptr) document.cached = cache_->length(slots_[at]);
  return document;
}

// Working memory of the packed micro-batch. Only training keeps what every layer computes, with
// gradient checkpointing no more than the layers' inputs.
void Decoder::Begin(const ForwardOptions& options) {
  options_ = options;
  base_alone_ = options.base_alone;
  TUTTI_CHECK(IsBound(), "Bind comes before Forward");
  TUTTI_CHECK(!options.training || !options.base_alone, "the base alone is not trained");
  arena_.Reset();
  grad_hidden_ = nullptr;
  std::int64_t scratch = 0, probabilities = 0, positions = 0;
  for (std::int64_t i = 0; i < packed_.documents(); ++i) {
    const Document document = DocumentAt(i);
    const AttentionShape shape = ShapeOf(0, document.queries, document.keys());
    scratch = std::max(scratch, shape.scratch());
    probabilities += shape.probabilities();
    positions = std::max(positions, document.keys());
  }
  if (d_.rope) rope_.Reserve(positions);
  const std::int64_t N = packed_.N, H = d_.hidden, I = d_.intermediate;
  scratch_ = arena_.Take(scratch);
  stream_ = arena_.Take(N * H);
  branch_ = arena_.Take(N * H);
  stream_holds_ = false;
  const bool keeps_all = options.training && !Checkpoints();
  inputs_.assign(static_cast<std::size_t>(Checkpoints() ? d_.layers : 0), {});
  for (std::size_t i = 1; i < inputs_.size(); ++i) inputs_[i].stream = arena_.Take(N * H);
  states_.assign(static_cast<std::size_t>(keeps_all ? d_.layers : 1), {});
  for (LayerState& state : states_) {
    state.attention_norm = TakeNorm();
    state.qkv = arena_.Take(N * qkv_width());
    state.probabilities = arena_.Take(probabilities);
    state.context = arena_.Take(N * d_.q_width());
    state.mlp_norm = TakeNorm();
    state.slope = arena_.Take(N * I);
    state.active = arena_.Take(N * I);
    state.up = d_.gated ? arena_.Take(N * I) : nullptr;
    state.product = d_.gated ? arena_.Take(N * I) : state.active;
  }
  final_ = TakeNorm();
}

Decoder::NormState Decoder::TakeNorm() {
  const std::int64_t N = packed_.N, H = d_.hidden;
  return {.out = arena_.Take(N * H), .normalised = arena_.Take(N * H), .inverse = arena_.Take(N)};
}

// The stream takes the branch in and is normalised.
void Decoder::NormForward(const NormParameters& at, const Branch& branch, NormState& state) {
  state.dropout = branch.dropout;
  state.bias = branch.bias;
  kernels_.add_norm_forward({.rows = packed_.N,
                             .H = d_.hidden,
                             .in = branch_,
                             .bias = branch.bias < 0 ? nullptr : Weight(branch.bias),
                             .residual = stream_holds_ ? stream_ : nullptr,
                             .gamma = Weight(at.weight),
                             .beta = at.bias < 0 ? nullptr : Weight(at.bias),
                             .epsilon = d_.norm_epsilon,
                             .centred = !d_.rms_norm,
                             .dropout = branch.dropout,
                             .sum = stream_,
                             .out = state.out,
                             .normalised = state.normalised,
                             .inverse = state.inverse});
  stream_holds_ = true;
}

Model::LinearInput Decoder::Input(const float* x, std::int64_t columns) {
  return {x, packed_.N, columns, ModeOf(arena_)};
}

void Decoder::Apply(const Affine& affine, const LinearInput& x, float* y, std::int64_t stride) {
  LinearApply(affine.weight, {packed_.N, affine.in, affine.out, affine.input_major}, x, y, stride,
              DropoutKey(), arena_);
}

void Decoder::Rotate(float* qkv, bool back) const {
  if (!d_.rope) return;
  for (std::int64_t i = 0; i < packed_.N; ++i) {
    float* const at = qkv + i * qkv_width();
    const std::int64_t position = packed_.positions[static_cast<std::size_t>(i)];
    if (back) {
      rope_.RotateBack(position, d_.heads + d_.kv_heads, at);
    } else {
      rope_.Rotate(position, d_.heads + d_.kv_heads, at);
    }
  }
}

Decoder::Branch Decoder::EmbedForward() {
  const std::int64_t H = d_.hidden;
  const WeightPlace words = Matrix(embedding_);
  const WeightPlace positions = d_.rope ? WeightPlace() : Matrix(position_);
  std::vector<float> room(static_cast<std::size_t>(H));
  for (std::int64_t i = 0; i < packed_.N; ++i) {
    const auto at = static_cast<std::size_t>(i);
    words.At(packed_.ids[at] * H).CopyTo({branch_ + i * H, room.size()});
    if (positions.any()) {
      kernels_.add(H, branch_ + i * H, positions.Read(packed_.positions[at] * H, H, room.data()));
    }
  }
  return {.dropout = DropoutOf(-1, 0, d_.embedding_dropout)};
}

void Decoder::AttendDocuments(std::int64_t index, LayerState& state) {
  const std::int64_t W = qkv_width(), kv = d_.kv_width();
  const Dropout dropout = DropoutOf(index, 0, d_.attention_dropout);
  float* kept = state.probabilities;
  for (std::int64_t i = 0; i < packed_.documents(); ++i) {
    const Document document = DocumentAt(i);
    const AttentionShape shape = ShapeOf(index, document.queries, document.keys());
    float* const rows = state.qkv + document.begin * W;
    const float* keys = rows + d_.q_width();
    std::int64_t stride = W;
    if (cache_ != nullptr) {
      float* const cached = cache_->At(slots_[static_cast<std::size_t>(i)], index);
      for (std::int64_t row = 0; row < document.queries; ++row) {
        std::copy_n(keys + row * W, 2 * kv, cached + (document.cached + row) * 2 * kv);
      }
      keys = cached;
      stride = 2 * kv;
    }
    kernels_.attention_forward(
        {.shape = shape,
         .q = {rows, W},
         .k = {keys, stride},
         .v = {keys + kv, stride},
         .out = {state.context + document.begin * d_.q_width(), d_.q_width()},
         .dropout = {MixBits(dropout.key + static_cast<std::uint64_t>(i)), dropout.probability},
         .probabilities = kept,
         .scratch = scratch_});
    kept += shape.probabilities();
  }
}

Decoder::Branch Decoder::AttentionForwardLayer(std::int64_t index, LayerState& state) {
  const LayerParameters& p = layers_[static_cast<std::size_t>(index)];
  float* out = state.qkv;
  {
    const LinearInput in = Input(state.attention_norm.out, d_.hidden);
    for (const Affine& projection : p.projections) {
      Apply(projection, in, out, qkv_width());
      if (projection.bias >= 0) {
        kernels_.add_bias(packed_.N, projection.out, out, qkv_width(), Weight(projection.bias));
      }
      out += projection.out;
    }
  }
  Rotate(state.qkv, /*back=*/false);
  AttendDocuments(index, state);
  Apply(p.attention_out, Input(state.context, d_.q_width()), branch_, d_.hidden);
  return {.bias = p.attention_out.bias, .dropout = DropoutOf(index, 1, d_.residual_dropout)};
}

void Decoder::MlpInner(std::int64_t index, LayerState& state) {
  const LayerParameters& p = layers_[static_cast<std::size_t>(index)];
  const std::int64_t N = packed_.N, I = d_.intermediate;
  const Affine& activated = d_.gated ? p.gate : p.up;
  const LinearInput in = Input(state.mlp_norm.out, d_.hidden);
  Apply(activated, in, state.slope, I);
  kernels_.activation_forward(d_.activation, N, I, state.slope,
                              activated.bias < 0 ? nullptr : Weight(activated.bias), state.active,
                              options_.training);
  if (d_.gated) {
    Apply(p.up, in, state.up, I);
    if (p.up.bias >= 0) kernels_.add_bias(N, I, state.up, I, Weight(p.up.bias));
    kernels_.multiply(N * I, state.product, state.active, state.up);
  }
}

Decoder::Branch Decoder::MlpForward(std::int64_t index, LayerState& state) {
  MlpInner(index, state);
  const LayerParameters& p = layers_[static_cast<std::size_t>(index)];
  Apply(p.down, Input(state.product, d_.intermediate), branch_, d_.hidden);
  return {.bias = p.down.bias, .dropout = DropoutOf(index, 2, d_.residual_dropout)};
}

void Decoder::LayersForward() {
  Branch branch = EmbedForward();
  for (std::int64_t i = 0; i < d_.layers; ++i) {
    LayerState& state = StateOf(i);
    NormForward(layers_[static_cast<std::size_t>(i)].attention_norm, branch, state.attention_norm);
    if (!inputs_.empty()) KeepInput(i, branch);
    branch = AttentionForwardLayer(i, state);
    NormForward(layers_[static_cast<std::size_t>(i)].mlp_norm, branch, state.mlp_norm);
    branch = MlpForward(i, state);
  }
  NormForward(final_norm_, branch, final_);
}

void Decoder::KeepInput(std::int64_t index, const Branch& branch) {
  LayerInput& input = inputs_[static_cast<std::size_t>(index)];
  input.branch = branch;
  if (input.stream != nullptr) std::copy_n(stream_, packed_.N * d_.hidden, input.stream);
}

Status Decoder::ForwardTokens(const Batch& batch, const ForwardOptions& options) {
  TUTTI_ASSIGN_OR_RETURN(packed_, PackRows(batch, {d_.vocabulary, d_.positions}));
  Begin(options);
  LayersForward();
  return {};
}

KeyValueCache Decoder::MakeCache(std::int64_t slots, std::int64_t capacity) const {
  return KeyValueCache(
      {.layers = d_.layers, .slots = slots, .capacity = capacity, .width = 2 * d_.kv_width()});
}

// The tokens as documents whose first ones are in the cache.
Status Decoder::PackContinuations(std::span<const Continuation> continuations,
                                  const KeyValueCache& cache) {
  packed_ = {};
  slots_.clear();
  for (const Continuation& one : continuations) {
    const std::int64_t cached = cache.length(one.slot);
    const auto count = static_cast<std::int64_t>(one.tokens.size());
    TUTTI_CHECK(count > 0 && cached + count <= cache.shape().capacity, "slot ", one.slot, ": ",
                cached, " + ", count, " tokens of ", cache.shape().capacity);
    if (d_.positions > 0 && cached + count > d_.positions) {
      return Fail(ErrorCode::kInvalid,
                  "a text has more than the model's " + std::to_string(d_.positions) + " positions",
                  {}, "give a shorter text, or ask for fewer new tokens");
    }
    slots_.push_back(one.slot);
    packed_.begin.push_back(packed_.N);
    for (std::int64_t i = 0; i < count; ++i) {
      const std::int64_t id = one.tokens[static_cast<std::size_t>(i)];
      TUTTI_RETURN_IF_ERROR(CheckTokenId(id, d_.vocabulary));
      packed_.ids.push_back(id);
      packed_.positions.push_back(cached + i);
    }
    packed_.N += count;
  }
  packed_.begin.push_back(packed_.N);
  return {};
}

}  // namespace tutti::model
