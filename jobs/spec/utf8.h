// UTF-8: is it, and how many characters. Free functions, any thread.
#pragma once

#include <cstddef>
#include <string_view>

namespace tutti::spec {

// RFC 3629: no overlong forms, no surrogates, nothing above U+10FFFF.
bool IsUtf8(std::string_view text);
// Code points. REQUIRES: IsUtf8(text).
std::size_t CountCharacters(std::string_view text);

}  // namespace tutti::spec
