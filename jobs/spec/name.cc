#include "jobs/spec/name.h"

#include <algorithm>

namespace tutti::spec {
namespace {

constexpr std::size_t kNameMax = 63;

}  // namespace

bool IsAlphanumeric(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
}

bool IsNameCharacter(char c) { return IsAlphanumeric(c) || c == '.' || c == '_' || c == '-'; }

bool IsName(std::string_view text) {
  return !text.empty() && text.size() <= kNameMax && IsAlphanumeric(text.front()) &&
         std::ranges::all_of(text, IsNameCharacter);
}

}  // namespace tutti::spec
