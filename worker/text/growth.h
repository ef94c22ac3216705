// How much longer a text may get in a tokenizer's normalizer or decoder, as its tokenizer.json
// says: a chain of replacements can turn a row into terabytes. Pure, any thread.
#pragma once

#include <string>
#include <string_view>

#include "common/base/result.h"

namespace tutti::text {

// kInvalid when a byte of text could become more than 256 by replacements, or more than 4 KiB are
// put before a text. `json` is a tokenizer.json of bounded depth; of what is none, nothing is said.
Status CheckGrowth(std::string_view json, const std::string& where);

}  // namespace tutti::text
