#include "scheduler/coordinator/addresses.h"

#include <gmock/gmock.h>

#include <set>

namespace tutti::coordinator {
namespace {

using testing::Contains;
using testing::ElementsAre;
using testing::IsSubsetOf;

TEST(Reach, OnLoopbackIsLoopbackAlone) {
  const Reach reach = ReachOf("127.0.0.1", "");
  EXPECT_EQ(reach.advertise, "127.0.0.1");
  EXPECT_THAT(reach.names, ElementsAre("127.0.0.1", "localhost", "::1"));
}

TEST(Reach, OfOneAddressIsThatAddress) {
  const Reach reach = ReachOf("192.0.2.7", "");
  EXPECT_EQ(reach.advertise, "192.0.2.7");
  EXPECT_THAT(reach.names, Contains(OwnName()));
  EXPECT_THAT(reach.names, Contains("localhost"));
}

TEST(Reach, OfAllAddressesIsWhatIsAdvertisedThenOurOwn) {
  const Reach given = ReachOf("0.0.0.0", "tutti.example");
  EXPECT_EQ(given.advertise, "tutti.example");
  EXPECT_THAT(OwnAddresses(), IsSubsetOf(given.names));
  EXPECT_EQ(std::set(given.names.begin(), given.names.end()).size(), given.names.size());
  for (const char* any : {"0.0.0.0", "::"}) {
    const Reach found = ReachOf(any, "");
    EXPECT_FALSE(IsAny(found.advertise));
    EXPECT_THAT(found.names, testing::Not(Contains(any)));
    const auto own = OwnAddresses();
    EXPECT_EQ(found.advertise, own.empty() ? OwnName() : own.front());
  }
}

}  // namespace
}  // namespace tutti::coordinator
