#include "worker/data/dataset_builder.h"

#include <algorithm>

namespace tutti::data {
namespace {

constexpr std::size_t kLabelsMax = 65'536;

}  // namespace

Status DatasetBuilder::AddLabel(const std::optional<Label>& label) {
  if (!label) {
    parts_.label_index.push_back(Dataset::kNoLabel);
    return {};
  }
  auto it = index_of_.find(label->text);
  if (it == index_of_.end()) {
    if (index_of_.size() == kLabelsMax) {
      return Fail(ErrorCode::kTooLarge, "more than 65,536 different labels");
    }
    it = index_of_.emplace(label->text, static_cast<std::int32_t>(index_of_.size())).first;
    parts_.integers = label->integer;
  }
  parts_.label_index.push_back(it->second);
  return {};
}

void DatasetBuilder::FinishLabels() {
  std::vector<std::int32_t> id_of(index_of_.size());
  if (parts_.integers) {
    std::int32_t largest = -1;
    for (const auto& [text, index] : index_of_) {
      id_of[static_cast<std::size_t>(index)] = std::stoi(text);
      largest = std::max(largest, std::stoi(text));
    }
    for (std::int32_t i = 0; i <= largest; ++i) parts_.label_texts.push_back(std::to_string(i));
  } else {
    for (const auto& [text, index] : index_of_) {
      id_of[static_cast<std::size_t>(index)] = static_cast<std::int32_t>(parts_.label_texts.size());
      parts_.label_texts.push_back(text);
    }
  }
  for (std::int32_t& index : parts_.label_index) {
    if (index != Dataset::kNoLabel) index = id_of[static_cast<std::size_t>(index)];
  }
  index_of_.clear();
}

void DatasetBuilder::AddTokens(std::span<const std::uint32_t> tokens, bool cut) {
  for (const std::uint32_t token : tokens) parts_.ids.push_back(static_cast<std::int32_t>(token));
  parts_.offsets.push_back(static_cast<std::int64_t>(parts_.ids.size()));
  if (cut) ++parts_.cut_rows;
}

void DatasetBuilder::AddWeighted(std::span<const std::uint32_t> tokens,
                                 std::span<const float> weights, bool cut) {
  parts_.weights.insert(parts_.weights.end(), weights.begin(), weights.end());
  AddTokens(tokens, cut);
}

Result<Dataset> DatasetBuilder::Build(DatasetParts parts) {
  const auto labels = static_cast<std::int32_t>(parts.label_texts.size());
  const bool fits =
      !parts.offsets.empty() && parts.offsets.front() == 0 &&
      parts.offsets.back() == static_cast<std::int64_t>(parts.ids.size()) &&
      std::ranges::is_sorted(parts.offsets) &&
      (parts.weights.empty() || parts.weights.size() == parts.ids.size()) &&
      std::ranges::all_of(parts.weights, [](float w) { return w >= 0 && w < 1e6F; }) &&
      parts.label_index.size() == parts.offsets.size() - 1 &&
      std::ranges::all_of(parts.label_index, [&](std::int32_t index) {
        return index >= Dataset::kNoLabel && index < labels;
      });
  if (!fits) return Fail(ErrorCode::kInvalid, "the parts of a data set do not fit together");
  Dataset dataset;
  dataset.offsets_ = std::move(parts.offsets);
  dataset.ids_ = std::move(parts.ids);
  dataset.weights_ = std::move(parts.weights);
  dataset.label_index_ = std::move(parts.label_index);
  dataset.label_texts_ = std::move(parts.label_texts);
  dataset.cut_rows_ = parts.cut_rows;
  dataset.labels_.integers = parts.integers;
  for (const std::string& text : dataset.label_texts_) {
    dataset.labels_.names.push_back((parts.integers ? "LABEL_" : "") + text);
  }
  return dataset;
}

}  // namespace tutti::data
