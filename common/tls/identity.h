// Who a TLS server is: its certificate and key, and the pin by which others know it. An Identity is
// a value that shares one SSL_CTX; free functions; any thread.
#pragma once

#include <openssl/types.h>

#include <cstdint>
#include <filesystem>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "common/base/result.h"

namespace tutti::tls {

// One owner of a reference to OpenSSL's context; hand SSL_CTX_up_ref'ed pointers to others.
using Context = std::shared_ptr<SSL_CTX>;

struct Identity {
  Context context = {};                 // for servers: TLS 1.2 and 1.3, certificate and key inside
  std::string pin = {};                 // of the certificate: "sha256:…"
  std::vector<std::string> names = {};  // host names and addresses that the certificate is for
  std::string expires = {};             // "2036-01-31"
};

// From PEM files: the certificate (followed by the rest of its chain, if any), and its key without
// a password. kAuth when everybody may read the key; kInvalid for what is no certificate or key, a
// key that does not match, and a certificate that has expired or is not valid yet.
Result<Identity> LoadIdentity(const std::filesystem::path& certificate,
                              const std::filesystem::path& key);

// `directory`/cert.pem and `directory`/key.pem (mode 0600), made when there are none: P-256, signed
// by itself, for these host names and IP addresses. One that is there is kept as it is, whatever
// its names: others may have pinned it.
Result<Identity> LoadOrMakeIdentity(const std::filesystem::path& directory,
                                    std::span<const std::string> names);

inline constexpr std::string_view kPinPrefix = "sha256:";
// "sha256:" and the hex SHA-256 of the certificate's DER bytes, as
// `openssl x509 -in cert.pem -outform DER | sha256sum` has it.
std::string PinOf(const X509& certificate);
// In lower case. kInvalid for what is no pin; where = `where`.
Result<std::string> ParsePin(std::string_view text, std::string where);

// The host names and addresses a certificate is for.
std::vector<std::string> NamesOf(const X509& certificate);
// "2036-01-31"
std::string DateOf(const ASN1_TIME& time);

}  // namespace tutti::tls
