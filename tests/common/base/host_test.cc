#include "common/base/host.h"

#include <gtest/gtest.h>

namespace tutti {
namespace {

TEST(Host, AddressesAreTellableFromNames) {
  for (const char* address : {"127.0.0.1", "192.0.2.1", "::1", "2001:db8::1"}) {
    EXPECT_TRUE(IsIpAddress(address)) << address;
  }
  for (const char* name : {"", "localhost", "tutti.example", "127.1", "1.2.3.4.5", "[::1]"}) {
    EXPECT_FALSE(IsIpAddress(name)) << name;
  }
}

TEST(Host, LoopbackIsThisMachineByNameOrAddress) {
  for (const char* own : {"localhost", "::1", "127.0.0.1", "127.0.0.2"}) {
    EXPECT_TRUE(IsLoopbackHost(own)) << own;
  }
  for (const char* other : {"", "0.0.0.0", "::", "10.0.0.1", "localhost.example"}) {
    EXPECT_FALSE(IsLoopbackHost(other)) << other;
  }
}

TEST(Host, AddressesAreBracketedWhereTheyHaveColons) {
  EXPECT_EQ(Bracketed("2001:db8::1"), "[2001:db8::1]");
  EXPECT_EQ(Bracketed("192.0.2.1"), "192.0.2.1");
  EXPECT_EQ(Bracketed("tutti.example"), "tutti.example");
}

}  // namespace
}  // namespace tutti
