#include "jobs/spec/names.h"

#include <gtest/gtest.h>

#include "jobs/spec/states.h"
#include "jobs/spec/sweep.h"

namespace tutti::spec {
namespace {

template <typename Parse>
void ExpectEachReadsBack(std::span<const std::string_view> names, Parse parse) {
  for (const std::string_view name : names) {
    const auto value = parse(name);
    ASSERT_TRUE(value.has_value()) << name;
    EXPECT_EQ(ToString(*value), name);
  }
  EXPECT_FALSE(parse("").has_value());
  EXPECT_FALSE(parse("no such name").has_value());
}

TEST(Names, EachReadsBack) {
  ExpectEachReadsBack(TaskNames(), ParseTask);
  ExpectEachReadsBack(DataFormatNames(), ParseDataFormat);
  ExpectEachReadsBack(SchedulerTypeNames(), ParseSchedulerType);
  ExpectEachReadsBack(RetryOnNames(), ParseRetryOn);
  ExpectEachReadsBack(JobStateNames(), ParseJobState);
  ExpectEachReadsBack(SweepMethodNames(), ParseSweepMethod);
  ExpectEachReadsBack(SweepModeNames(), ParseSweepMode);
}

TEST(Names, RetryReasonsAreFailureReasons) {
  for (const std::string_view name : RetryOnNames()) {
    EXPECT_TRUE(ParseFailureReason(name).has_value()) << name;
  }
  // Data that is wrong stays wrong: no retry.
  EXPECT_FALSE(ParseRetryOn("data").has_value());
}

TEST(Names, EveryTaskHasMetricsColumnsAndFormats) {
  for (const std::string_view name : TaskNames()) {
    const Task task = *ParseTask(name);
    EXPECT_EQ(MetricsOf(task, FullMethod{}).back(), "loss") << name;
    EXPECT_EQ(MetricsOf(task, DpoSpec{}).back(), "loss") << name;
    EXPECT_FALSE(ColumnRoles(task).empty()) << name;
    EXPECT_EQ(FormatNamesOf(task).front(), "auto") << name;
    for (const std::string_view format : FormatNamesOf(task)) {
      EXPECT_TRUE(ParseDataFormat(format).has_value()) << format;
    }
  }
}

TEST(Names, LossesAreBetterSmall) {
  EXPECT_FALSE(GreaterIsBetter("loss"));
  EXPECT_FALSE(GreaterIsBetter("perplexity"));
  EXPECT_TRUE(GreaterIsBetter("accuracy"));
  EXPECT_TRUE(GreaterIsBetter("rougeL"));
}

}  // namespace
}  // namespace tutti::spec
