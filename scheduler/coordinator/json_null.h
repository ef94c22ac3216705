// What is absent is null in the API, never 0 or "". Any thread.
#pragma once

#include <nlohmann/json.hpp>
#include <optional>
#include <string_view>

#include "common/base/time.h"

namespace tutti::coordinator {

inline nlohmann::json TextOrNull(std::string_view text) {
  return text.empty() ? nlohmann::json() : nlohmann::json(text);
}
template <typename Count>
nlohmann::json CountOrNull(Count count) {
  return count == 0 ? nlohmann::json() : nlohmann::json(count);
}
inline nlohmann::json TimeOrNull(const std::optional<WallTime>& time) {
  return time ? nlohmann::json(time->ToRfc3339()) : nlohmann::json();
}

}  // namespace tutti::coordinator
