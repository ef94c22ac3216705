// A look at JSON before a recursive parser sees it. Pure functions.
#pragma once

#include <string>
#include <string_view>

#include "common/base/result.h"

namespace tutti::text {

// kInvalid when brackets nest deeper than `depth_max`. Not a parser: what is in strings is skipped,
// nothing else is checked. O(n), no memory.
inline Status CheckJsonDepth(std::string_view json, int depth_max, const std::string& where) {
  int depth = 0;
  bool in_string = false;
  for (std::size_t i = 0; i < json.size(); ++i) {
    const char c = json[i];
    if (in_string) {
      if (c == '\\') ++i;
      if (c == '"') in_string = false;
    } else if (c == '"') {
      in_string = true;
    } else if (c == '[' || c == '{') {
      if (++depth > depth_max) {
        return Fail(ErrorCode::kInvalid,
                    "JSON nested deeper than " + std::to_string(depth_max) + " levels", where);
      }
    } else if (c == ']' || c == '}') {
      --depth;
    }
  }
  return {};
}

}  // namespace tutti::text
