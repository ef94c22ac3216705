// An answer's text as its tokens come, up to the first stop string: what may be the beginning of
// one is held back until it is known. One thread.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "common/base/result.h"
#include "worker/text/stream_decoder.h"
#include "worker/text/tokenizer.h"

namespace tutti::engine {

class AnswerStream {
 public:
  // Borrows both.
  AnswerStream(const text::Tokenizer& tokenizer, std::span<const std::string> stops)
      : decoder_(tokenizer, /*skip_special=*/true), stops_(stops) {}

  // What can be shown now. REQUIRES: not stopped().
  Result<std::string> Take(std::uint32_t token);
  // The rest, once no token follows.
  Result<std::string> Finish();
  bool stopped() const { return stopped_; }

 private:
  std::string Show(bool all);

  text::StreamDecoder decoder_;
  std::span<const std::string> stops_;
  std::string held_;
  bool stopped_ = false;
};

// `text` before the first of the stop strings in it.
std::string_view BeforeStop(std::string_view text, std::span<const std::string> stops);

}  // namespace tutti::engine
