// Runs reference folders of tokenizers and chat templates (tests/parity/README.md has the layout)
// and reports each case. Called from one thread.
#pragma once

#include <filesystem>
#include <functional>
#include <string>

#include "common/base/result.h"

namespace tutti::text {

struct ParityCase {
  enum class Outcome {
    kOk,
    kFail,
    kSkip,  // a reference for something that is not built yet: neither ok nor a failure
  };
  std::string name;  // "bert-tiny:12" = the file and its line
  Outcome outcome = Outcome::kFail;
  std::string detail;  // what differs, or why skipped; empty when ok
};
using ParitySink = std::function<void(const ParityCase&)>;

enum class TextParityKind { kNone, kTokenizers, kChat };

// kChat: has cases.jsonl and a *.jinja; kTokenizers: has NAME.jsonl files; kNone: neither.
TextParityKind TextParityKindOf(const std::filesystem::path& folder);

// NAME.jsonl against NAME/tokenizer.json, else ../../models/NAME/tokenizer.json. Files whose
// tokenizer has neither (sentencepiece models) give one kSkip case. Errors: a folder or file that
// cannot be read.
Status RunTokenizerParity(const std::filesystem::path& folder, const ParitySink& sink);
Status RunChatParity(const std::filesystem::path& folder, const ParitySink& sink);

}  // namespace tutti::text
