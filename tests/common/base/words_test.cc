#include "common/base/words.h"

#include <gmock/gmock.h>

namespace tutti {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;

TEST(CommaWords, AreWhatStandsBetweenTheCommas) {
  EXPECT_THAT(CommaWords("queued"), ElementsAre("queued"));
  EXPECT_THAT(CommaWords("queued,running"), ElementsAre("queued", "running"));
  EXPECT_THAT(CommaWords(",a,, b"), ElementsAre("", "a", "", " b"));
}

TEST(CommaWords, ACommaAtTheEndBeginsNone) {
  EXPECT_THAT(CommaWords(""), IsEmpty());
  EXPECT_THAT(CommaWords("a,"), ElementsAre("a"));
}

TEST(LowerCase, ChangesTheLettersOfAsciiAlone) {
  EXPECT_EQ(LowerCase("Content-Length: AZ@[`{9"), "content-length: az@[`{9");
  EXPECT_EQ(LowerCase("\xC3\x84"), "\xC3\x84");
  EXPECT_EQ(LowerCase(""), "");
}

}  // namespace
}  // namespace tutti
