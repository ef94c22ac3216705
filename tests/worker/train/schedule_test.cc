#include "worker/train/schedule.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <set>
#include <string>

#include "worker/train/generator.h"

namespace tutti::train {
namespace {

using ::testing::HasSubstr;

Result<Schedule> Make(ScheduleType type, const std::string& kwargs = "") {
  ScheduleOptions options{
      .type = type, .learning_rate = 1e-3, .warmup_steps = 4, .total_steps = 20};
  TUTTI_RETURN_IF_ERROR(ReadScheduleKwargs(kwargs, options));
  return Schedule::Make(options);
}

std::string ErrorOf(const Result<Schedule>& schedule) {
  return schedule.has_value() ? "no error" : schedule.error().ToString();
}

TEST(Schedule, NamesAreParsedAndUnknownOnesListThem) {
  for (const std::string_view name : ScheduleTypeNames()) {
    EXPECT_TRUE(ParseScheduleType(name).has_value()) << name;
  }
  const auto unknown = ParseScheduleType("lineal");
  ASSERT_FALSE(unknown.has_value());
  EXPECT_EQ(unknown.error().code, ErrorCode::kUnsupported);
  EXPECT_THAT(unknown.error().ToString(), HasSubstr("supported: linear, cosine"));
}

TEST(Schedule, RatesAreFiniteAndNeverNegativePastTheEnd) {
  for (const std::string_view name : ScheduleTypeNames()) {
    const ScheduleType type = *ParseScheduleType(name);
    std::string kwargs;
    if (name.find("min_lr") != name.npos) kwargs = R"({"min_lr_rate": 0.1})";
    if (type == ScheduleType::kWarmupStableDecay) kwargs = R"({"num_decay_steps": 5})";
    for (const std::int64_t warmup : {0, 4, 20}) {
      ScheduleOptions options{
          .type = type, .learning_rate = 1e-3, .warmup_steps = warmup, .total_steps = 20};
      ASSERT_TRUE(ReadScheduleKwargs(kwargs, options).has_value());
      const auto schedule = Schedule::Make(options);
      ASSERT_TRUE(schedule.has_value()) << name;
      for (std::int64_t step = 0; step < 30; ++step) {
        const double rate = schedule->At(step);
        EXPECT_TRUE(std::isfinite(rate) && rate >= 0) << name << " " << warmup << " " << step;
      }
    }
  }
}

TEST(Schedule, WrongArgumentsAreRefusedByName) {
  EXPECT_THAT(ErrorOf(Make(ScheduleType::kLinear, R"({"num_cycles": 2})")),
              HasSubstr("linear takes no 'num_cycles'"));
  EXPECT_THAT(ErrorOf(Make(ScheduleType::kPolynomial, R"({"lr_end": "0"})")),
              HasSubstr("lr_scheduler_kwargs.lr_end: is not a number"));
  EXPECT_THAT(ErrorOf(Make(ScheduleType::kPolynomial, R"({"lr_end": 1.0})")),
              HasSubstr("smaller than the learning rate"));
  EXPECT_THAT(ErrorOf(Make(ScheduleType::kCosineWithMinLr)), HasSubstr("exactly one of"));
  EXPECT_THAT(ErrorOf(Make(ScheduleType::kWarmupStableDecay)), HasSubstr("num_decay_steps"));
  EXPECT_THAT(ErrorOf(Make(ScheduleType::kInverseSqrt, R"({"timescale": 0})")),
              HasSubstr("above 0"));
  EXPECT_THAT(ErrorOf(Make(ScheduleType::kLinear, "[]")), HasSubstr("is not an object"));
  EXPECT_TRUE(Make(ScheduleType::kLinear, "null").has_value());
}

TEST(Generator, SeedsOfMicroBatchesDifferByEveryPart) {
  std::set<std::uint64_t> seeds;
  for (std::uint64_t seed = 0; seed < 3; ++seed) {
    for (std::int64_t step = 0; step < 5; ++step) {
      for (std::int64_t shard = 0; shard < 4; ++shard) {
        for (std::int64_t micro = 0; micro < 3; ++micro) {
          seeds.insert(MicroBatchSeed(seed, {.step = step, .shard = shard, .micro = micro}));
        }
      }
    }
  }
  EXPECT_EQ(seeds.size(), 3U * 5 * 4 * 3);
}

}  // namespace
}  // namespace tutti::train
