#include "common/digest/sha256.h"

#include <gtest/gtest.h>

#include <cstdio>
#include <fstream>

namespace tutti {
namespace {

// FIPS 180-2, appendix B.1.
constexpr const char* kAbc =
    "sha256:ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";

TEST(Sha256, MatchesTheStandardsExample) { EXPECT_EQ(Sha256Of("abc").ToString(), kAbc); }

TEST(Sha256, PiecesEqualTheWhole) {
  Sha256 hash;
  hash.Update("a");
  hash.Update("");
  hash.Update("bc");
  EXPECT_EQ(hash.Finish(), Sha256Of("abc"));
}

TEST(Digest, ParsesOnlyWhatItWrites) {
  EXPECT_EQ(Digest::Parse(kAbc), Sha256Of("abc"));
  EXPECT_EQ(Digest::Parse("abc"), std::nullopt);
  EXPECT_EQ(Digest::Parse(std::string(kAbc) + "0"), std::nullopt);
  EXPECT_EQ(Digest::Parse("sha256:" + std::string(64, 'A')), std::nullopt);
}

// RFC 4231, test case 2.
TEST(HmacSha256, IsThatOfTheStandard) {
  EXPECT_EQ(HmacSha256("Jefe", "what do ya want for nothing?").ToHex(),
            "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843");
}

TEST(SameSecret, ComparesAllOfBoth) {
  EXPECT_TRUE(SameSecret("", ""));
  EXPECT_TRUE(SameSecret("secret", "secret"));
  EXPECT_FALSE(SameSecret("secret", "secreT"));
  EXPECT_FALSE(SameSecret("secret", "secrets"));
}

TEST(Sha256OfFile, ReadsFilesAndNamesMissingOnes) {
  const std::string path = testing::TempDir() + "sha256_test.txt";
  std::ofstream(path) << "abc";
  EXPECT_EQ(Sha256OfFile(path).value().ToString(), kAbc);
  std::remove(path.c_str());
  const auto missing = Sha256OfFile(path);
  EXPECT_EQ(missing.error().code, ErrorCode::kNotFound);
  EXPECT_EQ(missing.error().where, path);
}

}  // namespace
}  // namespace tutti
