// Words that people write: in lists ("a,b,c"), in either case. Pure.
#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace tutti {

// What stands between the commas, as it stands: ",a" has an empty first word; a comma at the end
// begins none, and "" has none.
std::vector<std::string_view> CommaWords(std::string_view text);

// With a to z for A to Z; other bytes as they are.
std::string LowerCase(std::string_view text);

}  // namespace tutti
