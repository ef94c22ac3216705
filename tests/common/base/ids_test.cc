#include "common/base/ids.h"

#include <gtest/gtest.h>

namespace tutti {
namespace {

TEST(ShortId, RoundTripsThroughText) {
  for (const std::uint64_t bits :
       {std::uint64_t{0}, std::uint64_t{1}, JobId::kMax, std::uint64_t{0x123456789a}}) {
    const JobId id(bits);
    EXPECT_EQ(id.ToString().size(), 10u);
    EXPECT_EQ(JobId::Parse(id.ToString()), id);
  }
}

TEST(ShortId, RefusesWhatItDoesNotWrite) {
  for (const char* text : {"", "j-", "j-0000000", "j-000000000", "w-00000000", "j-0000000i",
                           "j-0000000A", "J-00000000", "j-0000 000"}) {
    EXPECT_EQ(JobId::Parse(text), std::nullopt) << text;
  }
}

TEST(ShortId, KeepsTheLow40Bits) { EXPECT_EQ(JobId(~std::uint64_t{0}).value(), JobId::kMax); }

TEST(Attempt, CountsUp) { EXPECT_EQ(Number(Next(Attempt{3})), 4u); }

}  // namespace
}  // namespace tutti
