// A look at JSON of others before a parser sees it: how deep it nests and how many values it has
// are what it will take in stack and memory. Pure functions, any thread.
#pragma once

#include <cstddef>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "common/base/result.h"

namespace tutti {

struct JsonLimits {
  int depth_max = 64;                  // brackets in brackets
  std::size_t values_max = 1'000'000;  // a value takes up to 60 bytes beyond its text
  // Of one object: a parser that keeps their order takes time with the square of their number.
  std::size_t members_max = 1'000'000;
};

// Where JSON exceeds a limit first, and what is to be said of it.
struct JsonExcess {
  ErrorCode code = ErrorCode::kInvalid;  // kInvalid: depth; kTooLarge: values, members
  std::string message = {};
  std::size_t offset = 0;  // bytes
};

// nullopt: within the limits. Not a parser: what is in strings is skipped, nothing else is checked,
// and of text that is no JSON it may say either. O(n).
std::optional<JsonExcess> FindJsonExcess(std::string_view json, const JsonLimits& limits);

// The same as a Status; `where` names the text.
Status CheckJsonLimits(std::string_view json, const JsonLimits& limits, const std::string& where);

// The text of each value that the object `json` has under `key`, or under a key with an escape in
// it, which may mean the same: parts of a large file that can be parsed alone. None when it is no
// object. O(n).
std::vector<std::string_view> MembersNamed(std::string_view json, std::string_view key);

}  // namespace tutti
