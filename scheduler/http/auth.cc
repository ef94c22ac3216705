#include "scheduler/http/auth.h"

#include <fcntl.h>
#include <openssl/crypto.h>
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

constexpr std::size_t kTokenBytes = 32;

Result<std::string> MakeToken(const std::filesystem::path& path) {
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
  TUTTI_RETURN_IF_ERROR(WriteFileAtomically(path, token + "\n", {.mode = 0600}));
  return token;
}

}  // namespace

Auth::Auth(std::vector<TokenEntry> tokens, std::vector<std::string> hosts)
    : tokens_(std::move(tokens)), hosts_(std::move(hosts)) {
  for (const char* name : {"127.0.0.1", "localhost", "[::1]"}) hosts_.emplace_back(name);
}

Result<std::string> Auth::User(const Fields& headers) const {
  const auto refuse = [](std::string message) {
    return Fail(ErrorCode::kAuth, std::move(message), {},
                "send the header 'Authorization: Bearer TOKEN'; the token is in the data "
                "directory's file 'token'");
  };
  const auto header = Find(headers, "authorization");
  if (!header) return refuse("a token is needed");
  constexpr std::string_view kScheme = "bearer ";
  if (header->size() <= kScheme.size() ||
      !EqualsIgnoringCase(header->substr(0, kScheme.size()), kScheme)) {
    return refuse("the Authorization header has no bearer token");
  }
  // Digests have one length and say nothing of the tokens; every entry is compared.
  const Digest given = Sha256Of(header->substr(kScheme.size()));
  const TokenEntry* owner = nullptr;
  for (const TokenEntry& entry : tokens_) {
    if (CRYPTO_memcmp(given.bytes.data(), entry.sha256.bytes.data(), given.bytes.size()) == 0) {
      owner = &entry;
    }
  }
  if (owner == nullptr) return refuse("the token is not known");
  return owner->user;
}

bool Auth::Allowed(std::string_view authority) const {
  const std::string_view name = HostName(authority);
  return !name.empty() && std::any_of(hosts_.begin(), hosts_.end(), [&](const std::string& host) {
    return EqualsIgnoringCase(host, name);
  });
}

Status Auth::CheckOrigin(const Fields& headers) const {
  if (const auto host = Find(headers, "host"); host && !Allowed(*host)) {
    return Fail(ErrorCode::kAuth, "the Host header names another machine", "host");
  }
  if (auto origin = Find(headers, "origin")) {
    const std::size_t scheme = origin->starts_with("http://")    ? 7
                               : origin->starts_with("https://") ? 8
                                                                 : std::string_view::npos;
    if (scheme == std::string_view::npos || !Allowed(origin->substr(scheme))) {
      return Fail(ErrorCode::kAuth, "the request comes from a page of another site", "origin");
    }
  }
  return {};
}

Result<std::string> LoadOrMakeToken(const std::filesystem::path& path) {
  struct stat stat {};
  if (::lstat(path.c_str(), &stat) != 0) {
    if (errno == ENOENT) return MakeToken(path);
    return Fail(ErrnoError("cannot read the token", path.string(), errno));
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
