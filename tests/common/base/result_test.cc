#include "common/base/result.h"

#include <gtest/gtest.h>

#include <cerrno>
#include <memory>

namespace tutti {
namespace {

Result<int> Half(int x) {
  if (x % 2 != 0) return Fail(ErrorCode::kInvalid, "odd", "x", "use an even number");
  return x / 2;
}

Result<int> Quarter(int x) {
  TUTTI_ASSIGN_OR_RETURN(const int half, Half(x));
  TUTTI_RETURN_IF_ERROR(Half(half));
  return half / 2;
}

TEST(Result, MacrosPassValuesAndErrorsOn) {
  EXPECT_EQ(Quarter(8).value(), 2);
  EXPECT_EQ(Quarter(3).error().code, ErrorCode::kInvalid);
  EXPECT_EQ(Quarter(6).error().code, ErrorCode::kInvalid);
}

TEST(Error, SaysWhereWhatAndWhatToDo) {
  EXPECT_EQ(Half(1).error().ToString(), "x: odd (use an even number)");
  EXPECT_EQ((Error{ErrorCode::kIo, "gone"}).ToString(), "gone");
}

TEST(ErrnoError, ClassifiesFullDisksAndMissingFiles) {
  EXPECT_EQ(ErrnoError("cannot write", "/a", ENOSPC).code, ErrorCode::kDiskFull);
  EXPECT_EQ(ErrnoError("cannot open", "/a", ENOENT).code, ErrorCode::kNotFound);
  EXPECT_EQ(ErrnoError("cannot open", "/a", EACCES).ToString(),
            "/a: cannot open: Permission denied");
}

}  // namespace
}  // namespace tutti
