// TUTTI_CHECK: our own bugs stop the program, in release too.
//
//   TUTTI_CHECK(slots >= 0, "node ", id, " has ", slots, " slots");
#pragma once

#include <sstream>
#include <string>

namespace tutti::internal {

[[noreturn]] void CheckFailed(const char* file, int line, const char* condition,
                              const std::string& message);

template <typename... Args>
std::string Concat(const Args&... args) {
  std::ostringstream out;
  ((out << args), ...);
  return out.str();
}

}  // namespace tutti::internal

#define TUTTI_CHECK(condition, ...)                                           \
  do {                                                                        \
    if (!(condition)) [[unlikely]] {                                          \
      ::tutti::internal::CheckFailed(__FILE__, __LINE__, #condition,          \
                                     ::tutti::internal::Concat(__VA_ARGS__)); \
    }                                                                         \
  } while (false)
