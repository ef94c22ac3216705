// What a model that predicts the next token offers beyond logits of whole rows: a loss that never
// holds the logits of all positions, and continuation with a cache of keys and values. A model's
// second face (Model::language()); same owner, same thread.
#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <span>
#include <vector>

#include "common/base/result.h"
#include "worker/model/kv_cache.h"
#include "worker/model/model.h"

namespace tutti::model {

struct ScoreOptions {
  double scale = 1;            // of the gradient
  double label_smoothing = 0;  // Transformers' LabelSmoother
  // A factor of each document's gradient besides, in their order; empty: 1.
  std::span<const double> by_document{};
  bool gradient = true;  // of a training pass; false: the scores alone
};

struct DocumentScore {
  double loss = 0;    // Σ weight · nats
  double weight = 0;  // Σ weight
};

// Of the labels that are not kIgnoreLabel and have a token before them in their document.
struct TokenScores {
  double loss = 0;         // Σ weight · nats
  double weight = 0;       // Σ weight: the number of labels where the batch has no weights
  std::int64_t items = 0;  // labels
  std::int64_t right = 0;  // whose token has the largest logit
  std::vector<DocumentScore> documents{};  // in their order
};

// Tokens that follow what a slot of the cache holds.
struct Continuation {
  std::int64_t slot = 0;
  std::vector<std::int64_t> tokens{};  // at least one
};

class LanguageModel {
 public:
  virtual ~LanguageModel() = default;

  // The last hidden states of `batch`, for Score. Errors as Model::Forward.
  virtual Status ForwardTokens(const Batch& batch, const ForwardOptions& options) = 0;
  // Cross entropy of the batch's labels, some rows of logits at a time. After a training
  // ForwardTokens it adds the gradient of the output layer and keeps that of the hidden states for
  // BackwardTokens, both times options.scale; without options.gradient it may come again.
  // REQUIRES: ForwardTokens; weights bound.
  virtual TokenScores Score(const ScoreOptions& options) = 0;
  // The rest of the gradients. REQUIRES: Score after a training ForwardTokens.
  virtual void BackwardTokens(const GradientsFinal& on_final) = 0;

  // A cache of `slots` sequences of at most `capacity` tokens.
  virtual KeyValueCache MakeCache(std::int64_t slots, std::int64_t capacity) const = 0;
  // Logits [continuations, V] of what follows each one's last token; their tokens are in the cache
  // then. kInvalid when an id or a length does not fit. REQUIRES: each slot at most once.
  virtual Result<at::Tensor> Extend(std::span<const Continuation> continuations,
                                    KeyValueCache& cache) = 0;
};

}  // namespace tutti::model
