#include "jobs/spec/name.h"

#include <algorithm>

namespace tutti::spec {
bool IsAlphanumeric(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
}

bool IsNameCharacter(char c) { return IsAlphanumeric(c) || c == '.' || c == '_' || c == '-'; }

bool IsName(std::string_view text) {
  return !text.empty() && text.size() <= kNameMax && IsAlphanumeric(text.front()) &&
         std::ranges::all_of(text, IsNameCharacter);
}

}  // namespace tutti::spec
