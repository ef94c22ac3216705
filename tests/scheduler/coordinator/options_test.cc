#include "scheduler/coordinator/options.h"

#include <gmock/gmock.h>

#include <vector>

namespace tutti::coordinator {
namespace {

Result<Options> Parse(std::vector<std::string> words) {
  words.insert(words.begin(), {"--data-dir", "/data"});
  auto parsed = ParseOptions(words);
  if (!parsed) return Fail(parsed.error());
  return std::get<Options>(*parsed);
}

TEST(CoordinatorOptions, HttpIsPlainOnLoopbackUnlessTlsIsAskedFor) {
  EXPECT_FALSE(Parse({})->tls);
  EXPECT_FALSE(Parse({"--http", "localhost:0"})->tls);
  EXPECT_TRUE(Parse({"--tls"})->tls);
  EXPECT_TRUE(Parse({"--tls-cert", "c.pem", "--tls-key", "k.pem"})->tls);
}

TEST(CoordinatorOptions, HttpThatOthersReachIsAlwaysTls) {
  for (const char* http : {"0.0.0.0:7717", "[::]:7717", "192.0.2.1:7717"}) {
    EXPECT_TRUE(Parse({"--http", http})->tls) << http;
    EXPECT_TRUE(Parse({"--http", http, "--tls=false"})->tls) << http;
  }
  EXPECT_FALSE(Parse({"--zmq", "0.0.0.0:7718"})->tls) << "CURVE protects it";
}

TEST(CoordinatorOptions, ACertificateComesWithItsKey) {
  for (const char* one : {"--tls-cert", "--tls-key"}) {
    const auto parsed = Parse({one, "file.pem"});
    ASSERT_FALSE(parsed);
    EXPECT_EQ(parsed.error().code, ErrorCode::kInvalid);
    EXPECT_NE(parsed.error().where, one);
  }
  EXPECT_TRUE(Parse({"--tls-cert", "c.pem", "--tls-key", "k.pem"})->tls_cert.is_absolute());
}

TEST(CoordinatorOptions, WhatIsAdvertisedIsANameOrAnAddress) {
  for (const char* good : {"tutti.example", "192.0.2.1", "2001:db8::1"}) {
    EXPECT_EQ(Parse({"--advertise", good})->advertise, good);
  }
  for (const char* bad : {"tutti.example:7717", "https://tutti.example", "a b", "0.0.0.0", "*"}) {
    const auto parsed = Parse({"--advertise", bad});
    ASSERT_FALSE(parsed) << bad;
    EXPECT_EQ(parsed.error().where, "--advertise");
  }
}

}  // namespace
}  // namespace tutti::coordinator
