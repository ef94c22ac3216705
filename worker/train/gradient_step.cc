#include "worker/train/gradient_step.h"

#include <ATen/ATen.h>

#include <algorithm>
#include <cmath>

#include "common/base/check.h"
#include "worker/model/language_model.h"
#include "worker/train/adamw.h"
#include "worker/train/generator.h"
#include "worker/train/loss.h"
#include "worker/train/norm.h"

namespace tutti::train {

GradientStep::GradientStep(Parts parts)
    : p_(parts),
      deal_{.shards = p_.training.shards, .micro_batch = p_.training.micro_batch_size},
      segments_(DecaySegments(p_.model.layout())) {
  p_.model.Bind(p_.gang.memory.parameters().data());
  p_.model.BindGradients(p_.gang.exchange.gradient().data());
}

Status GradientStep::Compute(std::int64_t step, std::span<const std::int64_t> rows) {
  // The loss is a sum over items divided by their number in the whole global batch.
  double items = 0;
  for (const std::int64_t row : rows) items += p_.samples.ItemsOf(row);
  const double scale = items > 0 ? 1.0 / items : 0.0;
  exchange::GradientExchange& exchange = p_.gang.exchange;
  for (std::uint32_t own = 0; own < exchange.shards(); ++own) {
    p_.clock.Enter(Phase::kData);
    std::ranges::fill(exchange.gradient(), 0.0F);
    exchange::ShardSums sums;
    const Shard shard{.step = step,
                      .index = exchange.first_shard() + own,
                      .last = own + 1 == exchange.shards(),
                      .scale = scale};
    TUTTI_RETURN_IF_ERROR(ComputeShard(shard, deal_.OfShard(rows, shard.index), sums));
    p_.clock.Enter(Phase::kReduce);
    exchange.FinishShard(own, sums);
  }
  return {};
}

Status GradientStep::ComputeShard(const Shard& shard, std::span<const std::int64_t> rows,
                                  exchange::ShardSums& sums) {
  const auto seed = static_cast<std::uint64_t>(p_.training.seed);
  const auto size = static_cast<std::size_t>(deal_.micro_batch);
  std::int64_t micro = 0;
  for (std::size_t at = 0; at < rows.size(); at += size, ++micro) {
    p_.clock.Enter(Phase::kData);
    const auto part = rows.subspan(at, std::min(size, rows.size() - at));
    const model::Batch batch = MakeBatch(p_.samples, part);
    p_.clock.Enter(Phase::kForward);
    const model::ForwardOptions options{
        .training = true,
        .seed = MicroBatchSeed(seed, {shard.step, shard.index, micro}),
        .want_hidden = false};
    const bool last = shard.last && at + size >= rows.size();
    TUTTI_ASSIGN_OR_RETURN(const double loss,
                           p_.samples.pairs ? ComputePairs(batch, shard.scale, last)
                           : p_.model.language() == nullptr
                               ? ComputeRows(batch, options, shard.scale, last)
                               : ComputeTokens(batch, options, shard.scale, last));
    sums.loss += loss;
    for (const std::int64_t row : part) sums.items += p_.samples.ItemsOf(row);
    sums.tokens += static_cast<double>(CountTokens(p_.samples, part));
    sums.rows += static_cast<double>(part.size());
  }
  return {};
}

Result<double> GradientStep::ComputeRows(const model::Batch& batch,
                                         const model::ForwardOptions& options, double scale,
                                         bool last) {
  TUTTI_ASSIGN_OR_RETURN(const at::Tensor logits, p_.model.Forward(batch, options));
  at::Tensor grad = at::empty_like(logits);
  const auto count = static_cast<std::size_t>(logits.numel());
  const double loss =
      CrossEntropySum({.values = {logits.data_ptr<float>(), count},
                       .columns = logits.size(1),
                       .grad = {grad.data_ptr<float>(), count},
                       .scale = scale},
                      batch.labels, {.label_smoothing = p_.training.label_smoothing_factor});
  p_.clock.Enter(Phase::kBackward);
  p_.model.Backward(grad, OnFinal(last));
  return loss;
}

Result<double> GradientStep::ComputeTokens(const model::Batch& batch,
                                           const model::ForwardOptions& options, double scale,
                                           bool last) {
  model::LanguageModel& language = *p_.model.language();
  TUTTI_RETURN_IF_ERROR(language.ForwardTokens(batch, options));
  const model::TokenScores scores =
      language.Score({.scale = scale, .label_smoothing = p_.training.label_smoothing_factor});
  p_.clock.Enter(Phase::kBackward);
  language.BackwardTokens(OnFinal(last));
  return scores.loss;
}

Result<double> GradientStep::ComputePairs(const model::Batch& batch, double scale, bool last) {
  TUTTI_CHECK(p_.preference.has_value(), "pairs and no loss for them");
  TUTTI_ASSIGN_OR_RETURN(const double loss, LearnPairs(p_.model, batch, *p_.preference, scale));
  p_.clock.Enter(Phase::kBackward);
  p_.model.language()->BackwardTokens(OnFinal(last));
  return loss;
}

// What the rank's last micro-batch has made final is summed with other machines while the rest of
// it is computed.
model::GradientsFinal GradientStep::OnFinal(bool last) {
  if (!last) return {};
  return [this](std::int64_t from) {
    p_.clock.Enter(Phase::kReduce);
    p_.gang.exchange.FinishFrom(static_cast<std::uint64_t>(from));
    p_.clock.Enter(Phase::kBackward);
  };
}

Result<exchange::Reduced> GradientStep::Reduce(std::uint64_t control) {
  p_.clock.Enter(Phase::kReduce);
  return p_.gang.exchange.Reduce(control);
}

Status GradientStep::Update(const UpdateOptions& options) {
  p_.clock.Enter(Phase::kUpdate);
  const spec::TrainingSpec& t = p_.training;
  const AdamWOptions adamw{.learning_rate = options.learning_rate,
                           .beta1 = t.adam_beta1,
                           .beta2 = t.adam_beta2,
                           .epsilon = t.adam_epsilon,
                           .weight_decay = t.weight_decay,
                           .step = options.step + 1,
                           .grad_scale = ClipScale(options.norm, t.max_grad_norm)};
  exchange::NodeMemory& memory = p_.gang.memory;
  return p_.gang.exchange.Update([&](const exchange::Slice& slice) {
    const auto begin = static_cast<std::int64_t>(slice.begin);
    AdamWStep(adamw, segments_,
              {.begin = begin,
               .end = begin + static_cast<std::int64_t>(slice.parameters.size()),
               .params = memory.parameters().data(),
               .grads = p_.gang.exchange.reduced_gradient().data(),
               .first = memory.first_moments().data(),
               .second = memory.second_moments().data()});
  });
}

std::string GradientStep::FirstNotFinite() const {
  const std::span<const float> gradient = p_.gang.exchange.reduced_gradient();
  for (const model::ParameterInfo& parameter : p_.model.layout().parameters()) {
    const auto values = gradient.subspan(static_cast<std::size_t>(parameter.offset),
                                         static_cast<std::size_t>(parameter.count));
    if (!std::ranges::all_of(values, [](float value) { return std::isfinite(value); })) {
      return parameter.name;
    }
  }
  return "";
}

Result<std::int64_t> WorkingFloats(model::Model& model, const Samples& samples,
                                   std::span<const std::int64_t> rows) {
  const model::Batch batch = MakeBatch(samples, rows);
  if (model::LanguageModel* language = model.language()) {
    if (samples.pairs) {
      TUTTI_RETURN_IF_ERROR(LearnPairs(model, batch, {}, /*scale=*/1));
    } else {
      TUTTI_RETURN_IF_ERROR(language->ForwardTokens(batch, {.training = true}));
      language->Score({});
    }
    language->BackwardTokens({});
    return model.WorkingFloats();
  }
  TUTTI_ASSIGN_OR_RETURN(const at::Tensor logits, model.Forward(batch, {.training = true}));
  model.Backward(at::zeros_like(logits));
  return model.WorkingFloats();
}

}  // namespace tutti::train
