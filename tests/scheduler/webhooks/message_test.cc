#include "scheduler/webhooks/message.h"

#include <gmock/gmock.h>

#include <nlohmann/json.hpp>

namespace tutti::webhooks {
namespace {

using nlohmann::json;
using testing::EndsWith;
using testing::HasSubstr;
using testing::Not;
using testing::StartsWith;

News Failed() {
  return {.id = "j-1.7.h-1",
          .seq = 7,
          .at = WallTime{1'700'000'000'000},
          .state = spec::JobState::kFailed,
          .reason = "crash",
          .message = "rank 1 was killed",
          .attempt = 3,
          .job = "j-1",
          .name = "sections",
          .user = "ana",
          .queue = "default",
          .task = "text-classification",
          .model = "bert",
          .page = "https://tutti.example:7717/ui/jobs/j-1"};
}

TEST(Message, SaysWhatHappenedToWhichJob) {
  const json message = json::parse(MessageOf(Failed()));
  EXPECT_EQ(message["id"], "j-1.7.h-1");
  EXPECT_EQ(message["type"], "job.failed");
  EXPECT_EQ(message["seq"], 7);
  EXPECT_EQ(message["at"], "2023-11-14T22:13:20.000Z");
  EXPECT_EQ(message["job"]["state"], "failed");
  EXPECT_EQ(message["job"]["reason"], "crash");
  EXPECT_EQ(message["job"]["attempt"], 3);
  EXPECT_EQ(message["job"]["metrics"], nullptr);
  EXPECT_EQ(message["text"],
            "❌ sections (j-1) failed: crash: rank 1 was killed\n"
            "https://tutti.example:7717/ui/jobs/j-1");
}

TEST(Message, OfAModelHasItsMetrics) {
  News news = Failed();
  news.state = spec::JobState::kSucceeded;
  news.reason = news.message = "";
  news.metrics_json = R"({"accuracy": 0.7512345, "loss": 0.5})";
  const json message = json::parse(MessageOf(news));
  EXPECT_EQ(message["job"]["metrics"]["loss"], 0.5);
  EXPECT_EQ(message["job"]["reason"], nullptr);
  EXPECT_THAT(message["text"].get<std::string>(),
              StartsWith("✅ sections (j-1) succeeded: accuracy 0.7512, loss 0.5\n"));
}

// "<!channel>" would wake everybody, "<http://…|text>" would be a link.
TEST(Message, TextFromElsewhereIsNoMarkupOfSlacks) {
  News news = Failed();
  news.message = "<!channel> & <http://bad.example|good>";
  const std::string text = json::parse(MessageOf(news))["text"];
  EXPECT_THAT(text, HasSubstr("&lt;!channel&gt; &amp; &lt;http://bad.example|good&gt;"));
  EXPECT_THAT(text, Not(HasSubstr("<")));
}

TEST(Message, IsBoundedAndValidWhateverAnEngineSaid) {
  News news = Failed();
  news.message = std::string(100'000, 'x') + "\xff";
  EXPECT_LT(MessageOf(news).size(), 6000u);
  news.message = "broken \xff bytes";
  EXPECT_TRUE(json::accept(MessageOf(news)));
}

TEST(Message, APingSaysSo) {
  const json message = json::parse(PingOf("test.1.h-1", WallTime{0}));
  EXPECT_EQ(message["type"], "ping");
  EXPECT_THAT(message["text"].get<std::string>(), EndsWith("."));
}

}  // namespace
}  // namespace tutti::webhooks
