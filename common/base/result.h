// Result<T>: a value, or an Error that says what, where and what to do.
//
// Operating errors (bad input, a full disk, a lost peer) are Results. Our own bugs are TUTTI_CHECKs
// (check.h). Values without threads: copy freely.
#pragma once

#include <string>
#include <string_view>
#include <tl/expected.hpp>
#include <utility>

namespace tutti {

// What a caller can do about an error. A code exists only if some caller reacts to it.
enum class ErrorCode {
  kInvalid,      // the input is wrong: fix it (HTTP 422, exit 3)
  kUnsupported,  // right, but Tutti can't do it (HTTP 422, exit 3)
  kNotFound,     // HTTP 404, exit 5
  kConflict,     // the state forbids it (HTTP 409, exit 2)
  kAuth,         // HTTP 401 or 403, exit 4
  kQuota,        // HTTP 429, exit 6
  kTooLarge,     // HTTP 413, exit 3
  kUnavailable,  // try again later (HTTP 503, exit 7)
  kTimeout,      // a deadline passed (HTTP 504, exit 8)
  kDiskFull,     // HTTP 507, exit 1
  kIo,           // the operating system said no (HTTP 500, exit 1)
  kInternal,     // HTTP 500, exit 1
};

std::string_view ToString(ErrorCode code);

struct Error {
  ErrorCode code = ErrorCode::kInternal;
  std::string message;  // what is wrong, in one sentence without a full stop
  std::string where{};  // "spec.yaml:14:5", a path, a field; may be empty
  std::string hint{};   // what to do; may be empty

  // "where: message (hint)", leaving out what is empty.
  std::string ToString() const;
  bool operator==(const Error&) const = default;
};

template <typename T>
using Result = tl::expected<T, Error>;
using Status = Result<void>;
using Unexpected = tl::unexpected<Error>;

inline Unexpected Fail(ErrorCode code, std::string message, std::string where = {},
                       std::string hint = {}) {
  return Unexpected(Error{code, std::move(message), std::move(where), std::move(hint)});
}
inline Unexpected Fail(Error error) { return Unexpected(std::move(error)); }

// An Error from errno: "cannot open: No such file or directory", where = path. ENOENT is kNotFound,
// ENOSPC and EDQUOT are kDiskFull, everything else kIo.
Error ErrnoError(std::string_view what, std::string where, int error_number);

}  // namespace tutti

#define TUTTI_CONCAT_INNER(a, b) a##b
#define TUTTI_CONCAT(a, b) TUTTI_CONCAT_INNER(a, b)

// TUTTI_RETURN_IF_ERROR(expression of Result<T>): returns its error from the enclosing function.
#define TUTTI_RETURN_IF_ERROR(expr)                                \
  do {                                                             \
    if (auto tutti_status = (expr); !tutti_status.has_value()) {   \
      return ::tutti::Unexpected(std::move(tutti_status).error()); \
    }                                                              \
  } while (false)

// TUTTI_ASSIGN_OR_RETURN(auto x, expression of Result<T>).
#define TUTTI_ASSIGN_OR_RETURN(lhs, expr) \
  TUTTI_ASSIGN_OR_RETURN_INNER(TUTTI_CONCAT(tutti_result_, __LINE__), lhs, expr)
#define TUTTI_ASSIGN_OR_RETURN_INNER(result, lhs, expr)                           \
  auto result = (expr);                                                           \
  if (!result.has_value()) return ::tutti::Unexpected(std::move(result).error()); \
  lhs = std::move(result).value()
