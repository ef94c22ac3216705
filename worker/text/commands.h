// The engine's commands on text: tokenize, detokenize. They stream: a line in, a line out. Called
// from the program's main thread.
#pragma once

#include <filesystem>
#include <iosfwd>

#include "common/base/result.h"

namespace tutti::text {

// Reads JSON strings, one a line; writes a JSON array of ids for each (special tokens added, not
// truncated). Empty lines are skipped. Stops at the first error: where = "line N".
Status RunTokenize(const std::filesystem::path& model, std::istream& in, std::ostream& out);

// The other way round: arrays of ids to JSON strings, special tokens shown.
Status RunDetokenize(const std::filesystem::path& model, std::istream& in, std::ostream& out);

}  // namespace tutti::text
