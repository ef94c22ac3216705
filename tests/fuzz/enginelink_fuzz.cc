// Any bytes from a rank or a zygote: lines that are messages, which survive being written again, or
// a bounded error.

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "common/base/check.h"
#include "common/enginelink/messages.h"
#include "tests/fuzz/fuzz_target.h"

namespace tutti::enginelink {
namespace {

template <typename Message>
void CheckLine(const Result<Message>& message, Result<Message> (*decode)(std::string_view)) {
  if (!message) {
    TUTTI_CHECK(message.error().ToString().size() < 1024, message.error().ToString().size(),
                " bytes of problem");
    return;
  }
  std::string line = Encode(*message);
  TUTTI_CHECK(line.ends_with('\n') && line.find('\n') + 1 == line.size(), "not one line");
  line.pop_back();
  const auto again = decode(line);
  TUTTI_CHECK(again.has_value(), "it cannot be read any more: ", again.error().ToString());
  TUTTI_CHECK(Encode(*again) == line + '\n', "another message");
}

void Run(std::string_view text) {
  LineBuffer lines;
  // In two pieces, as a socket may hand them over.
  if (!lines.Append(text.substr(0, text.size() / 2))) return;
  if (!lines.Append(text.substr(text.size() / 2))) return;
  while (const std::optional<std::string> line = lines.Next()) {
    CheckLine<ToWorker>(DecodeToWorker(*line), DecodeToWorker);
    CheckLine<ToEngine>(DecodeToEngine(*line), DecodeToEngine);
  }
  if (const auto spawn = DecodeSpawn(text)) {
    TUTTI_CHECK(DecodeSpawn(EncodePacket(*spawn)).has_value(), "no packet any more");
  }
  if (const auto event = DecodeZygoteEvent(text)) {
    TUTTI_CHECK(DecodeZygoteEvent(EncodePacket(*event)).has_value(), "no packet any more");
  }
}

}  // namespace
}  // namespace tutti::enginelink

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size > 0) tutti::enginelink::Run({reinterpret_cast<const char*>(data), size});
  return 0;
}
