// Rows of a classification data set, tokenised: what a training or evaluation loop draws from.
// Immutable once loaded; any thread.
#pragma once

#include <cstdint>
#include <filesystem>
#include <map>
#include <optional>
#include <span>
#include <string>
#include <variant>
#include <vector>

#include "common/base/result.h"
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
};

class Dataset {
 public:
  // Reads, checks and tokenises. kInvalid names "file:line" (the first 20 bad rows are in the
  // message). The cache is used when it holds this content with this tokenizer and these options.
  static Result<Dataset> Load(const LoadOptions& options, const text::Tokenizer& tokenizer);

  std::int64_t rows() const { return static_cast<std::int64_t>(offsets_.size()) - 1; }
  std::span<const std::int32_t> Tokens(std::int64_t row) const;
  std::int64_t tokens() const { return static_cast<std::int64_t>(ids_.size()); }
  std::int64_t cut_rows() const { return cut_rows_; }  // longer than max_length

  // The label as the file has it; empty without labels.
  const std::string& LabelOf(std::int64_t row) const;
  // Distinct labels of this file.
  const LabelTable& labels() const { return labels_; }
  // Ids of every row's label in `table`; a label that `table` lacks is kInvalid when `strict`, else
  // kIgnoreLabel (-100) and counted in `unknown`.
  Result<std::vector<std::int64_t>> LabelIds(const LabelTable& table, bool strict,
                                             std::int64_t* unknown = nullptr) const;

 private:
  friend class DatasetBuilder;
  std::vector<std::int64_t> offsets_{0};  // [rows + 1] into ids_
  std::vector<std::int32_t> ids_;
  std::vector<std::int32_t> label_index_;  // [rows] into labels_.names
  LabelTable labels_;
  std::int64_t cut_rows_ = 0;
};

}  // namespace tutti::data
