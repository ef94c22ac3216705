// Whether bytes are UTF-8. Pure functions.
#pragma once

#include <cstddef>
#include <string_view>

namespace tutti::data {

inline constexpr std::string_view kByteOrderMark = "\xEF\xBB\xBF";

// Where the first byte lies that does not belong to well-formed UTF-8 (Unicode, table 3-7);
// text.size() when all do.
std::size_t FirstBadByte(std::string_view text);

}  // namespace tutti::data
