#include "worker/data/characters.h"

#include <utility>

#include "worker/data/utf8.h"

namespace tutti::data {

void Characters::Stop(ErrorCode code, std::string message, std::int64_t line, std::string hint) {
  if (!status_) return;
  status_ =
      Fail(code, std::move(message), shown_name_ + ":" + std::to_string(line), std::move(hint));
  left_ = {};
}

bool Characters::Fill() {
  if (!status_) return false;
  if (!started_) return FillStart();
  const Result<std::string_view> block = source_.Next();
  if (!block) {
    Stop(block.error().code, block.error().message, line_, block.error().hint);
    return false;
  }
  left_ = *block;
  return !left_.empty();
}

bool Characters::FillStart() {
  started_ = true;
  while (start_.size() < kByteOrderMark.size() && Fill()) start_ += std::exchange(left_, {});
  if (!status_) return false;
  left_ = start_;
  if (left_.starts_with(kByteOrderMark)) left_.remove_prefix(kByteOrderMark.size());
  return !left_.empty() || Fill();
}

bool Characters::TakeLine(std::string& line, std::size_t max) {
  line.clear();
  if (Peek() == kEnd) return false;
  for (;;) {
    const std::size_t end = left_.find('\n');
    const std::string_view part = left_.substr(0, end);
    if (part.size() > max - line.size()) {
      Stop(ErrorCode::kTooLarge, "a row above " + std::to_string(max) + " bytes", line_,
           "cut it into several rows, or leave it out");
      return false;
    }
    line += part;
    if (end != std::string_view::npos) {
      left_.remove_prefix(end + 1);
      ++line_;
      break;
    }
    left_ = {};
    if (Peek() == kEnd) break;
  }
  if (line.ends_with('\r')) line.pop_back();
  return status_.has_value();
}

}  // namespace tutti::data
