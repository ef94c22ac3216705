#include "worker/engine/answer_stream.h"

#include <algorithm>
#include <utility>

namespace tutti::engine {

std::string_view BeforeStop(std::string_view text, std::span<const std::string> stops) {
  std::size_t end = text.size();
  for (const std::string& stop : stops) end = std::min(end, text.find(stop));
  return text.substr(0, end);
}

std::string AnswerStream::Show(bool all) {
  const std::string_view shown = BeforeStop(held_, stops_);
  if (shown.size() < held_.size()) {
    stopped_ = true;
    held_.resize(shown.size());
    return std::exchange(held_, {});
  }
  std::size_t kept = 0;  // bytes at the end that a stop string may begin with
  for (const std::string& stop : stops_) {
    for (std::size_t size = std::min(stop.size() - 1, held_.size()); !all && size > kept; --size) {
      if (held_.ends_with(std::string_view(stop).substr(0, size))) kept = size;
    }
  }
  std::string text = held_.substr(0, held_.size() - kept);
  held_.erase(0, text.size());
  return text;
}

Result<std::string> AnswerStream::Take(std::uint32_t token) {
  TUTTI_ASSIGN_OR_RETURN(const std::string text, decoder_.Next(token));
  held_ += text;
  return Show(/*all=*/false);
}

Result<std::string> AnswerStream::Finish() {
  if (stopped_) return std::string();
  TUTTI_ASSIGN_OR_RETURN(const std::string text, decoder_.Finish());
  held_ += text;
  return Show(/*all=*/true);
}

}  // namespace tutti::engine
