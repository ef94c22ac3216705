// The bytes themselves are read back by the real TensorBoard in tests/system/exports_test.py.
#include "monitoring/tensorboard/event.h"

#include <gtest/gtest.h>

namespace tutti::tensorboard {
namespace {

using namespace std::string_literals;

TEST(Event, IsProtobufsEncoding) {
  const std::string event =
      ScalarsEvent({.at = WallTime{1500}, .step = 300, .values = {{"a", 0.5}}});
  EXPECT_EQ(event,
            "\x09\0\0\0\0\0\0\xF8\x3F"  // wall_time: 1.5
            "\x10\xAC\x02"              // step: 300
            "\x2A\x0A"                  // summary
            "\x0A\x08"                  // value
            "\x0A\x01"
            "a"                  // tag
            "\x15\0\0\0\x3F"s);  // simple_value: 0.5
}

TEST(Event, SaysItsStepAndFirstTag) {
  const auto summary = SummaryOf(
      ScalarsEvent({.at = {}, .step = 70'000, .values = {{"eval/loss", 1}, {"eval/f1", 2}}}));
  ASSERT_TRUE(summary);
  EXPECT_EQ(summary->step, 70'000);
  EXPECT_EQ(summary->tag, "eval/loss");
  EXPECT_FALSE(SummaryOf(VersionEvent(WallTime{1})));
  const auto text = SummaryOf(TextEvent(WallTime{1}, "spec/text_summary", "# a spec"));
  ASSERT_TRUE(text);
  EXPECT_EQ(text->tag, "spec/text_summary");
}

TEST(Event, OfDamagedBytesIsNone) {
  const std::string event = ScalarsEvent({.at = {}, .step = 1, .values = {{"train/loss", 1}}});
  for (std::size_t size = 0; size < event.size(); ++size) {
    EXPECT_FALSE(SummaryOf(std::string_view(event).substr(0, size))) << size;
  }
  EXPECT_FALSE(SummaryOf("\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff"));
}

TEST(Event, TagsAreThoseOfTheTrainer) {
  EXPECT_EQ(TagOf("loss"), "train/loss");
  EXPECT_EQ(TagOf("grad_norm"), "train/grad_norm");
  EXPECT_EQ(TagOf("eval.macro_f1"), "eval/macro_f1");
  EXPECT_EQ(TagOf("tokens_per_second"), "perf/tokens_per_second");
  EXPECT_EQ(TagOf("phase_seconds.forward"), "perf/phase_seconds/forward");
}

}  // namespace
}  // namespace tutti::tensorboard
