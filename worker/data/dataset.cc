#include "worker/data/dataset.h"

#include <algorithm>
#include <utility>

#include "common/base/check.h"
#include "common/base/log.h"
#include "common/digest/sha256.h"
#include "worker/data/dataset_builder.h"
#include "worker/data/language_rows.h"
#include "worker/data/row_reader.h"
#include "worker/data/rows.h"
#include "worker/data/token_cache.h"

namespace tutti::data {
namespace {

// Tokens of a text, special ones included, at most `max_length`; whether some were cut.
struct CutTokens {
  std::vector<std::uint32_t> ids;
  bool cut = false;
};
Result<CutTokens> Tokenize(const text::Tokenizer& tokenizer, std::string_view text,
                           std::size_t max_length) {
  TUTTI_ASSIGN_OR_RETURN(text::Encoding whole, tokenizer.Encode(text));
  if (whole.ids.empty()) return Fail(ErrorCode::kInvalid, "the text has no tokens");
  if (whole.ids.size() <= max_length) return CutTokens{.ids = std::move(whole.ids)};
  TUTTI_ASSIGN_OR_RETURN(text::Encoding cut, tokenizer.Encode(text, {.max_length = max_length}));
  return CutTokens{.ids = std::move(cut.ids), .cut = true};
}

Status AddRow(std::vector<text::WeightedTokens> sequences, std::size_t max_length,
              DatasetBuilder& builder) {
  for (text::WeightedTokens& tokens : sequences) {
    const bool cut = tokens.ids.size() > max_length;
    if (cut) {
      tokens.ids.resize(max_length);
      tokens.weights.resize(max_length);
    }
    builder.AddWeighted(tokens.ids, tokens.weights, cut);
    TUTTI_RETURN_IF_ERROR(builder.AddLabel(std::nullopt));
  }
  return {};
}

Result<DatasetParts> ReadLanguageRows(const RowsRequest& request, const LoadOptions& options,
                                      const text::Tokenizer& tokenizer) {
  const auto max_length = static_cast<std::size_t>(options.max_length);
  DatasetBuilder builder;
  TUTTI_RETURN_IF_ERROR(ReadRows(request, [&](const Row& row) -> Status {
    TUTTI_ASSIGN_OR_RETURN(std::vector<text::WeightedTokens> sequences,
                           TokenizeLanguageRow(row, request, options, tokenizer));
    return AddRow(std::move(sequences), max_length, builder);
  }));
  builder.FinishLabels();
  return std::move(builder).Finish();
}

// Two passes: a bad row costs no tokenising, and no text is held in memory.
Result<DatasetParts> ReadAndTokenize(const RowsRequest& request, std::size_t max_length,
                                     const text::Tokenizer& tokenizer) {
  DatasetBuilder builder;
  TUTTI_RETURN_IF_ERROR(
      ReadRows(request, [&](const Row& row) { return builder.AddLabel(row.label); }));
  builder.FinishLabels();
  TUTTI_RETURN_IF_ERROR(ReadRows(request, [&](const Row& row) -> Status {
    TUTTI_ASSIGN_OR_RETURN(const CutTokens tokens, Tokenize(tokenizer, row.text, max_length));
    builder.AddTokens(tokens.ids, tokens.cut);
    return {};
  }));
  if (builder.rows() != builder.labelled_rows()) {
    return Fail(ErrorCode::kIo, "the file changed while it was read", request.shown_name);
  }
  return std::move(builder).Finish();
}

std::string ChatOf(const LoadOptions& options) {
  const bool none = options.chat == nullptr || !IsStructured(options.format);
  if (none) return {};
  return options.chat->source + "\n" + options.chat->tools_source.value_or("") + "\n" +
         options.chat->variables.dump();
}

std::optional<Dataset> FromCache(const LoadOptions& options, const Digest& key) {
  std::optional<DatasetParts> parts = ReadTokens(options.cache_dir, key);
  if (!parts) return std::nullopt;
  Result<Dataset> dataset = DatasetBuilder::Build(*std::move(parts));
  if (!dataset) return std::nullopt;
  return *std::move(dataset);
}

}  // namespace

std::optional<std::int64_t> LabelTable::IdOf(std::string_view name) const {
  const auto it = std::ranges::find(names, name);
  if (it == names.end()) return std::nullopt;
  return it - names.begin();
}

Result<RowFormat> DetectFormat(const LoadOptions& options) {
  RowsRequest request{
      .path = options.path,
      .shown_name = options.shown_name.empty() ? options.path.string() : options.shown_name};
  TUTTI_ASSIGN_OR_RETURN(request.kind, FileKindOf(options.path, options.shown_name));
  TUTTI_ASSIGN_OR_RETURN(const std::vector<std::string> names, ColumnNames(request));
  const auto column = [&options](std::string_view role) {
    const auto found = options.columns.find(std::string(role));
    return found == options.columns.end() ? std::string(role) : found->second;
  };
  const auto has = [&](std::string_view role) {
    return std::ranges::find(names, column(role)) != names.end();
  };
  for (const RowFormat format :
       {RowFormat::kChat, RowFormat::kShareGpt, RowFormat::kPreference, RowFormat::kAlpaca,
        RowFormat::kPromptCompletion, RowFormat::kText}) {
    const bool all = std::ranges::all_of(
        RolesOf(format), [&has](const RoleOf& role) { return !role.required || has(role.name); });
    if (all) return format;
  }
  return Fail(
      ErrorCode::kInvalid, "no known format has these columns: " + ListColumns(names),
      request.shown_name,
      "formats are chat (messages), sharegpt (conversations), alpaca (instruction, output), "
      "preference (chosen, rejected), prompt-completion (prompt, completion) and text (text); "
      "data.columns names the columns of these roles");
}

Result<bool> HasMessages(const LoadOptions& options) {
  RowsRequest request{
      .path = options.path,
      .shown_name = options.shown_name.empty() ? options.path.string() : options.shown_name,
      .format = options.format};
  TUTTI_ASSIGN_OR_RETURN(request.kind, FileKindOf(options.path, options.shown_name));
  TUTTI_ASSIGN_OR_RETURN(request.columns, ColumnsOf(options.columns, options.format));
  if (request.kind.format != FileFormat::kJsonLines) return false;
  TUTTI_ASSIGN_OR_RETURN(const nlohmann::ordered_json first, FirstObject(request));
  const auto chosen = request.columns.by_role.find("chosen");
  if (chosen == request.columns.by_role.end() || !first.is_object()) return false;
  const auto found = first.find(chosen->second);
  return found != first.end() && found->is_array();
}

Result<Dataset> Dataset::Load(const LoadOptions& options, const text::Tokenizer& tokenizer) {
  RowsRequest request{
      .path = options.path,
      .shown_name = options.shown_name.empty() ? options.path.string() : options.shown_name,
      .format = options.format,
      .require_labels = options.require_labels};
  TUTTI_ASSIGN_OR_RETURN(request.kind, FileKindOf(options.path, options.shown_name));
  TUTTI_ASSIGN_OR_RETURN(request.columns, ColumnsOf(options.columns, options.format));
  if (options.max_length < 1) {
    return Fail(ErrorCode::kInvalid, "max_length must be at least 1", "data.max_length");
  }
  const auto max_length = static_cast<std::size_t>(options.max_length);
  std::optional<Digest> key;
  if (!options.cache_dir.empty()) {
    TUTTI_ASSIGN_OR_RETURN(const Digest data, Sha256OfFile(options.path));
    key = KeyOf({.data = data,
                 .tokenizer = tokenizer.digest(),
                 .kind = request.kind,
                 .columns = request.columns,
                 .max_length = options.max_length,
                 .require_labels = options.require_labels,
                 .format = options.format,
                 .train_on_inputs = options.train_on_inputs,
                 .end_token = options.end_token,
                 .chat = ChatOf(options)});
    if (auto cached = FromCache(options, *key)) return *std::move(cached);
  }
  TUTTI_ASSIGN_OR_RETURN(DatasetParts parts, options.format == RowFormat::kTextLabel
                                                 ? ReadAndTokenize(request, max_length, tokenizer)
                                                 : ReadLanguageRows(request, options, tokenizer));
  if (key) {
    const Status written = WriteTokens(options.cache_dir, *key, parts);
    if (!written) Log(kWarning, "token_cache_not_written", {{"error", written.error().ToString()}});
  }
  return DatasetBuilder::Build(std::move(parts));
}

std::span<const std::int32_t> Dataset::Tokens(std::int64_t row) const {
  TUTTI_CHECK(row >= 0 && row < rows(), "row ", row, " of ", rows());
  const auto from = static_cast<std::size_t>(offsets_[static_cast<std::size_t>(row)]);
  const auto to = static_cast<std::size_t>(offsets_[static_cast<std::size_t>(row) + 1]);
  return std::span(ids_).subspan(from, to - from);
}

std::span<const float> Dataset::Weights(std::int64_t row) const {
  TUTTI_CHECK(row >= 0 && row < rows(), "row ", row, " of ", rows());
  if (weights_.empty()) return {};
  const auto from = static_cast<std::size_t>(offsets_[static_cast<std::size_t>(row)]);
  const auto to = static_cast<std::size_t>(offsets_[static_cast<std::size_t>(row) + 1]);
  return std::span(weights_).subspan(from, to - from);
}

const std::string& Dataset::LabelOf(std::int64_t row) const {
  static const std::string kEmpty;
  TUTTI_CHECK(row >= 0 && row < rows(), "row ", row, " of ", rows());
  const std::int32_t index = label_index_[static_cast<std::size_t>(row)];
  return index == kNoLabel ? kEmpty : label_texts_[static_cast<std::size_t>(index)];
}

Result<std::vector<std::int64_t>> Dataset::LabelIds(const LabelTable& table, bool strict,
                                                    std::int64_t* unknown) const {
  std::vector<std::int64_t> id_of(label_texts_.size(), kIgnoreLabel);
  for (std::size_t i = 0; i < id_of.size(); ++i) {
    if (labels_.integers && table.integers) {
      if (i < table.names.size()) id_of[i] = static_cast<std::int64_t>(i);
      continue;
    }
    for (const std::string& name : {label_texts_[i], labels_.names[i]}) {
      if (id_of[i] == kIgnoreLabel) id_of[i] = table.IdOf(name).value_or(kIgnoreLabel);
    }
  }
  std::vector<std::int64_t> ids(label_index_.size(), kIgnoreLabel);
  std::int64_t missing = 0;
  for (std::size_t row = 0; row < ids.size(); ++row) {
    const std::int32_t index = label_index_[row];
    if (index != kNoLabel) ids[row] = id_of[static_cast<std::size_t>(index)];
    if (ids[row] != kIgnoreLabel) continue;
    if (strict) {
      const std::string what =
          index == kNoLabel ? "has no label" : "has a label that is no class: ";
      return Fail(ErrorCode::kInvalid, "row " + std::to_string(row + 1) + " " + what +
                                           LabelOf(static_cast<std::int64_t>(row)));
    }
    ++missing;
  }
  if (unknown != nullptr) *unknown = missing;
  return ids;
}

}  // namespace tutti::data
