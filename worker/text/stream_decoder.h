// Text of tokens as they come: what is complete, never half a character, with the spaces that
// decoding all of them at once gives. One thread.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "common/base/result.h"
#include "worker/text/tokenizer.h"

namespace tutti::text {

class StreamDecoder {
 public:
  // Borrows the tokenizer.
  StreamDecoder(const Tokenizer& tokenizer, bool skip_special)
      : tokenizer_(&tokenizer), skip_special_(skip_special) {}

  // What this token completes; empty while a character is not whole. The last one as with Finish.
  Result<std::string> Next(std::uint32_t id, bool last = false);
  // What is left: bytes that never became a character, as U+FFFD.
  Result<std::string> Finish();

 private:
  Result<std::string> Rest(bool all);

  const Tokenizer* tokenizer_;
  bool skip_special_;
  std::vector<std::uint32_t> ids_;
  std::size_t context_ = 0;  // decoded with what follows, so that its spaces come out right
  std::size_t given_ = 0;    // ids whose text was given out
};

}  // namespace tutti::text
