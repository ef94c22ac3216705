#include "common/tls/trust.h"

#include <openssl/err.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>

#include <utility>
#include <vector>

#include "common/base/host.h"
#include "common/tls/reason.h"

namespace tutti::tls {
namespace {

// What a refused server showed, and what was expected of it: kept with the connection.
struct Seen {
  std::string pin;
  std::vector<std::string> names;
  std::string expires;
};

void FreePin(void*, void* pin, CRYPTO_EX_DATA*, int, long, void*) {
  delete static_cast<std::string*>(pin);
}
void FreeSeen(void*, void* seen, CRYPTO_EX_DATA*, int, long, void*) {
  delete static_cast<Seen*>(seen);
}
void FreeHost(void*, void* host, CRYPTO_EX_DATA*, int, long, void*) {
  delete static_cast<std::string*>(host);
}

// Places in OpenSSL's objects for what must live as long as they do.
int PinIndex() {
  static const int index = SSL_CTX_get_ex_new_index(0, nullptr, nullptr, nullptr, &FreePin);
  return index;
}
int SeenIndex() {
  static const int index = SSL_get_ex_new_index(0, nullptr, nullptr, nullptr, &FreeSeen);
  return index;
}
int HostIndex() {
  static const int index = SSL_get_ex_new_index(0, nullptr, nullptr, nullptr, &FreeHost);
  return index;
}

template <typename T>
void Keep(SSL& ssl, int index, T value) {
  delete static_cast<T*>(SSL_get_ex_data(&ssl, index));
  SSL_set_ex_data(&ssl, index, new T(std::move(value)));
}

SSL& ConnectionOf(X509_STORE_CTX* store) {
  return *static_cast<SSL*>(
      X509_STORE_CTX_get_ex_data(store, SSL_get_ex_data_X509_STORE_CTX_idx()));
}

void Remember(X509_STORE_CTX* store) {
  const X509* certificate = X509_STORE_CTX_get0_cert(store);
  if (certificate == nullptr) return;
  Keep(ConnectionOf(store), SeenIndex(),
       Seen{PinOf(*certificate), NamesOf(*certificate), DateOf(*X509_get0_notAfter(certificate))});
}

const std::string& PinOfContext(const SSL& ssl) {
  static const std::string kNone;
  const void* pin = SSL_CTX_get_ex_data(SSL_get_SSL_CTX(&ssl), PinIndex());
  return pin != nullptr ? *static_cast<const std::string*>(pin) : kNone;
}

// In place of OpenSSL's verification. The handshake itself proves that the server has the key.
int VerifyPin(X509_STORE_CTX* store, void* /*unused*/) {
  const X509* certificate = X509_STORE_CTX_get0_cert(store);
  if (certificate != nullptr && PinOf(*certificate) == PinOfContext(ConnectionOf(store))) {
    X509_STORE_CTX_set_error(store, X509_V_OK);
    return 1;
  }
  Remember(store);
  X509_STORE_CTX_set_error(store, X509_V_ERR_APPLICATION_VERIFICATION);
  return 0;
}

int VerifyChain(int accepted, X509_STORE_CTX* store) {
  if (accepted == 0) Remember(store);
  return accepted;
}

std::string Joined(const std::vector<std::string>& names) {
  std::string out;
  for (const std::string& name : names) {
    if (out.size() > 200) return out + ", …";
    out += (out.empty() ? "" : ", ") + name;
  }
  return out.empty() ? "no name at all" : out;
}

Error Refused(const SSL& ssl, const Seen& seen, std::string where) {
  const auto refuse = [&](std::string message, std::string hint) {
    return Error{ErrorCode::kAuth, std::move(message), where, std::move(hint)};
  };
  const std::string& pin = PinOfContext(ssl);
  if (!pin.empty()) {
    return refuse("the server's certificate is not the pinned one: it shows " + seen.pin +
                      ", pinned is " + pin,
                  "if the coordinator got a new certificate, take the new pin from its "
                  "endpoint.json; if not, somebody else answers there");
  }
  const long result = SSL_get_verify_result(&ssl);
  switch (result) {
    case X509_V_ERR_HOSTNAME_MISMATCH:
    case X509_V_ERR_IP_ADDRESS_MISMATCH: {
      const void* host = SSL_get_ex_data(&ssl, HostIndex());
      return refuse("the server's certificate is for " + Joined(seen.names) + ", not for " +
                        (host != nullptr ? *static_cast<const std::string*>(host) : "this host"),
                    "use one of its names, or pin it: its pin is " + seen.pin);
    }
    case X509_V_ERR_CERT_HAS_EXPIRED:
      return refuse(
          "a certificate of the server has expired (its own runs until " + seen.expires + ")",
          "give the coordinator a new one");
    case X509_V_ERR_CERT_NOT_YET_VALID:
      return refuse("the server's certificate is not valid yet", "is this machine's clock right?");
    case X509_V_ERR_DEPTH_ZERO_SELF_SIGNED_CERT:
    case X509_V_ERR_SELF_SIGNED_CERT_IN_CHAIN:
    case X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT:
    case X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT_LOCALLY:
    case X509_V_ERR_UNABLE_TO_VERIFY_LEAF_SIGNATURE:
      return refuse(
          "nobody this machine trusts has signed the server's certificate (" + seen.pin + ")",
          "pin it with --pin or TUTTI_PIN when that is the pin in the coordinator's "
          "endpoint.json, or name its authority with TUTTI_CA_FILE");
    default:
      return refuse(std::string("the server's certificate is refused: ") +
                        X509_verify_cert_error_string(result),
                    "its pin is " + seen.pin);
  }
}

}  // namespace

Result<Context> ClientContext(const Trust& trust) {
  ERR_clear_error();
  Context context(SSL_CTX_new(TLS_client_method()), &SSL_CTX_free);
  if (context == nullptr) {
    return Fail(ErrorCode::kInternal, "cannot make a TLS context: " + Reason());
  }
  SSL_CTX* raw = context.get();
  SSL_CTX_set_min_proto_version(raw, TLS1_2_VERSION);
  SSL_CTX_set_options(raw, SSL_OP_NO_RENEGOTIATION | SSL_OP_NO_COMPRESSION);
  if (!trust.pin.empty()) {
    TUTTI_ASSIGN_OR_RETURN(std::string pin, ParsePin(trust.pin, "the pin"));
    SSL_CTX_set_ex_data(raw, PinIndex(), new std::string(std::move(pin)));
    SSL_CTX_set_verify(raw, SSL_VERIFY_PEER, nullptr);
    SSL_CTX_set_cert_verify_callback(raw, &VerifyPin, nullptr);
    return context;
  }
  SSL_CTX_set_verify(raw, SSL_VERIFY_PEER, &VerifyChain);
  if (trust.ca_file.empty()) {
    SSL_CTX_set_default_verify_paths(raw);
  } else if (SSL_CTX_load_verify_file(raw, trust.ca_file.c_str()) != 1) {
    return Fail(ErrorCode::kInvalid, "these are no certificates in PEM: " + Reason(),
                trust.ca_file.string(), "it is the file that TUTTI_CA_FILE names");
  }
  ERR_clear_error();
  return context;
}

Status ExpectHost(SSL& ssl, const std::string& host) {
  Keep(ssl, HostIndex(), host);
  SSL_set_hostflags(&ssl, X509_CHECK_FLAG_NO_PARTIAL_WILDCARDS);
  const bool set = IsIpAddress(host)
                       ? X509_VERIFY_PARAM_set1_ip_asc(SSL_get0_param(&ssl), host.c_str()) == 1
                       : SSL_set1_host(&ssl, host.c_str()) == 1 &&
                             SSL_set_tlsext_host_name(&ssl, host.c_str()) == 1;
  if (!set) {
    return Fail(ErrorCode::kInvalid, "TLS cannot check this name: " + Reason(), host);
  }
  return {};
}

Error HandshakeError(const SSL& ssl, std::string_view transport, std::string where) {
  if (const void* seen = SSL_get_ex_data(&ssl, SeenIndex())) {
    return Refused(ssl, *static_cast<const Seen*>(seen), std::move(where));
  }
  const bool plain = transport.find("wrong version number") != std::string_view::npos ||
                     transport.find("http request") != std::string_view::npos;
  return {ErrorCode::kUnavailable,
          plain ? "what answers there does not speak TLS"
                : "no TLS connection: " + std::string(transport),
          std::move(where), plain ? "does its address start with http:// ?" : ""};
}

}  // namespace tutti::tls
