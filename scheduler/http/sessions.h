// Browsers' way in. Who has a token gets a ticket, good for one use within a minute; a page changes
// it for a session, which a cookie carries. A session stands for its token: same user, same scope,
// and it ends when the token does. It is signed and kept nowhere, so it outlives a restart.
// Thread-safe.
#pragma once

#include <chrono>
#include <map>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>

#include "common/base/result.h"
#include "common/base/time.h"
#include "common/digest/sha256.h"
#include "scheduler/http/message.h"

namespace tutti::http {

struct BrowserSession {
  Digest token;
  WallTime expires;
};

class Sessions {
 public:
  static constexpr std::chrono::seconds kTicketLife{60};
  static constexpr std::chrono::hours kSessionLife{24 * 7};
  static constexpr std::size_t kTicketsMax = 1024;  // unused ones at a time

  // `secret` signs; another one makes every session void. `secure`: cookies go over TLS alone.
  Sessions(std::string secret, bool secure) : secret_(std::move(secret)), secure_(secure) {}

  // For the token with this digest. kUnavailable when too many wait, kIo without random bytes.
  Result<std::string> MakeTicket(const Digest& token, WallTime now);
  // The token's digest; nullopt when the ticket is unknown, used or too old. It is used now.
  std::optional<Digest> Redeem(std::string_view ticket, WallTime now);

  // The Set-Cookie header that starts a session, or ends one. `headers` are the request's.
  std::string StartCookie(const Fields& headers, const Digest& token, WallTime now) const;
  std::string EndCookie(const Fields& headers) const;
  // When the request has a session's cookie that is ours and not too old.
  std::optional<BrowserSession> Find(const Fields& headers, WallTime now) const;

 private:
  struct Ticket {
    Digest token;
    WallTime expires;
  };

  std::string Sign(const Digest& token, std::int64_t expires_ms) const;
  std::string Cookie(const Fields& headers, const std::string& value, std::int64_t seconds) const;

  std::string secret_;
  bool secure_;
  std::mutex mutex_;
  std::map<Digest, Ticket> tickets_;  // by their own digests; guarded by mutex_
};

// Whether Origin is there and is exactly the host and port of Host: cookies alone do not tell the
// pages of other ports from ours.
bool IsOwnPage(const Fields& headers);

}  // namespace tutti::http
