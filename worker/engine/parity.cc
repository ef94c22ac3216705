#include "worker/engine/parity.h"

#include <cstdint>

#include "worker/text/parity.h"

namespace tutti::engine {
namespace {

using text::ParityCase;

const char* Word(ParityCase::Outcome outcome) {
  switch (outcome) {
    case ParityCase::Outcome::kOk:
      return "ok";
    case ParityCase::Outcome::kFail:
      return "FAIL";
    case ParityCase::Outcome::kSkip:
      return "skip";
  }
  return "FAIL";
}

}  // namespace

Result<bool> RunParityCommand(const std::filesystem::path& folder, std::ostream& out) {
  std::int64_t passed = 0, failed = 0;
  const text::ParitySink sink = [&](const ParityCase& one) {
    if (one.outcome == ParityCase::Outcome::kOk) ++passed;
    if (one.outcome == ParityCase::Outcome::kFail) ++failed;
    out << Word(one.outcome) << ' ' << one.name;
    if (!one.detail.empty()) out << ' ' << one.detail;
    out << '\n';
  };
  switch (text::TextParityKindOf(folder)) {
    case text::TextParityKind::kTokenizers:
      TUTTI_RETURN_IF_ERROR(text::RunTokenizerParity(folder, sink));
      break;
    case text::TextParityKind::kChat:
      TUTTI_RETURN_IF_ERROR(text::RunChatParity(folder, sink));
      break;
    case text::TextParityKind::kNone:
      return Fail(ErrorCode::kInvalid, "not a folder of reference cases", folder.string(),
                  "give a folder with NAME.jsonl of tokenizers, or cases.jsonl and *.jinja");
  }
  out << passed << " passed, " << failed << " failed\n";
  return failed == 0;
}

}  // namespace tutti::engine
