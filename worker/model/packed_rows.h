// A padded micro-batch's documents laid one behind the other without padding. A value.
#pragma once

#include <cstdint>
#include <vector>

#include "common/base/result.h"
#include "worker/model/model.h"

namespace tutti::model {

struct PackedRows {
  std::int64_t B = 0, T = 0;
  std::int64_t N = 0;                            // tokens
  std::vector<std::int64_t> begin{};             // [documents + 1] first token of each
  std::vector<std::int64_t> ids{}, positions{};  // [N]
  std::vector<std::int64_t> cells{};             // [N] row · T + column in the micro-batch
  std::vector<std::int64_t> targets{};  // [N] what the token predicts; kIgnoreLabel: nothing
  std::vector<float> weights{};         // [N] of the targets; empty: 1

  std::int64_t documents() const { return static_cast<std::int64_t>(begin.size()) - 1; }
};

// kInvalid for an id that no row of the embedding stands for.
Status CheckTokenId(std::int64_t id, std::int64_t vocabulary);

struct PackLimits {
  std::int64_t vocabulary = 0;
  std::int64_t positions = 0;  // of a document; 0: any number
};

// A document is what follows in a row with one number of batch.documents; its positions count from
// 0. Labels that stand at a document's first token are predicted by nothing. kInvalid: an id, a
// label or a length does not fit, or a row has no token.
Result<PackedRows> PackRows(const Batch& batch, const PackLimits& limits);

}  // namespace tutti::model
