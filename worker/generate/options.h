// How a language model's answer is chosen, under the names of Transformers' GenerationConfig.
// Values.
#pragma once

#include <cstdint>
#include <vector>

#include "common/base/result.h"

namespace tutti::generate {

enum class EarlyStopping { kNo, kYes, kNever };

struct Options {
  std::int64_t max_new_tokens = 20;
  std::int64_t min_new_tokens = 0;
  std::vector<std::int64_t> end_tokens{};  // eos_token_id; none: only the length ends it
  bool do_sample = false;
  double temperature = 1;  // of sampling, as the next two
  std::int64_t top_k = 0;  // 0: all
  double top_p = 1;
  std::uint64_t seed = 0;
  double repetition_penalty = 1;
  std::int64_t no_repeat_ngram_size = 0;  // 0: off
  std::int64_t num_beams = 1;
  std::int64_t num_return_sequences = 1;  // of a prompt
  double length_penalty = 1;
  EarlyStopping early_stopping = EarlyStopping::kNo;
};

// kInvalid or kUnsupported, with the option's name.
Status Check(const Options& options);

}  // namespace tutti::generate
