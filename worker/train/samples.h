// The rows a job trains or evaluates on, and how a step's rows are dealt to shards and
// micro-batches. The same for every rank and every size of the gang. Pure; any thread.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <vector>

#include "common/base/result.h"
#include "worker/data/dataset.h"
#include "worker/model/model.h"

namespace tutti::train {

// Some rows of a data set with their class ids; model::kIgnoreLabel = a label that is no class. Of
// a language model's rows the tokens are the labels; several may share one sample.
struct Samples {
  std::shared_ptr<const data::Dataset> dataset;
  std::vector<std::int64_t> rows{};    // of the data set
  std::vector<std::int64_t> labels{};  // as many; none of a language model
  std::vector<std::int64_t> packs{};   // [size + 1] where in `rows` each sample begins; none: each
                                       // row is a sample
  bool pairs = false;                  // samples of two rows: the preferred answer and the other

  std::int64_t size() const {
    return static_cast<std::int64_t>(packs.empty() ? rows.size() : packs.size() - 1);
  }
  std::span<const std::int64_t> RowsOf(std::int64_t sample) const;
  // What its loss is divided by: 1 of a row with a class and of a pair, else the weights of what is
  // predicted.
  double ItemsOf(std::int64_t sample) const;
  // The weights of what is predicted in one row of a language model.
  double PredictedIn(std::int64_t row) const;
  bool by_token() const { return labels.empty() && !rows.empty(); }
};

// Every row. A label that `table` lacks is kInvalid when `strict`, else no class.
Result<Samples> AllRows(std::shared_ptr<const data::Dataset> dataset, const data::LabelTable& table,
                        bool strict);

// Every row, for a language model.
Samples AllRows(std::shared_ptr<const data::Dataset> dataset);
// Rows 2i and 2i + 1 as sample i: the two answers of a preference.
Samples Pairs(std::shared_ptr<const data::Dataset> dataset);
// Samples of at most `max_length` tokens made of several rows, where rows in their order find the
// first sample that has room (first fit over the longest first).
Samples Pack(const Samples& samples, std::int64_t max_length);

struct Split {
  Samples train, eval;
};
// `fraction` of the rows, rounded up, drawn by `seed`, for evaluation; both parts in the order of
// the file. kInvalid when nothing would be left to train on.
Result<Split> SplitRows(const Samples& samples, double fraction, std::uint64_t seed);

// What is dealt in one step: a global batch of `rows` indices of Samples, in the epoch's order.
struct Deal {
  std::int64_t shards = 1;
  std::int64_t micro_batch = 8;

  // The part of `rows` that shard `shard` gets: contiguous, as equal as can be; maybe empty.
  std::span<const std::int64_t> OfShard(std::span<const std::int64_t> rows,
                                        std::int64_t shard) const;
};

// The order in which the rows are drawn, epoch by epoch: `global_batch` rows a step, the last of an
// epoch has what is left.
class EpochOrder {
 public:
  EpochOrder(std::int64_t rows, std::int64_t global_batch, std::uint64_t seed);

  // Indices of step `step`, counted from 0; valid until the next call.
  std::span<const std::int64_t> RowsOf(std::int64_t step);
  std::int64_t steps_per_epoch() const { return steps_per_epoch_; }

 private:
  std::int64_t rows_, global_batch_, steps_per_epoch_;
  std::uint64_t seed_;
  std::int64_t epoch_ = -1;
  std::vector<std::int64_t> order_;  // of epoch_
};

// The padded micro-batch of `rows` (indices of `samples`), as long as its longest one. Labels that
// are no class stay so.
model::Batch MakeBatch(const Samples& samples, std::span<const std::int64_t> rows);
// Tokens of these rows, padding aside.
std::int64_t CountTokens(const Samples& samples, std::span<const std::int64_t> rows);

}  // namespace tutti::train
