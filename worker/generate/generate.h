// Answers of a language model: greedy, sampled, or by beam search, with a cache of keys and values.
// One thread, the model's.
#pragma once

#include <cstdint>
#include <functional>
#include <span>
#include <vector>

#include "common/base/result.h"
#include "worker/generate/beam_search.h"
#include "worker/generate/options.h"
#include "worker/model/language_model.h"

namespace tutti::generate {

using Prompt = std::vector<std::int64_t>;

// Told of each token as it is chosen, by the answer's index; not during a beam search. False ends
// that answer, an error the generation.
using OnToken = std::function<Result<bool>(std::size_t answer, std::int64_t token)>;

// num_return_sequences answers of each prompt, in order; a beam search's best first. What a prompt
// gets does not depend on the others. kInvalid: options, an empty prompt, an id or a length that
// does not fit the model. REQUIRES: the model is bound.
Result<std::vector<Answer>> Generate(model::LanguageModel& model, std::span<const Prompt> prompts,
                                     const Options& options, const OnToken& on_token = {});

}  // namespace tutti::generate
