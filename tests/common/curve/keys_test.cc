#include "common/curve/keys.h"

#include <gtest/gtest.h>
#include <openssl/evp.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/file/file.h"

namespace tutti::curve {
namespace {

namespace fs = std::filesystem;

TEST(Z85, WritesTheRfcsExample) {
  const std::array<std::uint8_t, 8> bytes = {0x86, 0x4F, 0xD2, 0x6F, 0xB5, 0x59, 0xF7, 0x5B};
  EXPECT_EQ(EncodeZ85(bytes), "HelloWorld");
}

TEST(Z85, KeysComeBackEqualAndDamageIsSeen) {
  const auto pair = MakeKeyPair();
  ASSERT_TRUE(pair);
  const auto bytes = DecodeKey(pair->public_key);
  ASSERT_TRUE(bytes);
  EXPECT_EQ(EncodeZ85(*bytes), pair->public_key);
  EXPECT_FALSE(DecodeKey(pair->public_key.substr(1)));
  EXPECT_FALSE(DecodeKey(std::string(40, '~')));
  EXPECT_FALSE(DecodeKey(std::string(40, '#')));  // above 2^32 - 1 a group
}

// ZeroMQ derives the public key from the secret as X25519 does.
TEST(KeyPair, ThePublicKeyBelongsToTheSecret) {
  const auto pair = MakeKeyPair();
  ASSERT_TRUE(pair);
  const auto secret = DecodeKey(pair->secret_key);
  ASSERT_TRUE(secret);
  EVP_PKEY* key =
      EVP_PKEY_new_raw_private_key(EVP_PKEY_X25519, nullptr, secret->data(), secret->size());
  ASSERT_NE(key, nullptr);
  std::array<std::uint8_t, kKeyBytes> shared{};
  std::size_t size = shared.size();
  ASSERT_EQ(EVP_PKEY_get_raw_public_key(key, shared.data(), &size), 1);
  EVP_PKEY_free(key);
  EXPECT_EQ(EncodeZ85(shared), pair->public_key);
}

TEST(KeyPair, IsMadeOnceAndItsSecretIsPrivate) {
  const fs::path directory = fs::path(testing::TempDir()) / ("curve-" + std::to_string(::getpid()));
  fs::remove_all(directory);
  const auto made = LoadOrMakeKeyPair(directory);
  ASSERT_TRUE(made) << made.error().ToString();
  struct stat status {};
  ASSERT_EQ(::stat((directory / "curve.key").c_str(), &status), 0);
  EXPECT_EQ(status.st_mode & 0777, 0600U);
  const auto again = LoadOrMakeKeyPair(directory);
  ASSERT_TRUE(again);
  EXPECT_EQ(again->public_key, made->public_key);
  EXPECT_EQ(again->secret_key, made->secret_key);

  ASSERT_EQ(::chmod((directory / "curve.key").c_str(), 0644), 0);
  EXPECT_EQ(LoadOrMakeKeyPair(directory).error().code, ErrorCode::kAuth);
  ASSERT_TRUE(WriteFileAtomically(directory / "curve.key", "x", {.mode = 0600}));
  EXPECT_EQ(LoadOrMakeKeyPair(directory).error().code, ErrorCode::kInvalid);
  fs::remove_all(directory);
}

}  // namespace
}  // namespace tutti::curve
