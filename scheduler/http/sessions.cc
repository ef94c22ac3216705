#include "scheduler/http/sessions.h"

#include <algorithm>
#include <charconv>

#include "common/digest/sha256.h"
#include "scheduler/http/auth.h"

namespace tutti::http {
namespace {

constexpr std::string_view kVersion = "s1";
constexpr std::string_view kPurpose = "tutti session 1:";  // no other use gives the same bytes
constexpr std::size_t kHexDigits = 64;

// Cookies are shared by all ports of a host: two coordinators on one machine need two names.
std::string CookieName(const Fields& headers) {
  std::string name = "tutti-session";
  const auto host = Find(headers, "host");
  if (!host) return name;
  const std::size_t colon = host->rfind(':');
  if (colon == std::string_view::npos || host->ends_with(']')) return name;
  const std::string_view port = host->substr(colon + 1);
  if (port.find_first_not_of("0123456789") == std::string_view::npos) {
    name.append("-").append(port);
  }
  return name;
}

// The value of one cookie among "a=1; b=2".
std::optional<std::string_view> CookieIn(std::string_view header, std::string_view name) {
  while (!header.empty()) {
    const std::size_t end = header.find(';');
    std::string_view pair = header.substr(0, end);
    header = end == std::string_view::npos ? std::string_view{} : header.substr(end + 1);
    while (pair.starts_with(' ')) pair.remove_prefix(1);
    if (pair.size() > name.size() && pair.starts_with(name) && pair[name.size()] == '=') {
      return pair.substr(name.size() + 1);
    }
  }
  return std::nullopt;
}

}  // namespace

Result<std::string> Sessions::MakeTicket(const Digest& token, WallTime now) {
  TUTTI_ASSIGN_OR_RETURN(std::string ticket, NewToken());
  const std::lock_guard lock(mutex_);
  std::erase_if(tickets_, [&](const auto& each) { return each.second.expires <= now; });
  if (tickets_.size() >= kTicketsMax) {
    return Fail(ErrorCode::kUnavailable, "too many tickets were made and not used", {},
                "try again in a minute");
  }
  const std::int64_t life_ms = std::chrono::milliseconds(kTicketLife).count();
  tickets_[Sha256Of(ticket)] = {.token = token, .expires = WallTime{now.unix_ms + life_ms}};
  return ticket;
}

std::optional<Digest> Sessions::Redeem(std::string_view ticket, WallTime now) {
  const std::lock_guard lock(mutex_);
  const auto node = tickets_.extract(Sha256Of(ticket));
  if (node.empty() || node.mapped().expires <= now) return std::nullopt;
  return node.mapped().token;
}

// "s1.TOKEN-DIGEST.EXPIRES-MS.MAC"
std::string Sessions::Sign(const Digest& token, std::int64_t expires_ms) const {
  const std::string said =
      std::string(kVersion) + "." + token.ToHex() + "." + std::to_string(expires_ms);
  return said + "." + HmacSha256(secret_, std::string(kPurpose) + said).ToHex();
}

std::string Sessions::Cookie(const Fields& headers, const std::string& value,
                             std::int64_t seconds) const {
  return CookieName(headers) + "=" + value +
         "; Path=/; HttpOnly; SameSite=Strict; Max-Age=" + std::to_string(seconds) +
         (secure_ ? "; Secure" : "");
}

std::string Sessions::StartCookie(const Fields& headers, const Digest& token, WallTime now) const {
  const std::int64_t life_ms = std::chrono::milliseconds(kSessionLife).count();
  return Cookie(headers, Sign(token, now.unix_ms + life_ms), life_ms / 1000);
}

std::string Sessions::EndCookie(const Fields& headers) const { return Cookie(headers, "", 0); }

std::optional<BrowserSession> Sessions::Find(const Fields& headers, WallTime now) const {
  const auto header = http::Find(headers, "cookie");
  if (!header) return std::nullopt;
  const auto value = CookieIn(*header, CookieName(headers));
  const std::string prefix = std::string(kVersion) + ".";
  if (!value || !value->starts_with(prefix)) return std::nullopt;
  const std::string_view rest = value->substr(prefix.size());
  if (rest.size() <= kHexDigits + 1 || rest[kHexDigits] != '.') return std::nullopt;
  const auto token = Digest::Parse("sha256:" + std::string(rest.substr(0, kHexDigits)));
  std::int64_t expires_ms = 0;
  const char* digits = rest.data() + kHexDigits + 1;
  const auto [end, error] = std::from_chars(digits, rest.data() + rest.size(), expires_ms);
  if (!token || error != std::errc() || expires_ms <= now.unix_ms) return std::nullopt;
  if (!SameSecret(Sign(*token, expires_ms), *value)) return std::nullopt;
  return BrowserSession{*token, WallTime{expires_ms}};
}

bool IsOwnPage(const Fields& headers) {
  const auto host = Find(headers, "host");
  const auto origin = Find(headers, "origin");
  if (!host || !origin) return false;
  return *origin == "http://" + std::string(*host) || *origin == "https://" + std::string(*host);
}

}  // namespace tutti::http
