// The characters of a data file with their line numbers. For worker/data; one thread.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

#include "common/base/result.h"
#include "worker/data/byte_source.h"

namespace tutti::data {

class Characters {
 public:
  static constexpr int kEnd = -1;

  // A byte order mark at the start is skipped.
  Characters(ByteSource source, std::string shown_name)
      : source_(std::move(source)), shown_name_(std::move(shown_name)) {}

  // The next character, 0 … 255; kEnd at the end and after an error.
  int Peek() { return left_.empty() && !Fill() ? kEnd : static_cast<unsigned char>(left_.front()); }
  int Take() {
    const int c = Peek();
    if (c == kEnd) return kEnd;
    left_.remove_prefix(1);
    if (c == '\n') ++line_;
    return c;
  }
  // Copies what comes before the next '\n' (a '\r' before it is left out) and takes both. False at
  // the end and after an error. `max`: of the line, in bytes; kTooLarge beyond.
  bool TakeLine(std::string& line, std::size_t max);

  // Of the next character, from 1.
  std::int64_t line() const { return line_; }
  // Why reading ended early.
  const Status& status() const { return status_; }
  // Ends reading with this error, at a line of the file.
  void Stop(ErrorCode code, std::string message, std::int64_t line, std::string hint = {});
  const std::string& shown_name() const { return shown_name_; }

 private:
  bool Fill();
  bool FillStart();

  ByteSource source_;
  std::string shown_name_;
  std::string start_;  // the first bytes, gathered to look for a byte order mark
  std::string_view left_;
  std::int64_t line_ = 1;
  bool started_ = false;
  Status status_;
};

}  // namespace tutti::data
