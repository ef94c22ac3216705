// Who may do what: the scope of a token, and what a route asks for. Values; free functions.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "common/base/time.h"
#include "common/digest/sha256.h"

namespace tutti::http {

// What a token may do. From viewer to admin each may do what those before it may; a worker's token
// reaches nothing but the routes that are made for workers.
enum class Scope : std::uint8_t { kWorker, kViewer, kSubmitter, kAdmin };
std::string_view ToString(Scope scope);  // "viewer"
// A scope that people give: viewer, submitter or admin.
std::optional<Scope> ParseScope(std::string_view text);

// The least scope that a route asks for. A route that does not say so is for admins.
enum class Access : std::uint8_t { kUndeclared, kOpen, kViewer, kSubmitter, kAdmin };
std::string_view ToString(Access access);  // "viewer"; "none" for an open route

// Whether `scope` is enough. `workers`: the route is made for workers too.
bool Suffices(Scope scope, Access access, bool workers);

// Whose token a request came with.
struct Caller {
  std::string user = {};  // "" on open routes
  Scope scope = Scope::kViewer;
  Digest token = {};  // of the token, or of the one its session stands for; zero: of no table
  std::optional<WallTime> until = {};  // a session's end
};

}  // namespace tutti::http
