#include "common/tls/identity.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <openssl/pem.h>
#include <openssl/x509.h>
#include <sys/stat.h>

#include <memory>

#include "common/file/file.h"
#include "tests/common/tls/scratch.h"

namespace tutti::tls {
namespace {

namespace fs = std::filesystem;
using testing::ElementsAre;
using testing::HasSubstr;

class IdentityTest : public ScratchTest {};

unsigned ModeOf(const fs::path& path) {
  struct stat status {};
  return ::stat(path.c_str(), &status) == 0 ? status.st_mode & 0777 : 0;
}

TEST_F(IdentityTest, IsMadeOnceForItsNamesAndItsKeyIsPrivate) {
  const std::vector<std::string> names = {"tutti.example", "192.0.2.7", "2001:db8::7"};
  const auto made = LoadOrMakeIdentity(dir_ / "tls", names);
  ASSERT_TRUE(made) << made.error().ToString();
  EXPECT_THAT(made->names, ElementsAre("tutti.example", "192.0.2.7", "2001:db8::7"));
  EXPECT_TRUE(ParsePin(made->pin, ""));
  EXPECT_EQ(ModeOf(dir_ / "tls/key.pem"), 0600U);
  EXPECT_EQ(ModeOf(dir_ / "tls"), 0700U);

  const auto again = LoadOrMakeIdentity(dir_ / "tls", std::vector<std::string>{"other.example"});
  ASSERT_TRUE(again) << again.error().ToString();
  EXPECT_EQ(again->pin, made->pin);
  EXPECT_EQ(again->names, made->names);
}

TEST_F(IdentityTest, ItsPinIsTheDigestOfTheCertificatesDer) {
  const auto made = LoadOrMakeIdentity(dir_, std::vector<std::string>{"a.example"});
  ASSERT_TRUE(made);
  const auto pem = ReadFile(dir_ / "cert.pem");
  ASSERT_TRUE(pem);
  BIO* bio = BIO_new_mem_buf(pem->data(), static_cast<int>(pem->size()));
  X509* certificate = PEM_read_bio_X509(bio, nullptr, nullptr, nullptr);
  ASSERT_NE(certificate, nullptr);
  std::array<unsigned char, 32> digest{};
  unsigned size = 0;
  ASSERT_EQ(X509_digest(certificate, EVP_sha256(), digest.data(), &size), 1);
  std::string expected = "sha256:";
  for (const unsigned char byte : digest) {
    expected += "0123456789abcdef"[byte >> 4];
    expected += "0123456789abcdef"[byte & 15];
  }
  EXPECT_EQ(made->pin, expected);
  X509_free(certificate);
  BIO_free(bio);
}

TEST_F(IdentityTest, NamesThatAreNoneAreRefusedAndLeaveNothing) {
  for (const char* name : {"", "a b", "x,DNS:evil.example", "a\nb"}) {
    const auto made = LoadOrMakeIdentity(dir_ / "tls", std::vector<std::string>{name});
    ASSERT_FALSE(made) << name;
    EXPECT_EQ(made.error().code, ErrorCode::kInvalid);
  }
  EXPECT_FALSE(fs::exists(dir_ / "tls/cert.pem"));
}

TEST_F(IdentityTest, AKeyThatEverybodyMayReadIsRefused) {
  ASSERT_TRUE(LoadOrMakeIdentity(dir_, std::vector<std::string>{"a.example"}));
  fs::permissions(dir_ / "key.pem", fs::perms::others_read, fs::perm_options::add);
  const auto loaded = LoadIdentity(dir_ / "cert.pem", dir_ / "key.pem");
  ASSERT_FALSE(loaded);
  EXPECT_EQ(loaded.error().code, ErrorCode::kAuth);
  EXPECT_EQ(loaded.error().where, dir_ / "key.pem");
  EXPECT_THAT(loaded.error().hint, HasSubstr("chmod 600"));
}

TEST_F(IdentityTest, AKeyOfAnotherCertificateIsRefused) {
  ASSERT_TRUE(LoadOrMakeIdentity(dir_ / "a", std::vector<std::string>{"a.example"}));
  ASSERT_TRUE(LoadOrMakeIdentity(dir_ / "b", std::vector<std::string>{"b.example"}));
  const auto loaded = LoadIdentity(dir_ / "a/cert.pem", dir_ / "b/key.pem");
  ASSERT_FALSE(loaded);
  EXPECT_EQ(loaded.error().code, ErrorCode::kInvalid);
  EXPECT_EQ(loaded.error().where, dir_ / "b/key.pem");
  EXPECT_THAT(loaded.error().message, HasSubstr("does not belong"));
  EXPECT_THAT(loaded.error().hint, HasSubstr((dir_ / "a/cert.pem").string()));
}

TEST_F(IdentityTest, WhatIsNoCertificateOrNoKeyIsSaidByName) {
  ASSERT_TRUE(LoadOrMakeIdentity(dir_, std::vector<std::string>{"a.example"}));
  const auto swapped = LoadIdentity(dir_ / "key.pem", dir_ / "cert.pem");
  ASSERT_FALSE(swapped);
  EXPECT_THAT(swapped.error().message, HasSubstr("no certificate in PEM"));
  EXPECT_EQ(swapped.error().where, dir_ / "key.pem");

  ASSERT_TRUE(WriteFileAtomically(dir_ / "key.pem", "rubbish", {.mode = 0600}));
  const auto rubbish = LoadIdentity(dir_ / "cert.pem", dir_ / "key.pem");
  ASSERT_FALSE(rubbish);
  EXPECT_THAT(rubbish.error().message, HasSubstr("no private key"));

  const auto missing = LoadIdentity(dir_ / "none.pem", dir_ / "key.pem");
  ASSERT_FALSE(missing);
  EXPECT_EQ(missing.error().code, ErrorCode::kNotFound);
}

TEST_F(IdentityTest, AKeyWithAPasswordIsRefusedWithoutAsking) {
  ASSERT_TRUE(LoadOrMakeIdentity(dir_, std::vector<std::string>{"a.example"}));
  EVP_PKEY* key = EVP_PKEY_Q_keygen(nullptr, nullptr, "EC", "P-256");
  BIO* bio = BIO_new(BIO_s_mem());
  const char* password = "password";
  ASSERT_EQ(PEM_write_bio_PrivateKey(bio, key, EVP_aes_128_cbc(),
                                     reinterpret_cast<const unsigned char*>(password), 8, nullptr,
                                     nullptr),
            1);
  char* text = nullptr;
  const long size = BIO_get_mem_data(bio, &text);
  ASSERT_TRUE(WriteFileAtomically(
      dir_ / "key.pem", std::string_view(text, static_cast<std::size_t>(size)), {.mode = 0600}));
  BIO_free(bio);
  EVP_PKEY_free(key);
  const auto loaded = LoadIdentity(dir_ / "cert.pem", dir_ / "key.pem");
  ASSERT_FALSE(loaded);
  EXPECT_THAT(loaded.error().message, HasSubstr("password"));
}

TEST_F(IdentityTest, AnExpiredCertificateIsRefusedWithItsDate) {
  WriteCertificate(dir_, {.names = {"DNS:a.example"}, .days_from = -20, .days_until = -10});
  const auto loaded = LoadIdentity(dir_ / "cert.pem", dir_ / "key.pem");
  ASSERT_FALSE(loaded);
  EXPECT_EQ(loaded.error().code, ErrorCode::kInvalid);
  EXPECT_THAT(loaded.error().message, HasSubstr("expired on 20"));

  WriteCertificate(dir_, {.names = {"DNS:a.example"}, .days_from = 10, .days_until = 20});
  const auto early = LoadIdentity(dir_ / "cert.pem", dir_ / "key.pem");
  ASSERT_FALSE(early);
  EXPECT_THAT(early.error().message, HasSubstr("not valid before 20"));
}

TEST(Pin, IsReadInEitherCaseAndNothingElseIsOne) {
  const std::string hex(64, 'A');
  const auto pin = ParsePin("SHA256:" + hex, "here");
  ASSERT_TRUE(pin);
  EXPECT_EQ(*pin, "sha256:" + std::string(64, 'a'));
  for (const std::string& bad : {std::string(), hex, "sha256:" + hex.substr(1),
                                 "sha256:" + hex + "a", "sha256:" + std::string(64, 'g')}) {
    const auto parsed = ParsePin(bad, "here");
    ASSERT_FALSE(parsed) << bad;
    EXPECT_EQ(parsed.error().code, ErrorCode::kInvalid);
    EXPECT_EQ(parsed.error().where, "here");
  }
}

}  // namespace
}  // namespace tutti::tls
