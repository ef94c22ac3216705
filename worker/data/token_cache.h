// Tokenised data on disk, named by what it was made from. A file that does not verify is as good as
// none; several processes may read and write one at the same time. Free functions.
#pragma once

#include <filesystem>
#include <optional>

#include "common/base/result.h"
#include "common/digest/sha256.h"
#include "worker/data/dataset_builder.h"
#include "worker/data/rows.h"

namespace tutti::data {

// What the tokens follow from.
struct TokenSource {
  Digest data;       // of the file as it lies
  Digest tokenizer;  // of tokenizer.json
  FileKind kind{};
  Columns columns{};
  std::int64_t max_length = 0;
  bool require_labels = true;
  RowFormat format = RowFormat::kTextLabel;
  bool train_on_inputs = false;
  std::optional<std::uint32_t> end_token{};
  std::string chat{};  // the chat template and its variables
};
Digest KeyOf(const TokenSource& source);

// Nothing when there is none, or none that verifies.
std::optional<DatasetParts> ReadTokens(const std::filesystem::path& cache_dir, const Digest& key);
// Temp file → rename. Makes the folder.
Status WriteTokens(const std::filesystem::path& cache_dir, const Digest& key,
                   const DatasetParts& parts);

}  // namespace tutti::data
