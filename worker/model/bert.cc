#include "worker/model/bert.h"

#include <ATen/ATen.h>

#include <algorithm>
#include <cmath>
#include <string>
#include <utility>

#include "common/base/check.h"
#include "worker/model/linear.h"

namespace tutti::model {

Result<std::unique_ptr<Model>> MakeBert(const ModelConfig& config) {
  TUTTI_ASSIGN_OR_RETURN(const BertConfig bert, ParseBertConfig(config));
  return std::make_unique<Bert>(config, bert);
}

Result<std::unique_ptr<Model>> MakeDistilBert(const ModelConfig& config) {
  TUTTI_ASSIGN_OR_RETURN(const BertConfig bert, ParseDistilBertConfig(config));
  return std::make_unique<Bert>(config, bert);
}

Result<std::unique_ptr<Model>> MakeRoberta(const ModelConfig& config) {
  TUTTI_ASSIGN_OR_RETURN(const BertConfig bert, ParseRobertaConfig(config));
  return std::make_unique<Bert>(config, bert);
}

Bert::Bert(ModelConfig config, const BertConfig& bert)
    : Model(std::move(config)), bert_(bert), kernels_(CpuKernels()) {
  checkpoint_names_ = bert_.names.checkpoint;
  AddParameters();
}

Bert::Affine Bert::AddAffine(const std::string& name, std::int64_t out, std::int64_t in,
                             bool head) {
  ParameterOptions weight, bias;
  if (head) {
    weight.fresh_deviation = bert_.initializer_range;
    bias.fresh_deviation = 0;
  }
  Affine at;
  at.weight = layout_.Add(name + ".weight", {out, in}, weight);
  at.bias = layout_.Add(name + ".bias", {out}, bias);
  linears_.push_back({.name = name, .weight = at.weight, .shape = {.in = in, .out = out}});
  return at;
}

Bert::Affine Bert::AddNorm(const std::string& name) {
  Affine at;
  at.weight = layout_.Add(name + ".weight", {bert_.hidden}, {.norm = true});
  at.bias = layout_.Add(name + ".bias", {bert_.hidden}, {.norm = true});
  return at;
}

void Bert::AddParameters() {
  const std::int64_t H = bert_.hidden;
  const BertNames& names = bert_.names;
  const std::string base = names.checkpoint.base;
  const std::string embeddings = base + "embeddings.";
  word_ = layout_.Add(embeddings + "word_embeddings.weight", {bert_.vocabulary, H},
                      {.padding_row = bert_.padding_id});
  position_ = layout_.Add(embeddings + "position_embeddings.weight", {bert_.positions, H},
                          {.padding_row = bert_.positions_by_id ? bert_.padding_id : -1});
  if (bert_.types > 0) {
    type_ = layout_.Add(embeddings + "token_type_embeddings.weight", {bert_.types, H});
  }
  embedding_norm_ = AddNorm(embeddings + "LayerNorm");
  for (std::int64_t i = 0; i < bert_.layers; ++i) {
    const std::string layer = base + names.layer + std::to_string(i) + ".";
    LayerParameters p;
    // The three weights, then the three biases, so that each three are one matrix.
    for (int j = 0; j < 3; ++j) {
      p.qkv[j].weight = layout_.Add(layer + names.projections[j] + ".weight", {H, H});
      linears_.push_back({.name = layer + names.projections[j],
                          .weight = p.qkv[j].weight,
                          .shape = {.in = H, .out = H}});
    }
    for (int j = 0; j < 3; ++j) {
      p.qkv[j].bias = layout_.Add(layer + names.projections[j] + ".bias", {H});
    }
    p.attention_out = AddAffine(layer + names.attention_out, H, H);
    p.attention_norm = AddNorm(layer + names.attention_norm);
    p.up = AddAffine(layer + names.up, bert_.intermediate, H);
    p.down = AddAffine(layer + names.down, H, bert_.intermediate);
    p.out_norm = AddNorm(layer + names.out_norm);
    layers_.push_back(p);
  }
  pooler_ = AddAffine(names.pooler, H, H, /*head=*/true);
  classifier_ = AddAffine(names.classifier, bert_.labels, H, /*head=*/true);
  fused_qkv_ = H % ParameterLayout::kAlignment == 0;
}

Dropout Bert::DropoutOf(std::int64_t layer, int place, float probability) const {
  if (!options_.training || !options_.dropout) return {};
  const auto site = static_cast<std::uint64_t>(layer * 8 + place);
  return {MixBits(options_.seed ^ MixBits(site)), probability};
}

AttentionShape Bert::ShapeOf(std::int64_t row, const LayerState& state) const {
  const auto at = static_cast<std::size_t>(row);
  const std::int64_t keys = packed_.begin[at + 1] - packed_.begin[at];
  return {.heads = bert_.heads,
          .head_dim = bert_.head_dim(),
          .queries = state.first_only ? 1 : keys,
          .keys = keys,
          .scale = 1.0F / std::sqrt(static_cast<float>(bert_.head_dim()))};
}

Status Bert::Pack(const Batch& batch) {
  const std::int64_t B = batch.rows, T = batch.columns;
  const auto cells = static_cast<std::size_t>(B * T);
  TUTTI_CHECK(batch.input_ids.size() == cells, "input_ids are not [B, T]");
  TUTTI_CHECK(batch.attention_mask.empty() || batch.attention_mask.size() == cells, "mask");
  TUTTI_CHECK(batch.type_ids.empty() || batch.type_ids.size() == cells, "type_ids");
  if (B < 1 || T < 1) return Fail(ErrorCode::kInvalid, "a micro-batch has no token");
  const std::int64_t positions =
      bert_.positions - (bert_.positions_by_id ? bert_.padding_id + 1 : 0);
  if (T > positions) {
    return Fail(ErrorCode::kInvalid, "a row has " + std::to_string(T) + " tokens, the model " +
                                         std::to_string(positions) + " positions");
  }
  packed_ = {.B = B, .T = T};
  for (std::int64_t row = 0; row < B; ++row) {
    packed_.begin.push_back(static_cast<std::int64_t>(packed_.ids.size()));
    TUTTI_RETURN_IF_ERROR(PackRow(batch, row));
  }
  packed_.N = static_cast<std::int64_t>(packed_.ids.size());
  packed_.begin.push_back(packed_.N);
  return {};
}

Status Bert::PackRow(const Batch& batch, std::int64_t row) {
  std::int64_t counted = 0;  // ids that are not padding, masked or not
  for (std::int64_t column = 0; column < batch.columns; ++column) {
    const auto at = static_cast<std::size_t>(row * batch.columns + column);
    const std::int64_t id = batch.input_ids[at];
    if (id != bert_.padding_id) ++counted;
    if (!batch.attention_mask.empty() && batch.attention_mask[at] == 0) {
      if (column != 0) continue;
      return Fail(ErrorCode::kInvalid, "the first token of a row is masked");
    }
    const std::int64_t type = batch.type_ids.empty() ? 0 : batch.type_ids[at];
    if (id < 0 || id >= bert_.vocabulary) {
      return Fail(ErrorCode::kInvalid,
                  "token id " + std::to_string(id) + " is outside the model's vocabulary of " +
                      std::to_string(bert_.vocabulary),
                  {}, "the tokenizer and the model do not belong together");
    }
    if (bert_.types > 0 && (type < 0 || type >= bert_.types)) {
      return Fail(ErrorCode::kInvalid, "token type id " + std::to_string(type) +
                                           " is outside the model's " +
                                           std::to_string(bert_.types));
    }
    packed_.ids.push_back(id);
    packed_.types.push_back(type);
    packed_.columns.push_back(column);
    std::int64_t position = column;
    if (bert_.positions_by_id) {
      position = bert_.padding_id + (id == bert_.padding_id ? 0 : counted);
    }
    packed_.positions.push_back(position);
  }
  return {};
}

Bert::NormState Bert::NormForward(const Affine& at, std::int64_t rows, const float* in,
                                  std::int64_t in_bias, const float* residual,
                                  const Dropout& dropout) {
  const std::int64_t H = bert_.hidden;
  const NormState state{arena_.Take(rows * H), arena_.Take(rows * H), arena_.Take(rows)};
  kernels_.add_norm_forward({.rows = rows,
                             .H = H,
                             .in = in,
                             .bias = in_bias < 0 ? nullptr : Weight(in_bias),
                             .residual = residual,
                             .gamma = Weight(at.weight),
                             .beta = Weight(at.bias),
                             .epsilon = bert_.norm_epsilon,
                             .dropout = dropout,
                             .out = state.out,
                             .normalised = state.normalised,
                             .inverse = state.inverse});
  return state;
}

void Bert::EmbedForward() {
  const std::int64_t N = packed_.N, H = bert_.hidden;
  float* sum = arena_.Take(N * H);
  const WeightPlace words = Matrix(word_), positions = Matrix(position_);
  const WeightPlace types = bert_.types > 0 ? Matrix(type_) : WeightPlace();
  std::vector<float> room(static_cast<std::size_t>(3 * H));
  for (std::int64_t i = 0; i < N; ++i) {
    const auto at = static_cast<std::size_t>(i);
    const float* const word = words.Read(packed_.ids[at] * H, H, room.data());
    const float* const position = positions.Read(packed_.positions[at] * H, H, room.data() + H);
    if (bert_.types > 0) {
      kernels_.add3(H, sum + i * H, word, types.Read(packed_.types[at] * H, H, room.data() + 2 * H),
                    position);
    } else {
      std::copy_n(word, H, sum + i * H);
      kernels_.add(H, sum + i * H, position);
    }
  }
  embedded_ = NormForward(embedding_norm_, N, sum, -1, nullptr, {});
  kernels_.dropout(DropoutOf(-1, 0, bert_.hidden_dropout), N * H, embedded_.out);
}

void Bert::Project(const LayerParameters& p, int from, int to, std::int64_t rows, const float* x,
                   float* out, std::int64_t stride) {
  const std::int64_t H = bert_.hidden;
  const int step = Fused(p) ? to - from : 1;
  for (int i = from; i < to; i += step) {
    float* at = out + (i - from) * H;
    LinearForward({rows, H, step * H}, x, H, Matrix(p.qkv[i].weight), at, stride, ModeOf(arena_));
    for (int j = i; j < i + step; ++j) {
      float* const one = out + (j - from) * H;
      AdapterApply(p.qkv[j].weight, rows, x, one, stride, DropoutKey(), arena_);
      kernels_.add_bias(rows, H, one, stride, Weight(p.qkv[j].bias));
    }
  }
}

void Bert::AttentionForwardRows(std::int64_t index, LayerState& state) {
  const std::int64_t H = bert_.hidden;
  std::int64_t probabilities = 0;
  for (std::int64_t row = 0; row < packed_.B; ++row) {
    probabilities += ShapeOf(row, state).probabilities();
  }
  state.probabilities = arena_.Take(probabilities);
  state.context = arena_.Take(state.M * H);
  const Dropout dropout = DropoutOf(index, 0, bert_.attention_dropout);
  float* kept = state.probabilities;
  for (std::int64_t row = 0; row < packed_.B; ++row) {
    const AttentionShape shape = ShapeOf(row, state);
    const std::int64_t begin = packed_.begin[static_cast<std::size_t>(row)];
    const std::int64_t query = state.first_only ? row : begin;
    kernels_.attention_forward(
        {.shape = shape,
         .q = {state.q + query * state.q_stride, state.q_stride},
         .k = {state.k + begin * state.kv_stride, state.kv_stride},
         .v = {state.k + begin * state.kv_stride + H, state.kv_stride},
         .out = {state.context + query * H, H},
         .dropout = {MixBits(dropout.key + static_cast<std::uint64_t>(row)), dropout.probability},
         .probabilities = kept,
         .scratch = scratch_});
    kept += shape.probabilities();
  }
}

void Bert::LayerForward(std::int64_t index, const float* input) {
  const LayerParameters& p = layers_[static_cast<std::size_t>(index)];
  LayerState& state = states_[static_cast<std::size_t>(index)];
  const std::int64_t N = packed_.N, H = bert_.hidden, I = bert_.intermediate;
  state.first_only = index + 1 == bert_.layers && !options_.want_hidden;
  state.M = state.first_only ? packed_.B : N;
  state.input = input;
  state.queries = input;
  if (state.first_only) {
    float* first = arena_.Take(state.M * H);
    for (std::int64_t row = 0; row < packed_.B; ++row) {
      std::copy_n(input + packed_.begin[static_cast<std::size_t>(row)] * H, H, first + row * H);
    }
    state.queries = first;
    state.q = arena_.Take(state.M * H);
    state.k = arena_.Take(N * 2 * H);
    state.q_stride = H;
    state.kv_stride = 2 * H;
    Project(p, 0, 1, state.M, first, state.q, H);
    Project(p, 1, 3, N, input, state.k, 2 * H);
  } else {
    state.q = arena_.Take(N * 3 * H);
    state.k = state.q + H;
    state.q_stride = state.kv_stride = 3 * H;
    Project(p, 0, 3, N, input, state.q, 3 * H);
  }
  AttentionForwardRows(index, state);
  float* out = arena_.Take(state.M * H);
  LinearApply(p.attention_out.weight, {state.M, H, H}, state.context, out, H, DropoutKey(), arena_);
  state.middle = NormForward(p.attention_norm, state.M, out, p.attention_out.bias, state.queries,
                             DropoutOf(index, 1, bert_.attention_out_dropout));
  state.slope = arena_.Take(state.M * I);
  state.active = arena_.Take(state.M * I);
  LinearApply(p.up.weight, {state.M, H, I}, state.middle.out, state.slope, I, DropoutKey(), arena_);
  kernels_.activation_forward(bert_.activation, state.M, I, state.slope, Weight(p.up.bias),
                              state.active, options_.training);
  LinearApply(p.down.weight, {state.M, I, H}, state.active, out, H, DropoutKey(), arena_);
  state.out = NormForward(p.out_norm, state.M, out, p.down.bias, state.middle.out,
                          DropoutOf(index, 2, bert_.hidden_dropout));
}

void Bert::LayersForward() {
  const std::int64_t NH = packed_.N * bert_.hidden;
  inputs_.assign(static_cast<std::size_t>(Checkpoints() ? bert_.layers : 0), nullptr);
  for (std::size_t i = 1; i < inputs_.size(); ++i) inputs_[i] = arena_.Take(NH);
  if (options_.training) grad_kept_ = arena_.Take(NH);
  const float* x = embedded_.out;
  for (std::int64_t i = 0; i < bert_.layers; ++i) {
    last_layer_ = arena_.Now();
    LayerForward(i, x);
    x = states_[static_cast<std::size_t>(i)].out.out;
    if (inputs_.empty() || i + 1 == bert_.layers) continue;
    float* const kept = inputs_[static_cast<std::size_t>(i + 1)];
    std::copy_n(x, NH, kept);
    x = kept;
    arena_.Release(last_layer_);
  }
}

void Bert::HeadForward(float* logits) {
  const std::int64_t B = packed_.B, H = bert_.hidden, L = bert_.labels;
  const LayerState& last = states_.back();
  pooler_in_ = last.out.out;
  const Dropout dropout = DropoutOf(-1, 2, bert_.pooler_dropout);
  if (!last.first_only || dropout.probability > 0) {
    float* first = arena_.Take(B * H);
    for (std::int64_t row = 0; row < B; ++row) {
      const std::int64_t from = packed_.begin[static_cast<std::size_t>(row)];
      std::copy_n(last.out.out + (last.first_only ? row : from) * H, H, first + row * H);
    }
    kernels_.dropout(dropout, B * H, first);
    pooler_in_ = first;
  }
  pooler_slope_ = arena_.Take(B * H);
  pooled_ = arena_.Take(B * H);
  LinearApply(pooler_.weight, {B, H, H}, pooler_in_, pooler_slope_, H, DropoutKey(), arena_);
  kernels_.activation_forward(bert_.pooler_activation, B, H, pooler_slope_, Weight(pooler_.bias),
                              pooled_, options_.training);
  kernels_.dropout(DropoutOf(-1, 1, bert_.classifier_dropout), B * H, pooled_);
  LinearApply(classifier_.weight, {B, H, L}, pooled_, logits, L, DropoutKey(), arena_);
  kernels_.add_bias(B, L, logits, L, Weight(classifier_.bias));
}

Result<at::Tensor> Bert::Forward(const Batch& batch, const ForwardOptions& options) {
  options_ = options;
  base_alone_ = options.base_alone;
  TUTTI_CHECK(IsBound(), "Bind comes before Forward");
  TUTTI_CHECK(!options.training || !options.base_alone, "the base alone is not trained");
  TUTTI_RETURN_IF_ERROR(Pack(batch));
  arena_.Reset();
  states_.assign(static_cast<std::size_t>(bert_.layers), {});
  std::int64_t scratch = 0;
  for (std::int64_t row = 0; row < packed_.B; ++row) {
    scratch = std::max(scratch, ShapeOf(row, {}).scratch());
  }
  scratch_ = arena_.Take(scratch);
  EmbedForward();
  LayersForward();
  at::Tensor logits = at::empty({packed_.B, bert_.labels}, at::kFloat);
  HeadForward(logits.data_ptr<float>());
  return logits;
}

at::Tensor Bert::Hidden() const {
  TUTTI_CHECK(options_.want_hidden && !states_.empty(), "the last Forward did not want_hidden");
  const std::int64_t H = bert_.hidden;
  at::Tensor hidden = at::zeros({packed_.B, packed_.T, H}, at::kFloat);
  for (std::int64_t row = 0; row < packed_.B; ++row) {
    const auto at = static_cast<std::size_t>(row);
    for (std::int64_t i = packed_.begin[at]; i < packed_.begin[at + 1]; ++i) {
      const std::int64_t column = packed_.columns[static_cast<std::size_t>(i)];
      std::copy_n(states_.back().out.out + i * H, H,
                  hidden.data_ptr<float>() + (row * packed_.T + column) * H);
    }
  }
  return hidden;
}

}  // namespace tutti::model
