// Who may talk to the server: bearer tokens and browsers' sessions with scopes, a limit of wrong
// ones, and the Host and Origin checks that keep web pages of others out. Thread-safe.
#pragma once

#include <chrono>
#include <filesystem>
#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <tl/expected.hpp>
#include <vector>

#include "common/base/result.h"
#include "scheduler/http/access.h"
#include "scheduler/http/failure_limit.h"
#include "scheduler/http/message.h"
#include "scheduler/http/sessions.h"
#include "scheduler/http/token_table.h"

namespace tutti::http {

// Why a request is not let in, as a metric's label and for the client.
struct Denial {
  int status = 401;    // or 403, 429
  std::string reason;  // host, origin, missing, unknown, expired, scope, limited
  Error error;
  std::optional<std::chrono::seconds> retry_after = {};  // of 429
};

// What a route asks of those who call it.
struct Demand {
  Access access = Access::kUndeclared;
  bool workers = false;
  bool changes = false;  // the method is no GET or HEAD
};

class Auth {
 public:
  // Knows tokens that no table holds; nullopt for one it does not know.
  using Others = std::function<std::optional<Caller>(std::string_view token)>;

  // `hosts`: names (without port, addresses of IPv6 in brackets, "*.example.com" for any one label)
  // that Host may say besides 127.0.0.1, localhost and [::1].
  explicit Auth(std::vector<std::string> hosts, Others others = nullptr);

  TokenTable& tokens() { return tokens_; }
  // Without it no session is believed. Borrowed; before the server starts.
  void Believe(const Sessions& sessions) { sessions_ = &sessions; }

  // Who sends `Authorization: Bearer <token>`, or else a session's cookie, from `peer`, if that is
  // enough for the route. A session changes something from our own pages only.
  tl::expected<Caller, Denial> Check(const Fields& headers, const Demand& demand,
                                     const std::string& peer) const;
  // Whether what let the caller in is valid still: an answer may take days. True of those whom no
  // table knows (open routes, workers).
  bool StillHolds(const Caller& caller) const;
  // Whether Host is ours and Origin, where there is one, no other's page.
  tl::expected<void, Denial> CheckOrigin(const Fields& headers) const;

 private:
  tl::expected<Caller, Denial> Identify(const Fields& headers) const;
  tl::expected<Caller, Denial> IdentifySession(const Fields& headers, bool changes) const;
  bool Allowed(std::string_view authority) const;

  TokenTable tokens_;
  std::vector<std::string> hosts_;
  Others others_;
  const Sessions* sessions_ = nullptr;
  mutable FailureLimit failures_;
};

// 32 random bytes in hex. kIo when the system gives none.
Result<std::string> NewToken();
// The token in the file, a NewToken (mode 0600) when there is none. kAuth when others may read the
// file; kInvalid when it holds no token.
Result<std::string> LoadOrMakeToken(const std::filesystem::path& path);

}  // namespace tutti::http
