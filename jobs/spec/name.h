// What names of jobs, queues, workers, labels and apps may be. Free functions, any thread.
#pragma once

#include <cstddef>
#include <string_view>

namespace tutti::spec {

inline constexpr std::size_t kNameMax = 63;
// 1-kNameMax of A-Z a-z 0-9 . _ -, starting with a letter or digit.
bool IsName(std::string_view text);
// Whether a name may have it anywhere but at its front.
bool IsNameCharacter(char c);
// A-Z a-z 0-9.
bool IsAlphanumeric(char c);

}  // namespace tutti::spec
