// Text of tokens as they come: what no later token can change, never half a character, with the
// spaces that decoding all of them at once gives. One thread.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "common/base/result.h"
#include "worker/text/tokenizer.h"

namespace tutti::text {

class StreamDecoder {
 public:
  // Borrows the tokenizer.
  StreamDecoder(const Tokenizer& tokenizer, bool skip_special);

  // What this token completes; empty while a character is not whole. The last one as with Finish.
  Result<std::string> Next(std::uint32_t id, bool last = false);
  // What is left: bytes that never became a character, as U+FFFD.
  Result<std::string> Finish();

 private:
  // A token, and the text that it adds to a text that no token can change any more.
  struct Probe {
    std::uint32_t id = 0;
    std::string_view adds;
  };

  std::optional<Probe> ProbeOf(std::string_view token, std::string_view adds) const;
  Result<bool> IsFinal(const std::string& text);
  Result<std::string> Rest(bool all);

  const Tokenizer* tokenizer_;
  bool skip_special_;
  std::vector<Probe> probes_;               // empty: of neither kind below
  std::vector<std::uint32_t> byte_tokens_;  // ascending; of byte fallback: <0x00> … <0xFF>
  std::vector<std::uint32_t> ids_;
  std::size_t context_ = 0;  // decoded with what follows, so that its spaces come out right
  std::size_t given_ = 0;    // ids whose text was given out
};

}  // namespace tutti::text
