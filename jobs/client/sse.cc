#include "jobs/client/sse.h"

#include <cstddef>

namespace tutti::client {
namespace {

constexpr std::size_t kLineMax = std::size_t{8} << 20;

}  // namespace

std::vector<ServerEvent> EventParser::Feed(std::string_view bytes) {
  std::vector<ServerEvent> out;
  for (const char c : bytes) {
    // A line ends with LF, CR, or CR LF.
    if (skip_newline_ && c == '\n') {
      skip_newline_ = false;
      continue;
    }
    skip_newline_ = c == '\r';
    if (c == '\n' || c == '\r') {
      TakeLine(line_, out);
      line_.clear();
    } else if (line_.size() < kLineMax) {
      line_.push_back(c);
    }
  }
  return out;
}

void EventParser::TakeLine(std::string_view line, std::vector<ServerEvent>& out) {
  if (line.empty()) {
    if (has_data_) {
      out.push_back({type_.empty() ? "message" : type_, std::move(data_), last_id_});
    }
    type_.clear();
    data_.clear();
    has_data_ = false;
    return;
  }
  const std::size_t colon = line.find(':');
  if (colon == 0) return;  // a comment
  const std::string_view field = line.substr(0, colon);
  std::string_view value = colon == std::string_view::npos ? "" : line.substr(colon + 1);
  if (value.starts_with(' ')) value.remove_prefix(1);
  if (field == "event") {
    type_ = value;
  } else if (field == "data") {
    if (has_data_) data_.push_back('\n');
    data_ += value;
    has_data_ = true;
  } else if (field == "id" && value.find('\0') == std::string_view::npos) {
    last_id_ = value;
  }
}

}  // namespace tutti::client
