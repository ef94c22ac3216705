// What the TLS tests share: a scratch folder that goes with the test, and certificates that Tutti
// itself would not make. One thread.
#pragma once

#include <gtest/gtest.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>
#include <unistd.h>

#include <filesystem>
#include <string>
#include <vector>

#include "common/file/file.h"

namespace tutti::tls {

class ScratchTest : public testing::Test {
 protected:
  ScratchTest() {
    const auto* info = testing::UnitTest::GetInstance()->current_test_info();
    dir_ = std::filesystem::path(testing::TempDir()) /
           ("tls-" + std::to_string(::getpid()) + "-" + info->name());
    std::filesystem::remove_all(dir_);
    std::filesystem::create_directories(dir_);
  }
  ~ScratchTest() override { std::filesystem::remove_all(dir_); }

  std::filesystem::path dir_;
};

struct CertificateOptions {
  std::vector<std::string> names = {};  // "DNS:a.example", "IP:127.0.0.1"
  int days_from = -1;
  int days_until = 1;
};

inline std::string TextOf(BIO* bio) {
  char* text = nullptr;
  const long size = BIO_get_mem_data(bio, &text);
  return {text, static_cast<std::size_t>(size)};
}

// `dir`/cert.pem, signed by itself, and `dir`/key.pem.
inline void WriteCertificate(const std::filesystem::path& dir, const CertificateOptions& options) {
  EVP_PKEY* key = EVP_PKEY_Q_keygen(nullptr, nullptr, "EC", "P-256");
  X509* certificate = X509_new();
  X509_set_version(certificate, 2);
  ASN1_INTEGER_set(X509_get_serialNumber(certificate), 7);
  X509_time_adj_ex(X509_getm_notBefore(certificate), options.days_from, 0, nullptr);
  X509_time_adj_ex(X509_getm_notAfter(certificate), options.days_until, 0, nullptr);
  X509_NAME* name = X509_get_subject_name(certificate);
  X509_NAME_add_entry_by_txt(name, "CN", MBSTRING_ASC,
                             reinterpret_cast<const unsigned char*>("test"), -1, -1, 0);
  X509_set_issuer_name(certificate, name);
  X509_set_pubkey(certificate, key);
  std::string list;
  for (const std::string& each : options.names) list += (list.empty() ? "" : ",") + each;
  if (!list.empty()) {
    X509_EXTENSION* extension =
        X509V3_EXT_conf_nid(nullptr, nullptr, NID_subject_alt_name, list.c_str());
    ASSERT_NE(extension, nullptr);
    X509_add_ext(certificate, extension, -1);
    X509_EXTENSION_free(extension);
  }
  ASSERT_GT(X509_sign(certificate, key, EVP_sha256()), 0);
  BIO* text = BIO_new(BIO_s_mem());
  PEM_write_bio_X509(text, certificate);
  ASSERT_TRUE(WriteFileAtomically(dir / "cert.pem", TextOf(text)));
  BIO_free(text);
  text = BIO_new(BIO_s_mem());
  PEM_write_bio_PrivateKey(text, key, nullptr, nullptr, 0, nullptr, nullptr);
  ASSERT_TRUE(WriteFileAtomically(dir / "key.pem", TextOf(text), {.mode = 0600}));
  BIO_free(text);
  X509_free(certificate);
  EVP_PKEY_free(key);
}

}  // namespace tutti::tls
