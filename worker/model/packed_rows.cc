#include "worker/model/packed_rows.h"

#include <string>

#include "common/base/check.h"

namespace tutti::model {
namespace {

// Fills PackedRows row by row.
class Packer {
 public:
  Packer(const Batch& batch, const PackLimits& limits, PackedRows& packed)
      : batch_(batch),
        limits_(limits),
        packed_(packed),
        by_token_(batch.labels.size() == batch.input_ids.size()) {}

  Status Row(std::int64_t row) {
    fresh_ = true;
    const std::int64_t before = Count();
    for (std::int64_t column = 0; column < batch_.columns; ++column) {
      const auto at = static_cast<std::size_t>(row * batch_.columns + column);
      if (!batch_.attention_mask.empty() && batch_.attention_mask[at] == 0) continue;
      TUTTI_RETURN_IF_ERROR(Token(at));
    }
    if (Count() > before) return {};
    return Fail(ErrorCode::kInvalid, "a row has no token");
  }

 private:
  std::int64_t Count() const { return static_cast<std::int64_t>(packed_.ids.size()); }

  Status Token(std::size_t at) {
    TUTTI_RETURN_IF_ERROR(CheckTokenId(batch_.input_ids[at], limits_.vocabulary));
    const std::int64_t document = batch_.documents.empty() ? 0 : batch_.documents[at];
    if (fresh_ || document != document_) {
      packed_.begin.push_back(Count());
    } else if (by_token_ && batch_.labels[at] != kIgnoreLabel) {
      TUTTI_RETURN_IF_ERROR(CheckTokenId(batch_.labels[at], limits_.vocabulary));
      packed_.targets.back() = batch_.labels[at];
      if (!packed_.weights.empty()) packed_.weights.back() = batch_.weights[at];
    }
    fresh_ = false;
    document_ = document;
    const std::int64_t position = Count() - packed_.begin.back();
    if (limits_.positions > 0 && position >= limits_.positions) {
      return Fail(ErrorCode::kInvalid, "a row has more than the model's " +
                                           std::to_string(limits_.positions) + " positions");
    }
    packed_.ids.push_back(batch_.input_ids[at]);
    packed_.positions.push_back(position);
    packed_.cells.push_back(static_cast<std::int64_t>(at));
    packed_.targets.push_back(kIgnoreLabel);
    if (!batch_.weights.empty()) packed_.weights.push_back(0);
    return {};
  }

  const Batch& batch_;
  const PackLimits& limits_;
  PackedRows& packed_;
  bool by_token_;
  bool fresh_ = true;  // the row has no token yet
  std::int64_t document_ = 0;
};

}  // namespace

Status CheckTokenId(std::int64_t id, std::int64_t vocabulary) {
  if (id >= 0 && id < vocabulary) return {};
  return Fail(ErrorCode::kInvalid,
              "token id " + std::to_string(id) + " is outside the model's vocabulary of " +
                  std::to_string(vocabulary),
              {}, "the tokenizer and the model do not belong together");
}

Result<PackedRows> PackRows(const Batch& batch, const PackLimits& limits) {
  const auto cells = static_cast<std::size_t>(batch.rows * batch.columns);
  TUTTI_CHECK(batch.input_ids.size() == cells, "input_ids are not [B, T]");
  TUTTI_CHECK(batch.attention_mask.empty() || batch.attention_mask.size() == cells, "mask");
  TUTTI_CHECK(batch.documents.empty() || batch.documents.size() == cells, "documents");
  TUTTI_CHECK(batch.weights.empty() || batch.weights.size() == cells, "weights");
  if (cells == 0) return Fail(ErrorCode::kInvalid, "a micro-batch has no token");
  PackedRows packed{.B = batch.rows, .T = batch.columns};
  Packer packer(batch, limits, packed);
  for (std::int64_t row = 0; row < batch.rows; ++row) TUTTI_RETURN_IF_ERROR(packer.Row(row));
  packed.N = static_cast<std::int64_t>(packed.ids.size());
  packed.begin.push_back(packed.N);
  return packed;
}

}  // namespace tutti::model
