// Who may talk to the server: bearer tokens, and the Host and Origin checks that keep web pages of
// others out. Immutable after construction, thread-safe.
#pragma once

#include <filesystem>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "common/base/result.h"
#include "common/digest/sha256.h"
#include "scheduler/http/message.h"

namespace tutti::http {

struct TokenEntry {
  Digest sha256;     // of the token
  std::string user;  // "local"
};

class Auth {
 public:
  // `hosts`: names (without port) that Host may say besides 127.0.0.1, localhost and [::1].
  Auth(std::vector<TokenEntry> tokens, std::vector<std::string> hosts);

  // The user of `Authorization: Bearer <token>`. kAuth otherwise; compares digests in constant
  // time.
  Result<std::string> User(const Fields& headers) const;
  // kAuth when Host is another's name, or Origin another's page.
  Status CheckOrigin(const Fields& headers) const;

 private:
  bool Allowed(std::string_view authority) const;

  std::vector<TokenEntry> tokens_;
  std::vector<std::string> hosts_;
};

// The token in the file, made (32 random bytes, hex, mode 0600) when there is none. kAuth when
// others may read the file; kInvalid when it holds no token.
Result<std::string> LoadOrMakeToken(const std::filesystem::path& path);

}  // namespace tutti::http
