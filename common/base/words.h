// Lists that people write: "a,b,c". Pure.
#pragma once

#include <string_view>
#include <vector>

namespace tutti {

// What stands between the commas, as it stands: ",a" has an empty first word; a comma at the end
// begins none, and "" has none.
std::vector<std::string_view> CommaWords(std::string_view text);

}  // namespace tutti
