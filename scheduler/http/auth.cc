#include "scheduler/http/auth.h"

#include <fcntl.h>
#include <openssl/rand.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cctype>
#include <cerrno>
#include <cstddef>

#include "common/file/file.h"

namespace tutti::http {
namespace {

bool EqualsIgnoringCase(std::string_view a, std::string_view b) {
  return std::equal(a.begin(), a.end(), b.begin(), b.end(), [](char x, char y) {
    return std::tolower(static_cast<unsigned char>(x)) ==
           std::tolower(static_cast<unsigned char>(y));
  });
}

// "localhost:7717" → "localhost", "[::1]:80" → "[::1]"; empty when malformed.
std::string_view HostName(std::string_view authority) {
  std::size_t end = authority.find(':');
  if (authority.starts_with('[')) {
    end = authority.find(']');
    if (end == std::string_view::npos) return {};
    ++end;
  }
  if (end >= authority.size()) return authority;
  const std::string_view port = authority.substr(end);
  const bool digits = port.size() > 1 && port.size() <= 6 && port.front() == ':' &&
                      port.find_first_not_of("0123456789", 1) == std::string_view::npos;
  return digits ? authority.substr(0, end) : std::string_view{};
}

// "*.example.com" fits "a.example.com", not "example.com" and not "a.b.example.com".
bool Fits(std::string_view pattern, std::string_view name) {
  if (!pattern.starts_with("*.")) return EqualsIgnoringCase(pattern, name);
  const std::size_t dot = name.find('.');
  return dot != std::string_view::npos && dot > 0 &&
         EqualsIgnoringCase(pattern.substr(1), name.substr(dot));
}

constexpr std::size_t kTokenBytes = 32;

tl::unexpected<Denial> Deny(int status, std::string reason, Error error) {
  return tl::unexpected(
      Denial{.status = status, .reason = std::move(reason), .error = std::move(error)});
}

constexpr const char* kHowToSend =
    "send the header 'Authorization: Bearer TOKEN'; the command line takes it from TUTTI_TOKEN or "
    "from the data directory's file 'token'";

constexpr const char* kHowToSignIn = "open the dashboard again with: tutti ui";

}  // namespace

Auth::Auth(std::vector<std::string> hosts, Others others)
    : hosts_(std::move(hosts)), others_(std::move(others)) {
  for (const char* name : {"127.0.0.1", "localhost", "[::1]"}) hosts_.emplace_back(name);
}

tl::expected<Caller, Denial> Auth::Identify(const Fields& headers) const {
  const auto refuse = [](const char* reason, std::string message) {
    return Deny(401, reason, {ErrorCode::kAuth, std::move(message), {}, kHowToSend});
  };
  const auto header = Find(headers, "authorization");
  if (!header) return refuse("missing", "a token is needed");
  constexpr std::string_view kScheme = "bearer ";
  if (header->size() <= kScheme.size() ||
      !EqualsIgnoringCase(header->substr(0, kScheme.size()), kScheme)) {
    return refuse("missing", "the Authorization header has no bearer token");
  }
  const std::string_view token = header->substr(kScheme.size());
  const Digest digest = Sha256Of(token);
  auto [state, caller] = tokens_.Look(digest, WallNow());
  switch (state) {
    case TokenTable::State::kValid:
      caller.token = digest;
      return caller;
    case TokenTable::State::kExpired:
      return refuse("expired", "the token has expired");
    case TokenTable::State::kUnknown:
      break;
  }
  if (others_) {
    if (auto other = others_(token)) return *std::move(other);
  }
  return refuse("unknown", "the token is not known; it may have been revoked");
}

tl::expected<Caller, Denial> Auth::IdentifySession(const Fields& headers, bool changes) const {
  const auto session = sessions_->Find(headers, WallNow());
  if (!session) {
    return Deny(401, "unknown", {ErrorCode::kAuth, "the session is over", {}, kHowToSignIn});
  }
  if (changes && !IsOwnPage(headers)) {
    return Deny(403, "origin",
                {ErrorCode::kAuth, "the request does not come from the dashboard", "origin"});
  }
  auto [state, caller] = tokens_.Look(session->token, WallNow());
  if (state != TokenTable::State::kValid) {
    return Deny(401, "expired",
                {ErrorCode::kAuth, "the session's token is valid no more", {}, kHowToSignIn});
  }
  caller.token = session->token;
  caller.until = session->expires;
  return caller;
}

tl::expected<Caller, Denial> Auth::Check(const Fields& headers, const Demand& demand,
                                         const std::string& peer) const {
  if (demand.access == Access::kOpen) return Caller{};
  const bool session = sessions_ != nullptr && !Find(headers, "authorization") &&
                       Find(headers, "cookie").has_value();
  auto caller = session ? IdentifySession(headers, demand.changes) : Identify(headers);
  if (!caller && caller.error().status == 401 && !session) {
    const auto wait = failures_.Count(peer, MonotonicNow());
    if (!wait) return caller;
    Denial denial{.status = 429, .reason = "limited", .error = {}, .retry_after = wait};
    denial.error = {ErrorCode::kQuota,
                    "too many requests of this address came without a valid token; the last: " +
                        caller.error().error.message,
                    {},
                    "requests with a valid one are answered as ever"};
    return tl::unexpected(std::move(denial));
  }
  if (!caller) return caller;
  if (Suffices(caller->scope, demand.access, demand.workers)) return caller;
  const std::string needed(ToString(demand.access));
  return Deny(403, "scope",
              {ErrorCode::kAuth,
               "the token's scope is " + std::string(ToString(caller->scope)) +
                   ", and this needs " + needed,
               {},
               "an admin makes one: tutti token create --scope " + needed});
}

bool Auth::StillHolds(const Caller& caller) const {
  if (caller.token == Digest{}) return true;
  const WallTime now = WallNow();
  if (caller.until && *caller.until <= now) return false;
  return tokens_.Look(caller.token, now).first == TokenTable::State::kValid;
}

bool Auth::Allowed(std::string_view authority) const {
  const std::string_view name = HostName(authority);
  return !name.empty() && std::any_of(hosts_.begin(), hosts_.end(),
                                      [&](const std::string& host) { return Fits(host, name); });
}

tl::expected<void, Denial> Auth::CheckOrigin(const Fields& headers) const {
  if (const auto host = Find(headers, "host"); host && !Allowed(*host)) {
    return Deny(403, "host",
                {ErrorCode::kAuth, "the Host header names another machine", "host",
                 "call it by the name or address it serves on, or start it with --advertise NAME"});
  }
  if (auto origin = Find(headers, "origin")) {
    const std::size_t scheme = origin->starts_with("http://")    ? 7
                               : origin->starts_with("https://") ? 8
                                                                 : std::string_view::npos;
    if (scheme == std::string_view::npos || !Allowed(origin->substr(scheme))) {
      return Deny(403, "origin",
                  {ErrorCode::kAuth, "the request comes from a page of another site", "origin"});
    }
  }
  return {};
}

Result<std::string> NewToken() {
  std::array<unsigned char, kTokenBytes> bytes{};
  if (RAND_bytes(bytes.data(), static_cast<int>(bytes.size())) != 1) {
    return Fail(ErrorCode::kIo, "the system gives no random bytes");
  }
  constexpr std::string_view kHex = "0123456789abcdef";
  std::string token;
  for (const unsigned char byte : bytes) {
    token.push_back(kHex[byte >> 4]);
    token.push_back(kHex[byte & 15]);
  }
  return token;
}

Result<std::string> LoadOrMakeToken(const std::filesystem::path& path) {
  struct stat stat {};
  if (::lstat(path.c_str(), &stat) != 0) {
    if (errno != ENOENT) return Fail(ErrnoError("cannot read the token", path.string(), errno));
    TUTTI_ASSIGN_OR_RETURN(std::string made, NewToken());
    TUTTI_RETURN_IF_ERROR(WriteFileAtomically(path, made + "\n", {.mode = 0600}));
    return made;
  }
  if (!S_ISREG(stat.st_mode) || (stat.st_mode & 077) != 0) {
    return Fail(ErrorCode::kAuth, "others may read the token file", path.string(),
                "chmod 600 it, or delete it for a new token");
  }
  TUTTI_ASSIGN_OR_RETURN(std::string token, ReadFile(path, Bytes{4096}));
  while (!token.empty() && std::isspace(static_cast<unsigned char>(token.back())) != 0) {
    token.pop_back();
  }
  const bool printable =
      std::all_of(token.begin(), token.end(), [](unsigned char c) { return c > 0x20 && c < 0x7f; });
  if (token.size() < 16 || !printable) {
    return Fail(ErrorCode::kInvalid, "the file holds no token", path.string(),
                "delete it for a new one");
  }
  return token;
}

}  // namespace tutti::http
