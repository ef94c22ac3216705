// Rows of a data set, tokenised: what a training or evaluation loop draws from.
// Immutable once loaded; any thread.
#pragma once

#include <cstdint>
#include <filesystem>
#include <map>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <variant>
#include <vector>

#include "common/base/result.h"
#include "worker/data/rows.h"
#include "worker/text/chat_format.h"
#include "worker/text/tokenizer.h"

namespace tutti::data {

// Labels in the order of their ids. Text labels are sorted by bytes; int labels 0 … max keep their
// number and are named LABEL_n unless the model names them.
struct LabelTable {
  std::vector<std::string> names;
  bool integers = false;
  std::optional<std::int64_t> IdOf(std::string_view name) const;
};

struct LoadOptions {
  std::filesystem::path path;                  // .jsonl .json .csv .tsv, with .gz too
  std::string shown_name;                      // in errors: "sections.train.jsonl"; empty = path
  std::map<std::string, std::string> columns;  // role -> column: {"text": "body"}
  std::int64_t max_length = 512;               // tokens, special ones included; longer rows are cut
  std::filesystem::path cache_dir;             // tokenised data by content; empty = no cache
  bool require_labels = true;
  RowFormat format = RowFormat::kTextLabel;
  bool train_on_inputs = false;              // of prompts: they are predicted, too
  std::optional<std::uint32_t> end_token{};  // closes the rows of a language model
  // How conversations are written; what has them needs it.
  std::shared_ptr<const text::ChatFormat> chat{};
};

// The format that a language model's file has by its columns, those of conversations first.
// kInvalid, with the columns that the formats have, where it is none.
Result<RowFormat> DetectFormat(const LoadOptions& options);

// Whether the answers of a file of preferences are messages, and so written by a chat template.
Result<bool> HasMessages(const LoadOptions& options);

// The class id of a label that is no class (PyTorch's ignore_index).
inline constexpr std::int64_t kIgnoreLabel = -100;

class Dataset {
 public:
  static constexpr std::int32_t kNoLabel = -1;

  // Reads, checks and tokenises. kInvalid names "file:line" (the first 20 bad rows are in the
  // message). The cache is used when it holds this content with this tokenizer and these options.
  static Result<Dataset> Load(const LoadOptions& options, const text::Tokenizer& tokenizer);

  std::int64_t rows() const { return static_cast<std::int64_t>(offsets_.size()) - 1; }
  std::span<const std::int32_t> Tokens(std::int64_t row) const;
  // How much each token counts as something to predict, as many as Tokens: 0 = it is context alone.
  // Empty for rows with labels.
  std::span<const float> Weights(std::int64_t row) const;
  std::int64_t tokens() const { return static_cast<std::int64_t>(ids_.size()); }
  std::int64_t cut_rows() const { return cut_rows_; }  // longer than max_length

  // The label as the file has it; empty where there is none.
  const std::string& LabelOf(std::int64_t row) const;
  // Labels of this file: the distinct ones, or 0 to the largest whole number.
  const LabelTable& labels() const { return labels_; }
  // Ids of every row's label in `table`: by name, whole numbers as they are when the table has them
  // too. A label that `table` lacks is kInvalid when `strict`, else kIgnoreLabel and counted in
  // `unknown`; so is a row without a label.
  Result<std::vector<std::int64_t>> LabelIds(const LabelTable& table, bool strict,
                                             std::int64_t* unknown = nullptr) const;

 private:
  friend class DatasetBuilder;
  std::vector<std::int64_t> offsets_{0};  // [rows + 1] into ids_
  std::vector<std::int32_t> ids_;
  std::vector<float> weights_;             // as many as ids_, or none
  std::vector<std::int32_t> label_index_;  // [rows] into labels_.names; kNoLabel: none
  std::vector<std::string> label_texts_;   // as the file has them, by index
  LabelTable labels_;
  std::int64_t cut_rows_ = 0;
};

}  // namespace tutti::data
