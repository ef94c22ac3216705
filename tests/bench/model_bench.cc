// Time of one optimizer step of the BERT that the examples train, on one core: four micro-batches
// of eight rows forward and backward, the norm and AdamW; and of its parts. `tokens` counts real
// ones. model_bench --benchmark_filter=Step
#include <ATen/Parallel.h>
#include <benchmark/benchmark.h>

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "worker/model/model.h"
#include "worker/model/random.h"
#include "worker/train/adamw.h"
#include "worker/train/decay.h"
#include "worker/train/loss.h"
#include "worker/train/norm.h"

namespace tutti {
namespace {

constexpr std::int64_t kVocabulary = 8192, kLabels = 18, kRows = 8;

std::unique_ptr<model::Model> MakeTinyBert() {
  const std::string config =
      R"({"model_type": "bert", "vocab_size": 8192, "hidden_size": 128, "num_hidden_layers": 4,
          "num_attention_heads": 4, "intermediate_size": 512, "max_position_embeddings": 256,
          "num_labels": 18})";
  auto parsed = model::ParseModelConfig(config, "bench");
  return std::move(*model::MakeModel(*parsed));
}

class Trainer {
 public:
  // Rows of about `length` tokens: a quarter shorter to a quarter longer.
  explicit Trainer(std::int64_t length) : model_(MakeTinyBert()) {
    at::set_num_threads(1);
    const auto size = static_cast<std::size_t>(model_->layout().total());
    params_.resize(size);
    grads_.resize(size);
    first_.resize(size);
    second_.resize(size);
    model::FillNormal(1, 0.02, params_);
    model_->Bind(params_.data());
    model_->BindGradients(grads_.data());
    for (std::uint64_t i = 0; i < 16; ++i) batches_.push_back(MakeBatch(length, i));
  }

  std::int64_t MicroBatch(bool backward) {
    const model::Batch& batch = batches_[next_++ % batches_.size()];
    const auto seed = static_cast<std::uint64_t>(next_);
    at::Tensor logits = *model_->Forward(batch, {.training = true, .seed = seed});
    std::vector<float> grad(static_cast<std::size_t>(logits.numel()));
    const std::span values(logits.data_ptr<float>(), grad.size());
    train::CrossEntropySum({.values = values, .columns = kLabels, .grad = grad, .scale = 1.0 / 32},
                           batch.labels);
    std::ranges::copy(grad, values.begin());
    if (backward) model_->Backward(logits);
    std::int64_t tokens = 0;
    for (const std::int64_t mask : batch.attention_mask) tokens += mask;
    return tokens;
  }

  double Norm() {
    std::vector<double> sums(grads_.size() / static_cast<std::size_t>(train::kNormBlock));
    train::BlockSquareSums(grads_, sums);
    return train::NormOfBlocks(sums);
  }

  void Update() {
    const auto size = model_->layout().total();
    train::AdamWStep({.learning_rate = 1e-4,
                      .weight_decay = 0.01,
                      .step = ++step_,
                      .grad_scale = train::ClipScale(Norm(), 1)},
                     segments_,
                     {.begin = 0,
                      .end = size,
                      .params = params_.data(),
                      .grads = grads_.data(),
                      .first = first_.data(),
                      .second = second_.data()});
  }

  void Clear() { std::ranges::fill(grads_, 0.0F); }

 private:
  static model::Batch MakeBatch(std::int64_t length, std::uint64_t number) {
    model::Batch batch{.rows = kRows, .columns = length + length / 4};
    for (std::int64_t row = 0; row < kRows; ++row) {
      const std::uint64_t hash = model::HashSeed(number, static_cast<std::uint64_t>(row));
      const auto real =
          length - length / 4 +
          static_cast<std::int64_t>(hash % static_cast<std::uint64_t>(length / 2 + 1));
      for (std::int64_t i = 0; i < batch.columns; ++i) {
        const std::uint64_t id = model::HashSeed(hash, static_cast<std::uint64_t>(i)) % kVocabulary;
        batch.input_ids.push_back(i < real ? static_cast<std::int64_t>(id) : 0);
        batch.attention_mask.push_back(i < real ? 1 : 0);
      }
      batch.labels.push_back(static_cast<std::int64_t>(hash % kLabels));
    }
    return batch;
  }

  std::unique_ptr<model::Model> model_;
  std::vector<float> params_, grads_, first_, second_;
  std::vector<train::DecaySegment> segments_ = train::DecaySegments(model_->layout());
  std::vector<model::Batch> batches_;
  std::size_t next_ = 0;
  std::int64_t step_ = 0;
};

void Report(benchmark::State& state, std::int64_t tokens) {
  state.counters["tokens"] =
      benchmark::Counter(static_cast<double>(tokens), benchmark::Counter::kIsRate);
}

void Forward(benchmark::State& state) {
  Trainer trainer(state.range(0));
  std::int64_t tokens = 0;
  for ([[maybe_unused]] auto iteration : state) tokens += trainer.MicroBatch(false);
  Report(state, tokens);
}

void ForwardBackward(benchmark::State& state) {
  Trainer trainer(state.range(0));
  std::int64_t tokens = 0;
  for ([[maybe_unused]] auto iteration : state) tokens += trainer.MicroBatch(true);
  Report(state, tokens);
}

void Step(benchmark::State& state) {
  Trainer trainer(state.range(0));
  std::int64_t tokens = 0;
  for ([[maybe_unused]] auto iteration : state) {
    trainer.Clear();
    for (int micro = 0; micro < 4; ++micro) tokens += trainer.MicroBatch(true);
    trainer.Update();
  }
  Report(state, tokens);
}

void NormAndAdamW(benchmark::State& state) {
  Trainer trainer(40);
  for ([[maybe_unused]] auto iteration : state) trainer.Update();
}

BENCHMARK(Forward)->Arg(40)->Arg(90)->Unit(benchmark::kMillisecond);
BENCHMARK(ForwardBackward)->Arg(40)->Arg(90)->Unit(benchmark::kMillisecond);
BENCHMARK(Step)->Arg(40)->Arg(90)->Unit(benchmark::kMillisecond);
BENCHMARK(NormAndAdamW)->Unit(benchmark::kMillisecond);

}  // namespace
}  // namespace tutti

BENCHMARK_MAIN();
