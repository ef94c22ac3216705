#include "common/tls/identity.h"

#include <arpa/inet.h>
#include <openssl/bio.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/rand.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>
#include <sys/stat.h>

#include <algorithm>
#include <array>
#include <ctime>

#include "common/base/host.h"
#include "common/base/words.h"
#include "common/digest/sha256.h"
#include "common/file/file.h"
#include "common/tls/reason.h"

namespace tutti::tls {
namespace {

namespace fs = std::filesystem;

constexpr Bytes kPemMax{1 << 20};
constexpr int kValidDays = 3650;
constexpr long kDaySeconds = 24L * 3600;
constexpr std::size_t kNameMax = 64;  // of an X.509 common name

template <auto kFree>
struct Free {
  template <typename T>
  void operator()(T* object) const {
    kFree(object);
  }
};
using Key = std::unique_ptr<EVP_PKEY, Free<EVP_PKEY_free>>;
using Certificate = std::unique_ptr<X509, Free<X509_free>>;
using Bio = std::unique_ptr<BIO, Free<BIO_free_all>>;

Unexpected Broken(std::string_view what) {
  return Fail(ErrorCode::kInternal, std::string(what) + ": " + Reason());
}

Bio Reading(const std::string& text) {
  return Bio(BIO_new_mem_buf(text.data(), static_cast<int>(text.size())));
}

std::string Contents(BIO& bio) {
  char* data = nullptr;
  const long size = BIO_get_mem_data(&bio, &data);
  return {data, static_cast<std::size_t>(size)};
}

// Nobody is asked for a password: it is said that the key has one.
int NoPassword(char* /*buffer*/, int /*size*/, int /*writing*/, void* asked) {
  *static_cast<bool*>(asked) = true;
  return -1;
}

Result<Key> LoadKey(const fs::path& path) {
  struct stat status {};
  if (::stat(path.c_str(), &status) != 0) {
    return Fail(ErrnoError("cannot read the TLS key", path.string(), errno));
  }
  if ((status.st_mode & 007) != 0) {
    return Fail(ErrorCode::kAuth, "everybody may read this secret key", path.string(),
                "chmod 600 " + path.string());
  }
  TUTTI_ASSIGN_OR_RETURN(std::string text, ReadFile(path, kPemMax));
  bool asked = false;
  Key key(PEM_read_bio_PrivateKey(Reading(text).get(), nullptr, &NoPassword, &asked));
  OPENSSL_cleanse(text.data(), text.size());
  if (key == nullptr) {
    const std::string reason = Reason();
    if (asked) {
      return Fail(ErrorCode::kInvalid, "the key has a password, and nobody is here to type it",
                  path.string(), "write it without one: openssl pkey -in KEY -out NEW");
    }
    return Fail(ErrorCode::kInvalid, "this is no private key in PEM: " + reason, path.string());
  }
  return key;
}

Result<std::vector<Certificate>> LoadChain(const fs::path& path) {
  TUTTI_ASSIGN_OR_RETURN(const std::string text, ReadFile(path, kPemMax));
  const Bio bio = Reading(text);
  std::vector<Certificate> chain;
  while (X509* next = PEM_read_bio_X509(bio.get(), nullptr, nullptr, nullptr)) {
    chain.emplace_back(next);
  }
  const std::string reason = Reason();
  if (chain.empty()) {
    return Fail(ErrorCode::kInvalid, "this is no certificate in PEM: " + reason, path.string());
  }
  return chain;
}

Status CheckDates(const X509& certificate, const fs::path& path) {
  const ASN1_TIME* from = X509_get0_notBefore(&certificate);
  const ASN1_TIME* until = X509_get0_notAfter(&certificate);
  if (X509_cmp_current_time(until) < 0) {
    return Fail(ErrorCode::kInvalid, "the certificate expired on " + DateOf(*until), path.string(),
                "put a new one there; one that was made here is made anew once it is removed, and "
                "has another pin");
  }
  if (X509_cmp_current_time(from) > 0) {
    return Fail(ErrorCode::kInvalid, "the certificate is not valid before " + DateOf(*from),
                path.string(), "is this machine's clock right?");
  }
  return {};
}

Result<Context> ServerContext(const std::vector<Certificate>& chain, EVP_PKEY& key) {
  Context context(SSL_CTX_new(TLS_server_method()), &SSL_CTX_free);
  if (context == nullptr) return Broken("cannot make a TLS context");
  SSL_CTX* raw = context.get();
  SSL_CTX_set_min_proto_version(raw, TLS1_2_VERSION);
  SSL_CTX_set_options(raw, SSL_OP_NO_RENEGOTIATION | SSL_OP_NO_COMPRESSION);
  SSL_CTX_set_mode(raw, SSL_MODE_RELEASE_BUFFERS);  // thousands of idle streams
  if (SSL_CTX_set_cipher_list(raw, "ECDHE+AESGCM:ECDHE+CHACHA20") != 1 ||
      SSL_CTX_use_certificate(raw, chain.front().get()) != 1 ||
      SSL_CTX_use_PrivateKey(raw, &key) != 1) {
    return Broken("OpenSSL does not take the certificate");
  }
  for (std::size_t i = 1; i < chain.size(); ++i) {
    if (SSL_CTX_add1_chain_cert(raw, chain[i].get()) != 1) {
      return Broken("OpenSSL does not take the certificate's chain");
    }
  }
  return context;
}

// Letters, digits, dots and hyphens: what a name in a certificate may be, and no syntax of
// OpenSSL's configuration language.
bool IsHostName(const std::string& name) {
  return !name.empty() && name.size() <= 253 &&
         std::all_of(name.begin(), name.end(), [](unsigned char c) {
           return (c < 0x80 && std::isalnum(c) != 0) || c == '.' || c == '-' || c == '_';
         });
}

Status AddExtension(X509& certificate, int nid, const std::string& value) {
  X509V3_CTX context;
  X509V3_set_ctx_nodb(&context);
  X509V3_set_ctx(&context, &certificate, &certificate, nullptr, nullptr, 0);
  const std::unique_ptr<X509_EXTENSION, Free<X509_EXTENSION_free>> extension(
      X509V3_EXT_conf_nid(nullptr, &context, nid, value.c_str()));
  if (extension == nullptr || X509_add_ext(&certificate, extension.get(), -1) != 1) {
    return Broken("cannot make a certificate for " + value);
  }
  return {};
}

// For servers only: whoever trusts this certificate trusts nothing that it could sign.
Result<Certificate> MakeCertificate(EVP_PKEY& key, std::span<const std::string> names) {
  std::string alternatives;
  for (const std::string& name : names) {
    const bool address = IsIpAddress(name);
    if (!address && !IsHostName(name)) {
      return Fail(ErrorCode::kInvalid, "'" + name + "' is no host name or IP address");
    }
    alternatives += (alternatives.empty() ? "" : ",") + std::string(address ? "IP:" : "DNS:");
    alternatives += name;
  }
  Certificate certificate(X509_new());
  if (certificate == nullptr) return Broken("cannot make a certificate");
  X509& x509 = *certificate;
  std::array<unsigned char, 16> serial{};
  if (RAND_bytes(serial.data(), static_cast<int>(serial.size())) != 1) {
    return Broken("the system gives no random bytes");
  }
  serial[0] = (serial[0] & 0x7f) | 0x40;  // positive, and always of one length
  const std::unique_ptr<BIGNUM, Free<BN_free>> number(
      BN_bin2bn(serial.data(), static_cast<int>(serial.size()), nullptr));
  BN_to_ASN1_INTEGER(number.get(), X509_get_serialNumber(&x509));
  X509_set_version(&x509, X509_VERSION_3);
  X509_gmtime_adj(X509_getm_notBefore(&x509), -kDaySeconds);  // of clocks that are behind
  X509_time_adj_ex(X509_getm_notAfter(&x509), kValidDays, 0, nullptr);
  const std::string title = names.empty() ? "tutti" : names.front().substr(0, kNameMax);
  X509_NAME* subject = X509_get_subject_name(&x509);
  X509_NAME_add_entry_by_txt(subject, "O", MBSTRING_UTF8,
                             reinterpret_cast<const unsigned char*>("Tutti"), -1, -1, 0);
  X509_NAME_add_entry_by_txt(subject, "CN", MBSTRING_UTF8,
                             reinterpret_cast<const unsigned char*>(title.c_str()), -1, -1, 0);
  X509_set_issuer_name(&x509, subject);
  X509_set_pubkey(&x509, &key);
  TUTTI_RETURN_IF_ERROR(AddExtension(x509, NID_basic_constraints, "critical,CA:FALSE"));
  TUTTI_RETURN_IF_ERROR(AddExtension(x509, NID_key_usage, "critical,digitalSignature"));
  TUTTI_RETURN_IF_ERROR(AddExtension(x509, NID_ext_key_usage, "serverAuth"));
  TUTTI_RETURN_IF_ERROR(AddExtension(x509, NID_subject_key_identifier, "hash"));
  if (!alternatives.empty()) {
    TUTTI_RETURN_IF_ERROR(AddExtension(x509, NID_subject_alt_name, alternatives));
  }
  if (X509_sign(&x509, &key, EVP_sha256()) == 0) return Broken("cannot sign the certificate");
  return certificate;
}

Status MakeIdentity(const fs::path& certificate_path, const fs::path& key_path,
                    std::span<const std::string> names) {
  const Key key(EVP_PKEY_Q_keygen(nullptr, nullptr, "EC", "P-256"));
  if (key == nullptr) return Broken("OpenSSL makes no key");
  TUTTI_ASSIGN_OR_RETURN(const Certificate certificate, MakeCertificate(*key, names));
  const Bio key_text(BIO_new(BIO_s_secmem()));
  const Bio certificate_text(BIO_new(BIO_s_mem()));
  if (PEM_write_bio_PrivateKey(key_text.get(), key.get(), nullptr, nullptr, 0, nullptr, nullptr) !=
          1 ||
      PEM_write_bio_X509(certificate_text.get(), certificate.get()) != 1) {
    return Broken("cannot write a certificate");
  }
  // The certificate goes first and comes last: it is there only when its key is.
  TUTTI_RETURN_IF_ERROR(RemoveTree(certificate_path));
  TUTTI_RETURN_IF_ERROR(WriteFileAtomically(key_path, Contents(*key_text), {.mode = 0600}));
  return WriteFileAtomically(certificate_path, Contents(*certificate_text));
}

}  // namespace

Result<Identity> LoadIdentity(const fs::path& certificate, const fs::path& key) {
  TUTTI_ASSIGN_OR_RETURN(const std::vector<Certificate> chain, LoadChain(certificate));
  TUTTI_ASSIGN_OR_RETURN(const Key secret, LoadKey(key));
  const X509& own = *chain.front();
  TUTTI_RETURN_IF_ERROR(CheckDates(own, certificate));
  if (X509_check_private_key(&own, secret.get()) != 1) {
    ERR_clear_error();
    return Fail(ErrorCode::kInvalid, "the key does not belong to the certificate", key.string(),
                "the certificate is " + certificate.string() +
                    "; its first one must be the server's own, its chain after it");
  }
  Identity identity{.context = {}, .pin = PinOf(own), .names = NamesOf(own), .expires = {}};
  identity.expires = DateOf(*X509_get0_notAfter(&own));
  TUTTI_ASSIGN_OR_RETURN(identity.context, ServerContext(chain, *secret));
  return identity;
}

Result<Identity> LoadOrMakeIdentity(const fs::path& directory, std::span<const std::string> names) {
  const fs::path certificate = directory / "cert.pem";
  const fs::path key = directory / "key.pem";
  std::error_code ignored;
  if (!fs::exists(certificate, ignored) || !fs::exists(key, ignored)) {
    TUTTI_RETURN_IF_ERROR(MakeDirectories(directory, 0700));
    TUTTI_RETURN_IF_ERROR(MakeIdentity(certificate, key, names));
  }
  return LoadIdentity(certificate, key);
}

std::string PinOf(const X509& certificate) {
  unsigned char* der = nullptr;
  const int size = i2d_X509(&certificate, &der);
  if (size <= 0) return {};
  const std::unique_ptr<unsigned char, void (*)(void*)> owned(
      der, [](void* bytes) { OPENSSL_free(bytes); });
  const std::string_view bytes(reinterpret_cast<const char*>(der), static_cast<std::size_t>(size));
  return Sha256Of(bytes).ToString();
}

Result<std::string> ParsePin(std::string_view text, std::string where) {
  const std::string pin = LowerCase(text);
  constexpr std::size_t kHexDigits = 64;
  if (!pin.starts_with(kPinPrefix) || pin.size() != kPinPrefix.size() + kHexDigits ||
      pin.find_first_not_of("0123456789abcdef", kPinPrefix.size()) != std::string::npos) {
    return Fail(ErrorCode::kInvalid, "'" + std::string(text.substr(0, 100)) + "' is no pin",
                std::move(where),
                "a pin is sha256: and 64 hex digits; the coordinator's endpoint.json has it");
  }
  return pin;
}

std::vector<std::string> NamesOf(const X509& certificate) {
  std::vector<std::string> names;
  const std::unique_ptr<GENERAL_NAMES, Free<GENERAL_NAMES_free>> found(static_cast<GENERAL_NAMES*>(
      X509_get_ext_d2i(&certificate, NID_subject_alt_name, nullptr, nullptr)));
  for (int i = 0; found != nullptr && i < sk_GENERAL_NAME_num(found.get()); ++i) {
    const GENERAL_NAME* name = sk_GENERAL_NAME_value(found.get(), i);
    const bool address = name->type == GEN_IPADD;
    if (!address && name->type != GEN_DNS) continue;
    const ASN1_STRING* value = address ? name->d.iPAddress : name->d.dNSName;
    const unsigned char* bytes = ASN1_STRING_get0_data(value);
    const int size = ASN1_STRING_length(value);
    if (!address) {
      names.emplace_back(reinterpret_cast<const char*>(bytes), static_cast<std::size_t>(size));
      continue;
    }
    std::array<char, INET6_ADDRSTRLEN> text{};
    const int family = size == 4 ? AF_INET : AF_INET6;
    if ((size == 4 || size == 16) &&
        ::inet_ntop(family, bytes, text.data(), text.size()) != nullptr) {
      names.emplace_back(text.data());
    }
  }
  return names;
}

std::string DateOf(const ASN1_TIME& time) {
  std::tm parts{};
  if (ASN1_TIME_to_tm(&time, &parts) != 1) return "an unreadable date";
  std::array<char, 16> text{};
  const std::size_t size = std::strftime(text.data(), text.size(), "%Y-%m-%d", &parts);
  return {text.data(), size};
}

}  // namespace tutti::tls
