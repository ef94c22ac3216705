// Which servers a TLS client believes: the one with a pinned certificate, or those whose
// certificate an authority signed for the host's name. Values and free functions; any thread.
#pragma once

#include <openssl/types.h>

#include <filesystem>
#include <string>
#include <string_view>

#include "common/base/result.h"
#include "common/tls/identity.h"

namespace tutti::tls {

// With a pin: exactly that certificate, whatever its names and dates. Else the authorities of
// `ca_file` (PEM), else those of the system, and the certificate must be for the host's name.
struct Trust {
  std::string pin = {};  // "sha256:…"
  std::filesystem::path ca_file = {};
};

// TLS 1.2 and 1.3; may serve many connections. kInvalid for what is no pin or no file of
// authorities.
Result<Context> ClientContext(const Trust& trust);

// A connection of a ClientContext, before its handshake: `host` (a name or an address, without
// brackets) is what the certificate must be for.
Status ExpectHost(SSL& ssl, const std::string& host);

// Why the handshake of a client's connection failed. kAuth when the server is not believed: what it
// showed and what was expected; kUnavailable when the connection broke, with `transport`, the
// reason that the socket or OpenSSL gave. `where`: the server's address.
Error HandshakeError(const SSL& ssl, std::string_view transport, std::string where);

}  // namespace tutti::tls
