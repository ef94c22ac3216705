#include "scheduler/webhooks/networks.h"

#include <gtest/gtest.h>
#include <netdb.h>

#include "scheduler/webhooks/resolve.h"

namespace tutti::webhooks {
namespace {

Network Of(const char* text) {
  addrinfo hints{};
  hints.ai_flags = AI_NUMERICHOST;
  addrinfo* found = nullptr;
  EXPECT_EQ(::getaddrinfo(text, nullptr, &hints, &found), 0) << text;
  const Network network = NetworkOf(*found->ai_addr);
  ::freeaddrinfo(found);
  return network;
}

TEST(NetworksTest, AnAddressBelongsToOne) {
  const std::pair<const char*, Network> cases[] = {
      {"93.184.216.34", Network::kPublic},
      {"172.32.0.1", Network::kPublic},
      {"2606:4700::1111", Network::kPublic},
      {"10.1.2.3", Network::kPrivate},
      {"172.31.255.255", Network::kPrivate},
      {"192.168.0.1", Network::kPrivate},
      {"100.64.0.1", Network::kPrivate},
      {"fd12:3456::1", Network::kPrivate},
      {"127.0.0.1", Network::kLoopback},
      {"127.255.0.9", Network::kLoopback},
      {"0.0.0.0", Network::kLoopback},
      {"::1", Network::kLoopback},
      {"::", Network::kLoopback},
      {"169.254.169.254", Network::kLinkLocal},
      {"100.100.100.200", Network::kLinkLocal},
      {"192.0.0.192", Network::kLinkLocal},
      {"fe80::1", Network::kLinkLocal},
      {"fd00:ec2::254", Network::kLinkLocal},
      {"224.0.0.1", Network::kNone},
      {"255.255.255.255", Network::kNone},
      {"ff02::1", Network::kNone},
  };
  for (const auto& [text, network] : cases) EXPECT_EQ(Of(text), network) << text;
}

TEST(NetworksTest, AnAddressInsideAnotherIsTheInnerOne) {
  EXPECT_EQ(Of("::ffff:169.254.169.254"), Network::kLinkLocal);
  EXPECT_EQ(Of("::ffff:127.0.0.1"), Network::kLoopback);
  EXPECT_EQ(Of("::127.0.0.1"), Network::kLoopback);
  EXPECT_EQ(Of("64:ff9b::10.0.0.1"), Network::kPrivate);
  EXPECT_EQ(Of("2002:a9fe:a9fe::1"), Network::kLinkLocal);
}

TEST(NetworksTest, AreReadAndWrittenInOneWay) {
  const auto networks = Networks::Parse("public,link-local");
  ASSERT_TRUE(networks);
  EXPECT_TRUE(networks->Allow(Network::kPublic));
  EXPECT_TRUE(networks->Allow(Network::kLinkLocal));
  EXPECT_FALSE(networks->Allow(Network::kLoopback));
  EXPECT_EQ(networks->ToString(), "public,link-local");
  for (const char* text : {"reserved", "public private", "all", "public,,private"}) {
    EXPECT_FALSE(Networks::Parse(text)) << text;
  }
  const Networks all{Network::kPublic, Network::kPrivate, Network::kLoopback, Network::kLinkLocal};
  EXPECT_FALSE(all.Allow(Network::kNone));
}

TEST(NetworksTest, AHostWithNoAllowedAddressIsRefusedByItsAddress) {
  const Instant soon = MonotonicNow() + std::chrono::seconds(10);
  const Networks outside{Network::kPublic};
  const auto refused = Resolve("127.0.0.1", outside, soon, -1);
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code, ErrorCode::kUnsupported);
  EXPECT_NE(refused.error().message.find("127.0.0.1, a loopback address"), std::string::npos);
  EXPECT_NE(refused.error().hint.find("--webhooks-to"), std::string::npos);
  const auto named = Resolve("localhost", outside, soon, -1);
  ASSERT_FALSE(named);
  EXPECT_EQ(named.error().code, ErrorCode::kUnsupported) << named.error().ToString();
  const auto allowed = Resolve("localhost", {Network::kLoopback}, soon, -1);
  ASSERT_TRUE(allowed) << allowed.error().ToString();
  EXPECT_FALSE(allowed->empty());
}

TEST(NetworksTest, OnlyAddressesAreRefusedBeforeTheyAreResolved) {
  const Networks outside{Network::kPublic};
  EXPECT_TRUE(CheckLiteral("localhost", outside));
  EXPECT_TRUE(CheckLiteral("93.184.216.34", outside));
  EXPECT_FALSE(CheckLiteral("169.254.169.254", outside));
  EXPECT_FALSE(CheckLiteral("2130706433", outside));  // 127.0.0.1 as the C library reads numbers
  EXPECT_FALSE(CheckLiteral("0x7f.1", outside));
}

}  // namespace
}  // namespace tutti::webhooks
