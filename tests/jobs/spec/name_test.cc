#include "jobs/spec/name.h"

#include <gtest/gtest.h>

#include <string>

namespace tutti::spec {
namespace {

TEST(IsName, IsSpecMdsRule) {
  EXPECT_TRUE(IsName("a"));
  EXPECT_TRUE(IsName("9.a_B-"));
  EXPECT_TRUE(IsName(std::string(63, 'x')));
  for (const std::string& bad :
       {std::string(), std::string(64, 'x'), std::string("_a"), std::string(".a"),
        std::string("a b"), std::string("ä"), std::string("a\0", 2), std::string("a\n")}) {
    EXPECT_FALSE(IsName(bad)) << testing::PrintToString(bad);
  }
}

}  // namespace
}  // namespace tutti::spec
