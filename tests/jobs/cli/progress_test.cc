#include "jobs/cli/progress.h"

#include <gmock/gmock.h>

#include "jobs/cli/text.h"

namespace tutti::cli {
namespace {

using testing::HasSubstr;
using testing::Not;

ProgressState Running() {
  return {.name = "package-sections",
          .state = "running",
          .step = 210,
          .total_steps = 500,
          .loss = 1.3141,
          .rows_per_second = 512.3,
          .eta_seconds = 32,
          .eval_name = "accuracy",
          .eval_value = 0.7312};
}

TEST(Bar, ShowsEverythingWhereThereIsRoom) {
  EXPECT_EQ(RenderBar(Running(), {.width = 110}),
            "package-sections ━━━━━━━━━━━━─────────────────  42%  210/500  loss 1.314  512 rows/s  "
            "accuracy 0.731  ETA 0:32");
}

TEST(Bar, NeverIsWiderThanAsked) {
  ProgressState waiting{.name = "package-sections",
                        .state = "queued",
                        .detail = "resources: needs 4 slots, 2 are free on the one worker",
                        .waited_seconds = 75};
  for (int width = 10; width < 160; ++width) {
    EXPECT_LE(DisplayWidth(RenderBar(Running(), {.width = width})), width);
    EXPECT_LE(DisplayWidth(RenderBar(waiting, {.width = width})), width);
  }
}

TEST(Bar, LeavesOutTheLeastImportantFirst) {
  const std::string at80 = RenderBar(Running(), {.width = 80});
  EXPECT_THAT(at80, Not(HasSubstr("package-sections")));
  EXPECT_THAT(at80, HasSubstr("ETA"));
  const std::string at40 = RenderBar(Running(), {.width = 40});
  EXPECT_THAT(at40, HasSubstr("42%"));
  EXPECT_THAT(at40, HasSubstr("210/500"));
  EXPECT_THAT(at40, Not(HasSubstr("rows/s")));
}

TEST(Bar, IsFullOnlyWhenAllIsDone) {
  ProgressState state = Running();
  state.step = 499;
  EXPECT_THAT(RenderBar(state, {.width = 60}), HasSubstr("99%"));
  EXPECT_THAT(RenderBar(state, {.width = 60}), HasSubstr("─"));
  state.step = 500;
  EXPECT_THAT(RenderBar(state, {.width = 60}), HasSubstr("100%"));
  EXPECT_THAT(RenderBar(state, {.width = 60}), Not(HasSubstr("─")));
  state.step = 501;
  EXPECT_THAT(RenderBar(state, {.width = 60}), HasSubstr("100%"));
}

TEST(Bar, WorksWithoutUnicodeAndColours) {
  const std::string text = RenderBar(Running(), {.width = 60, .unicode = false});
  EXPECT_THAT(text, HasSubstr("====---"));
  for (const char c : text) EXPECT_TRUE(c >= ' ' && c < 0x7f);
  EXPECT_THAT(RenderBar(Running(), {.width = 60, .color = true}), HasSubstr("\x1b["));
}

TEST(Bar, BeforeTheFirstStepItSaysWhyItWaits) {
  EXPECT_EQ(RenderBar({.name = "a", .state = "queued", .detail = "held", .waited_seconds = 12}, {}),
            "⠋ a  queued 12 s  held");
  EXPECT_EQ(RenderBar({.name = "a", .state = "validating", .tick = 1}, {}), "⠙ a  validating");
}

TEST(Bar, AJobThatIsTakenOffSaysSoInPlaceOfTheEta) {
  ProgressState state = Running();
  state.state = "recovering";
  const std::string text = RenderBar(state, {.width = 100});
  EXPECT_THAT(text, HasSubstr("recovering"));
  EXPECT_THAT(text, Not(HasSubstr("ETA")));
}

TEST(Bar, ANameCannotSteerTheTerminal) {
  ProgressState state = Running();
  state.name = "\x1b[2Jx";
  EXPECT_THAT(RenderBar(state, {.width = 120}), Not(HasSubstr("\x1b")));
}

TEST(Line, HasTheSameFigures) {
  EXPECT_EQ(
      RenderLine(Running()),
      "package-sections: step 210/500 (42%), loss 1.314, 512 rows/s, accuracy 0.731, ETA 0:32");
  EXPECT_EQ(RenderLine({.name = "a", .state = "queued", .detail = "held"}), "a: queued, held");
}

TEST(LinePacer, OneATenthOrEveryTenSeconds) {
  LinePacer pacer;
  ProgressState state = Running();
  state.step = 1;
  EXPECT_TRUE(pacer.Due(state, 0));
  state.step = 2;
  EXPECT_FALSE(pacer.Due(state, 1));
  EXPECT_TRUE(pacer.Due(state, 11));
  state.step = 60;
  EXPECT_TRUE(pacer.Due(state, 12));
  EXPECT_FALSE(pacer.Due(state, 13));
  EXPECT_FALSE(LinePacer().Due({.name = "a", .state = "queued"}, 0));
}

}  // namespace
}  // namespace tutti::cli
