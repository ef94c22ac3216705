// What changes the scores of the next token before one is chosen, as transformers/generation's
// logits_process.py does. Pure functions.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "worker/generate/options.h"

namespace tutti::generate {

// Repetition penalty, n-grams that would repeat, end tokens that come too early, in this order.
// `ids` are prompt and answer so far, `generated` of them the answer's; scores [V] are logits, or
// log-probabilities in a beam search.
void ApplyProcessors(const Options& options, std::span<const std::int64_t> ids,
                     std::int64_t generated, std::span<float> scores);

// The first of the largest.
std::int64_t Largest(std::span<const float> scores);
// In place log(softmax(scores)).
void LogSoftmax(std::span<float> scores);
// A token drawn with temperature, top_k and top_p; `uniform` in [0, 1) decides which.
std::int64_t Draw(const Options& options, std::span<const float> scores, double uniform);

}  // namespace tutti::generate
