#include "worker/agent/address.h"

#include <gtest/gtest.h>

namespace tutti::agent {
namespace {

TEST(Address, TowardsTheLoopbackIsTheLoopback) {
  const auto found = AddressTowards("tcp://127.0.0.1:7718");
  ASSERT_TRUE(found) << found.error().ToString();
  EXPECT_EQ(found->ip, "127.0.0.1");
  EXPECT_EQ(found->interface, "lo");
  EXPECT_TRUE(found->IsLoopback());
}

TEST(Address, ThatNoInterfaceHasIsRefused) {
  const auto found = AddressHere("192.0.2.1");  // of documentation: nobody's
  ASSERT_FALSE(found);
  EXPECT_EQ(found.error().code, ErrorCode::kInvalid);
  EXPECT_NE(found.error().message.find("192.0.2.1"), std::string::npos);
}

TEST(Address, OfAnEndpointThatIsNoneIsRefused) {
  EXPECT_FALSE(AddressTowards("tcp://nowhere"));
  EXPECT_FALSE(AddressTowards("tcp://name.invalid:1"));
}

TEST(Interface, IsOnesOwnUnlessThatIsTheLoopbackAndAPeerIsElsewhere) {
  const LocalAddress eth{.ip = "10.0.0.2", .interface = "eth7"};
  EXPECT_EQ(InterfaceTowards(eth, {"10.0.0.2", "10.0.0.3"}), "eth7");
  const LocalAddress lo{.ip = "127.0.0.1", .interface = "lo"};
  EXPECT_EQ(InterfaceTowards(lo, {"127.0.0.1", "127.0.0.1", ""}), "lo");
  EXPECT_EQ(InterfaceTowards({}, {}), "lo");
}

}  // namespace
}  // namespace tutti::agent
