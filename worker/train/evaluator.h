// Evaluation of a model by all ranks of a gang, or by one process: micro-batch i goes to rank
// i mod W, results are combined in order of i, so that every size of the gang gives the same bits.
// One thread a rank.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <optional>
#include <string>

#include "common/base/result.h"
#include "worker/model/model.h"
#include "worker/train/gang.h"
#include "worker/train/preference.h"
#include "worker/train/samples.h"

namespace tutti::train {

inline constexpr std::int64_t kEvalRows = 8;  // of a micro-batch

// Of a classifier "accuracy", "macro_f1" and "loss" (mean in nats over the rows whose label is a
// class); of a language model "loss" (mean in nats over what is predicted, by its weights),
// "perplexity" (e to that) and "token_accuracy" (the share whose token has the largest logit); of
// pairs "loss", "rewards/chosen", "rewards/rejected", "rewards/margins" (means over the pairs) and
// "rewards/accuracies" (the share whose preferred answer has the larger reward).
using Metrics = std::map<std::string, double>;

struct EvalOptions {
  std::int64_t micro_batch = kEvalRows;
  const Gang* gang = nullptr;             // null: alone
  std::function<Status()> on_batch = {};  // called before each micro-batch; an error ends it
  std::optional<PreferenceOptions> preference{};  // of samples that are pairs
};

// A collective. The metrics are the same on all ranks. REQUIRES: the model is bound, for
// pairs its base, too.
Result<Metrics> Evaluate(model::Model& model, const Samples& samples,
                         const EvalOptions& options = {});

}  // namespace tutti::train
