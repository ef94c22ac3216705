#include "worker/model/parameters.h"

#include <algorithm>
#include <utility>

#include "common/base/check.h"

namespace tutti::model {
namespace {

// `word` as a whole part of a dotted name, preceded by nothing else in its part.
bool HasPart(std::string_view name, std::string_view word) {
  for (std::size_t at = name.find(word); at != name.npos; at = name.find(word, at + 1)) {
    const std::size_t end = at + word.size();
    if ((at == 0 || name[at - 1] == '.') && (end == name.size() || name[end] == '.')) return true;
  }
  return false;
}

bool HasPartEndingWith(std::string_view name, std::string_view word) {
  for (std::size_t at = name.find(word); at != name.npos; at = name.find(word, at + 1)) {
    const std::size_t end = at + word.size();
    if (end == name.size() || name[end] == '.') return true;
  }
  return false;
}

}  // namespace

bool DecaysByName(std::string_view name) {
  std::string lower(name);
  std::ranges::transform(lower, lower.begin(), [](char c) {
    return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c;
  });
  const std::string_view text = lower;
  for (const std::string_view word : {"bias", "layernorm", "rmsnorm"}) {
    if (text.find(word) != text.npos) return false;
  }
  return !HasPart(text, "norm") && !HasPartEndingWith(text, "_norm");
}

std::int64_t ParameterLayout::Add(std::string name, std::vector<std::int64_t> shape,
                                  const ParameterOptions& options) {
  ParameterInfo info{.name = std::move(name), .shape = std::move(shape)};
  info.offset = (end_ + kAlignment - 1) / kAlignment * kAlignment;
  info.count = 1;
  for (const std::int64_t size : info.shape) info.count *= size;
  info.decay = !options.norm && DecaysByName(info.name);
  info.padding_row = options.padding_row;
  info.fresh_deviation = options.fresh_deviation;
  end_ = info.offset + info.count;
  elements_ += info.count;
  const bool added = by_name_.emplace(info.name, parameters_.size()).second;
  TUTTI_CHECK(added, "two parameters are called ", info.name);
  parameters_.push_back(std::move(info));
  return parameters_.back().offset;
}

const ParameterInfo* ParameterLayout::Find(std::string_view name) const {
  const auto found = by_name_.find(name);
  return found == by_name_.end() ? nullptr : &parameters_[found->second];
}

}  // namespace tutti::model
