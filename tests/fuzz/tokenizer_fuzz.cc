// Any bytes as a tokenizer.json: refused with a bounded message, or a tokenizer that turns short
// texts into ids and back, or says why not.

#include <cstdint>
#include <string>
#include <string_view>

#include "common/base/check.h"
#include "tests/fuzz/fuzz_target.h"
#include "worker/text/tokenizer.h"

namespace tutti::text {
namespace {

void CheckError(const Error& error) {
  TUTTI_CHECK(error.ToString().size() < 8192, error.ToString().size(), " bytes of problem");
}

void Run(std::string_view json) {
  const auto tokenizer = Tokenizer::FromJson(json, "tokenizer.json");
  if (!tokenizer) return CheckError(tokenizer.error());
  for (const std::string_view text : {"", "a b", "Ein Satz, l\xc3\xa4nger.\n\t1234 aaaaaaaaaaaa"}) {
    const auto encoding = tokenizer->Encode(text, {.max_length = 16});
    if (!encoding) {
      CheckError(encoding.error());
      continue;
    }
    TUTTI_CHECK(encoding->ids.size() <= 16, encoding->ids.size(), " ids");
    TUTTI_CHECK(encoding->ids.size() == encoding->type_ids.size(), "types");
    if (const auto decoded = tokenizer->Decode(encoding->ids, true); !decoded) {
      CheckError(decoded.error());
    }
  }
}

}  // namespace
}  // namespace tutti::text

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size > 0) tutti::text::Run({reinterpret_cast<const char*>(data), size});
  return 0;
}
