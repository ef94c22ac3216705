// Answers of a language model to prompts of its evaluation rows, for people to read: greedy, each
// prompt by itself, so the same on any number of ranks. One thread a rank.
#pragma once

#include <cstdint>
#include <functional>
#include <span>
#include <string>
#include <vector>

#include "common/base/result.h"
#include "common/enginelink/messages.h"
#include "worker/finetune/job.h"
#include "worker/train/gang.h"

namespace tutti::finetune {

// The first rows whose prompt leaves room for an answer, at most spec.evaluation.samples; none
// without evaluation data and of a classifier. The prompt is what stands before the first token to
// predict; where a row is predicted from its beginning, the first half of it, at most 32 tokens.
// Of a prepared job they are its `sampled`.
Result<std::vector<SampledRow>> SampledRows(const Job& job);

// Floats that the cache of the longest of these answers needs.
std::int64_t CacheFloats(const Job& job, std::span<const SampledRow> rows);

struct AnswerOptions {
  const train::Gang* gang = nullptr;      // null: alone
  std::function<Status()> on_token = {};  // an error ends it
};
// A collective: rank r of W answers rows r, r + W, …; all get all, in order. REQUIRES: the model is
// bound.
Result<std::vector<enginelink::EvalSample>> AnswerRows(Job& job, std::span<const SampledRow> rows,
                                                       const AnswerOptions& options);

}  // namespace tutti::finetune
