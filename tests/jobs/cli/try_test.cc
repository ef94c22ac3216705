// A language model's answer while it is written.
#include <gmock/gmock.h>

#include "with_server.h"

namespace tutti::cli {
namespace {

using nlohmann::json;
using testing::HasSubstr;

class Try : public WithServer {};

TEST_F(Try, ShowsAnAnswerAsItIsWritten) {
  std::string events;
  routes_["POST /api/v1/models/m/try"] = [&events](const Seen& seen) {
    EXPECT_EQ(json::parse(seen.body).at("stream"), true);
    return FakeServer::Answer(200, "text/event-stream", events);
  };
  const auto piece = [](int answer, const std::string& text) {
    return "event: piece\ndata: " + json{{"answer", answer}, {"text", text}}.dump() + "\n\n";
  };
  const auto done = [](const std::string& text) {
    return "event: done\ndata: " + json{{"results", {{{{"text", text}}}}}}.dump() + "\n\n";
  };
  events = piece(0, " an") + ":\n\n" + piece(1, "other") + piece(0, "\n\x1b[31m b") +
           done(" an\n\x1b[31m b c");  // the last piece was lost
  const Ran whole = Run({"model", "try", "m", "--stream", "q"});
  EXPECT_EQ(whole.exit, 0) << whole.err;
  EXPECT_EQ(whole.out, "q\n an\n?[31m b c\n\n");
  events = done("all at once");
  EXPECT_EQ(Run({"model", "try", "m", "--stream", "q"}).out, "q\nall at once\n\n");
  events = piece(0, "so") + "event: error\ndata: " +
           json{{"error", {{"code", "timeout"}, {"message", "too late"}}}}.dump() + "\n\n";
  const Ran late = Run({"model", "try", "m", "--stream", "q"});
  EXPECT_EQ(late.exit, 8);
  EXPECT_EQ(late.out, "q\nso\n");
  EXPECT_THAT(late.err, HasSubstr("too late"));
  events = piece(0, "so");
  const Ran cut = Run({"model", "try", "m", "--stream", "q"});
  EXPECT_EQ(cut.exit, 7);
  EXPECT_THAT(cut.err, HasSubstr("went away during the answer"));
}

TEST_F(Try, StreamsTextAloneNoJson) {
  const Ran refused = Run({"--json", "model", "try", "m", "--stream", "q"});
  EXPECT_EQ(refused.exit, 2);
  EXPECT_THAT(refused.err, HasSubstr("not with --json or -q"));
}

}  // namespace
}  // namespace tutti::cli
