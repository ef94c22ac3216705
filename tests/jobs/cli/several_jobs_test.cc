// Commands that are given several jobs at once.
#include <gmock/gmock.h>

#include <atomic>

#include "jobs/cli/commands.h"
#include "with_server.h"

namespace tutti::cli {
namespace {

using nlohmann::json;
using testing::HasSubstr;
using testing::Not;

class SeveralJobsTest : public WithServer {
 protected:
  // Job `id`, called `name`; `state` is asked for each time.
  void Job(const std::string& id, const std::string& name, std::function<std::string()> state) {
    const auto answer = [id, name, state = std::move(state)](const Seen&) {
      return FakeServer::Json(json{{"id", id},
                                   {"name", name},
                                   {"state", state()},
                                   {"reason", nullptr},
                                   {"message", nullptr},
                                   {"attempt", 1},
                                   {"since", "2026-02-03T04:05:48.000Z"},
                                   {"submitted_at", "2026-02-03T04:05:48.000Z"},
                                   {"ranks", {{"min", 1}, {"max", 1}, {"current", nullptr}}},
                                   {"attempts", {{{"attempt", 1}, {"ranks", 1}}}}}
                                  .dump());
    };
    routes_["GET /api/v1/jobs/" + id] = routes_["GET /api/v1/jobs/" + name] = answer;
  }
  void Job(const std::string& id, const std::string& name, const std::string& state) {
    Job(id, name, [state] { return state; });
  }
  // One line, then the end once `whole` says so.
  void Lines(const std::string& id, const std::string& line, const std::atomic<bool>& whole) {
    routes_["GET /api/v1/jobs/" + id + "/logs/lines"] = [line, &whole](const Seen& seen) {
      const bool start = seen.target.find("after=") == std::string::npos;
      json data = json::array();
      if (start) {
        data.push_back({{"rank", 0},
                        {"attempt", 1},
                        {"number", 1},
                        {"at", "T"},
                        {"line", line},
                        {"cut", false}});
      }
      return FakeServer::Json(json{
          {"attempt", 1},
          {"data", data},
          {"next", "0:1:1"},
          {"more", false},
          {"complete",
           whole.load()}}.dump());
    };
  }

  std::atomic<bool> whole_{true};
};

TEST_F(SeveralJobsTest, LinesSayWhoseTheyAre) {
  Job("j-00000001", "short", "succeeded");
  Job("j-00000002", "a-longer-name", "failed");
  Lines("j-00000001", "one", whole_);
  Lines("j-00000002", "two", whole_);
  const std::string both = "short         | one\na-longer-name | two\n";
  EXPECT_EQ(Run({"logs", "short", "a-longer-name"}).out, both);
  const Ran followed = Run({"logs", "short", "a-longer-name", "-f"});
  EXPECT_EQ(followed.exit, 0) << followed.err;
  EXPECT_EQ(followed.out, both);
  EXPECT_THAT(followed.err, HasSubstr("a-longer-name | failed"));
  const auto lines = Run({"logs", "short", "a-longer-name", "--json"}).Lines();
  ASSERT_EQ(lines.size(), 2u);
  EXPECT_EQ(lines[1].at("job"), "j-00000002");
}

TEST_F(SeveralJobsTest, ColoursTellThemApartUnlessNobodyWantsColours) {
  Job("j-00000001", "a", "succeeded");
  Job("j-00000002", "b", "succeeded");
  Lines("j-00000001", "one", whole_);
  Lines("j-00000002", "two", whole_);
  const std::string coloured = Run({"logs", "a", "b", "--color", "always"}).out;
  EXPECT_THAT(coloured, HasSubstr("\x1b["));
  const std::string first = coloured.substr(0, coloured.find('a'));
  EXPECT_THAT(coloured, Not(HasSubstr(first + "b")));
  RunWith plain{.terminal = true};
  plain.env["NO_COLOR"] = "1";
  EXPECT_EQ(Run({"logs", "a", "b"}, plain).out, "a | one\nb | two\n");
}

TEST_F(SeveralJobsTest, OfOneNameTheyAreToldApartByIds) {
  Job("j-00000001", "same", "succeeded");
  Job("j-00000002", "same", "succeeded");
  Lines("j-00000001", "one", whole_);
  Lines("j-00000002", "two", whole_);
  EXPECT_EQ(Run({"logs", "j-00000001", "j-00000002"}).out, "j-00000001 | one\nj-00000002 | two\n");
  // Said twice it is one.
  EXPECT_EQ(Run({"logs", "j-00000001", "j-00000001"}).out, "one\n");
}

TEST_F(SeveralJobsTest, OneThatRunsOnDoesNotHoldUpTheOthersLines) {
  std::atomic<int> asked = 0;
  std::atomic<bool> slow_is_whole = false;
  Job("j-00000001", "slow", [&] {
    if (++asked < 3) return "running";
    slow_is_whole = true;
    return "succeeded";
  });
  Job("j-00000002", "fast", "succeeded");
  Lines("j-00000001", "one", slow_is_whole);
  Lines("j-00000002", "two", whole_);
  const Ran ran = Run({"logs", "slow", "fast", "-f"});
  EXPECT_EQ(ran.exit, 0) << ran.err;
  EXPECT_EQ(ran.out, "slow | one\nfast | two\n");
  EXPECT_LT(ran.err.find("fast | succeeded"), ran.err.find("slow | succeeded")) << ran.err;
}

TEST_F(SeveralJobsTest, AnAttemptIsOfOneJob) {
  const Ran ran = Run({"logs", "a", "b", "--attempt", "2"});
  EXPECT_EQ(ran.exit, 2);
  EXPECT_THAT(ran.err, HasSubstr("name one job"));
}

TEST_F(SeveralJobsTest, ShowShowsAllThereAreAndExitsByTheFirstThatIsNot) {
  Job("j-00000001", "a", "succeeded");
  Job("j-00000002", "b", "running");
  const Ran ran = Run({"show", "a", "nothing", "b"});
  EXPECT_EQ(ran.exit, 5);
  EXPECT_THAT(ran.out, HasSubstr("j-00000001"));
  EXPECT_THAT(ran.out, HasSubstr("\n\n"));
  EXPECT_THAT(ran.out, HasSubstr("j-00000002"));
  EXPECT_EQ(Run({"show", "a", "b", "-q"}).out, "j-00000001\nj-00000002\n");
  EXPECT_EQ(Run({"show", "a", "b", "--json"}).Lines().size(), 2u);
}

TEST_F(SeveralJobsTest, WaitExitsByTheFirstThatDidNotSucceed) {
  Job("j-00000001", "a", "succeeded");
  Job("j-00000002", "b", "failed");
  Job("j-00000003", "c", "succeeded");
  EXPECT_EQ(Run({"wait", "a", "c"}).exit, 0);
  const Ran ran = Run({"wait", "a", "b", "c"});
  EXPECT_EQ(ran.exit, 1);
  EXPECT_THAT(ran.out, HasSubstr("c succeeded"));
}

TEST_F(SeveralJobsTest, EventsOfOthersAreLeftOut) {
  Job("j-00000001", "a", "running");
  Job("j-00000002", "b", "running");
  routes_["GET /api/v1/events"] = [](const Seen&) {
    std::string text;
    int seq = 0;
    for (const char* job : {"j-00000001", "j-00000009", "j-00000002", "j-00000001", "j-00000002"}) {
      const char* type = ++seq > 3 ? "succeeded" : "paused";
      text += "id: " + std::to_string(seq) + "\nevent: " + type +
              "\ndata: " + json{{"type", type}, {"job", job}, {"at", "T"}, {"seq", seq}}.dump() +
              "\n\n";
    }
    return FakeServer::Stream(text);
  };
  const Ran ran = Run({"events", "a", "b", "-f"});
  EXPECT_EQ(ran.exit, 0) << ran.err;
  EXPECT_THAT(ran.out, HasSubstr("T  j-00000001  paused"));
  EXPECT_THAT(ran.out, HasSubstr("T  j-00000002  succeeded"));
  EXPECT_THAT(ran.out, Not(HasSubstr("j-00000009")));
}

}  // namespace
}  // namespace tutti::cli
