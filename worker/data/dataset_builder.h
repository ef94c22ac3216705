// Fills a Dataset. For worker/data only; one thread.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "common/base/result.h"
#include "worker/data/dataset.h"
#include "worker/data/rows.h"

namespace tutti::data {

// The parts of a Dataset as a file keeps them.
struct DatasetParts {
  std::vector<std::int64_t> offsets{0};
  std::vector<std::int32_t> ids{};
  std::vector<float> weights{};  // as many as ids, or none
  std::vector<std::int32_t> label_index{};
  std::vector<std::string> label_texts{};
  bool integers = false;
  std::int64_t cut_rows = 0;
};

class DatasetBuilder {
 public:
  // First pass: the label of every row, in order. kTooLarge: more than 65,536 different ones.
  Status AddLabel(const std::optional<Label>& label);
  // Sorts the labels and numbers them.
  void FinishLabels();
  std::int64_t labelled_rows() const {
    return static_cast<std::int64_t>(parts_.label_index.size());
  }

  // Second pass: the tokens of every row, in order.
  void AddTokens(std::span<const std::uint32_t> tokens, bool cut);
  // The same of a row whose tokens count differently; all rows are added so, or none.
  void AddWeighted(std::span<const std::uint32_t> tokens, std::span<const float> weights, bool cut);
  std::int64_t rows() const { return static_cast<std::int64_t>(parts_.offsets.size()) - 1; }

  DatasetParts Finish() && { return std::move(parts_); }
  // kInvalid when the parts do not fit together.
  static Result<Dataset> Build(DatasetParts parts);

 private:
  DatasetParts parts_;
  std::map<std::string, std::int32_t, std::less<>> index_of_;  // in order of appearance
};

}  // namespace tutti::data
