// Request targets: strict percent-decoding and query strings. Free functions.
#pragma once

#include <string>
#include <string_view>

#include "common/base/result.h"
#include "scheduler/http/message.h"

namespace tutti::http {

// Decodes %XX; a '+' is a space where `plus_is_space`. kInvalid for broken escapes, control
// characters (escaped ones too), bytes that must be escaped, and results that are no UTF-8.
Result<std::string> PercentDecode(std::string_view text, bool plus_is_space = false);
// "a=1&b=x%20y" → pairs. kInvalid as above, and for more than 100 pairs.
Result<Fields> ParseQuery(std::string_view query);

bool IsUtf8(std::string_view text);

}  // namespace tutti::http
