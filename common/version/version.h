// Which build this is.
#pragma once

#include <string_view>

namespace tutti {

std::string_view Version();  // "0.1.0"
std::string_view
Revision();  // the commit's first 12 digits, "+" behind it when files differed; or "unknown"

}  // namespace tutti
