#include "monitoring/history/points.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>

namespace tutti::history {
namespace {

Point At(std::int64_t ms, double value, std::optional<std::int64_t> step = {}) {
  return {.at = {ms}, .step = step, .last = value, .min = value, .max = value};
}

// One peak and one dip among `count` ones.
std::vector<Point> Curve(std::int64_t count, std::int64_t apart_ms) {
  std::vector<Point> points;
  for (std::int64_t i = 0; i < count; ++i) points.push_back(At(i * apart_ms, 1, i));
  points[static_cast<std::size_t>(count / 3)] = At(count / 3 * apart_ms, 99, count / 3);
  points[static_cast<std::size_t>(count / 2)] = At(count / 2 * apart_ms, -7, count / 2);
  points.back().last = points.back().min = points.back().max = 5;
  return points;
}

double Largest(const std::vector<Point>& points) {
  return std::ranges::max(points, {}, &Point::max).max;
}
double Smallest(const std::vector<Point>& points) {
  return std::ranges::min(points, {}, &Point::min).min;
}

TEST(Points, FewerPointsKeepSmallestLargestAndLast) {
  const std::vector<Point> all = Curve(10'000, 10);
  for (const auto& few : {ByCount(all, 100), ByTime(all, 100), ByTime(ByTime(all, 900), 60)}) {
    EXPECT_LE(few.size(), 101U);
    EXPECT_GE(few.size(), 30U);
    EXPECT_EQ(Largest(few), 99);
    EXPECT_EQ(Smallest(few), -7);
    EXPECT_EQ(few.back().last, 5);
    EXPECT_EQ(few.back().at, all.back().at);
    EXPECT_EQ(few.back().step, 9999);
  }
}

TEST(Points, FewEnoughStayAsTheyAre) {
  const std::vector<Point> all = Curve(100, 10);
  EXPECT_EQ(ByCount(all, 100), all);
  EXPECT_EQ(ByTime(all, 100), all);
}

TEST(Points, NoneAskedForIsNone) { EXPECT_TRUE(ByCount(Curve(10, 10), 0).empty()); }

TEST(Points, BucketsOfTimeNestSoThatMergingAgainChangesNothing) {
  const std::vector<Point> once = ByTime(Curve(5000, 1000), 300);
  EXPECT_EQ(ByTime(once, 300), once);
}

TEST(Points, AClockThatJumpedLosesNothing) {
  std::vector<Point> points = Curve(1000, 10);
  for (std::size_t i = 500; i < points.size(); ++i) points[i].at.unix_ms -= 86'400'000;
  const std::vector<Point> few = ByTime(points, 50);
  EXPECT_LE(few.size(), 52U);
  EXPECT_EQ(Largest(few), 99);
  EXPECT_EQ(few.back().last, 5);
}

TEST(Points, WhatALaterAttemptDidAgainCountsOnce) {
  const std::vector<Point> told = {At(1, 10, 1), At(2, 20, 2), At(3, 30, 3),
                                   At(4, 21, 2), At(5, 31, 3), At(6, 41, 4)};
  const std::vector<Point> kept = WithoutRepeats(told);
  EXPECT_EQ(kept, (std::vector<Point>{told[0], told[3], told[4], told[5]}));
}

TEST(Points, ThoseWithoutStepsAllCount) {
  const std::vector<Point> told = {At(1, 10), At(2, 20), At(2, 30)};
  EXPECT_EQ(WithoutRepeats(told), told);
}

}  // namespace
}  // namespace tutti::history
