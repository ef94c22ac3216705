// What `tutti top` shows, and that it is plain text where nobody watches.
#include <gmock/gmock.h>

#include <nlohmann/json.hpp>

#include "jobs/cli/text.h"
#include "jobs/cli/top_text.h"
#include "with_server.h"

namespace tutti::cli {
namespace {

using nlohmann::json;
using testing::HasSubstr;
using testing::Not;

json TopJob(int number, const std::string& state) {
  return {{"id", "j-0000000" + std::to_string(number)},
          {"name", "job-" + std::to_string(number)},
          {"user", "ana"},
          {"state", state},
          {"sequence", number},
          {"since", "2026-02-03T04:05:00.000Z"},
          {"reason", state == "queued" ? json("resources") : json()},
          {"message", state == "queued" ? json("needs 4 slots") : json()},
          {"ranks", {{"min", 1}, {"max", 4}, {"current", nullptr}}}};
}

json TopWorker(const std::string& name, const std::string& state, double cpu_seconds) {
  return {{"id", "w-" + name},
          {"name", name},
          {"state", state},
          {"slots", 4},
          {"slots_used", 2},
          {"cores", 4},
          {"cpu_seconds", cpu_seconds},
          {"memory_bytes", 8'000'000'000},
          {"memory_bytes_used", 2'000'000'000},
          {"disk_free_bytes", 50'000'000'000},
          {"gangs", {{{"job", "j-00000001"}}}}};
}

class TopPicture : public testing::Test {
 protected:
  std::vector<std::string> Lines(TopLook look) {
    const TopView view{.cluster = cluster,
                       .workers = workers,
                       .jobs = jobs,
                       .url = "http://127.0.0.1:7717",
                       .now = WallTime{1'770'091'560'000},
                       .problem = problem};
    return RenderTop(view, look);
  }
  std::string All(TopLook look = {}) {
    std::string text;
    for (const std::string& line : Lines(look)) text += line + "\n";
    return text;
  }

  json cluster = {{"version", "1"},
                  {"policy", "fair"},
                  {"slots", {{"total", 8}, {"used", 4}}},
                  {"jobs", {{"running", 1}, {"queued", 3}}}};
  json workers = {TopWorker("host-1", "up", 10), TopWorker("host-2", "lost", 0)};
  json jobs = json::array();
  std::string problem;
};

TEST_F(TopPicture, WhatHoldsSlotsComesFirstThenTheQueueInItsOrder) {
  jobs = {TopJob(4, "queued"), TopJob(3, "queued"), TopJob(2, "running"), TopJob(1, "paused")};
  jobs[0]["pending"] = {{"jobs_ahead", 0}};
  jobs[1]["pending"] = {{"jobs_ahead", 1}};
  const std::string text = All();
  const auto at = [&](const char* id) { return text.rfind(id); };
  EXPECT_LT(at("j-00000002"), at("j-00000004"));
  EXPECT_LT(at("j-00000004"), at("j-00000003"));
  EXPECT_LT(at("j-00000003"), at("job-1 "));
  EXPECT_THAT(text, HasSubstr("4/8"));
  EXPECT_THAT(text, HasSubstr("3 queued, 1 running"));
  EXPECT_THAT(All({.width = 200}), HasSubstr("resources: needs 4 slots"));
}

TEST_F(TopPicture, FitsAnyTerminal) {
  for (int i = 1; i < 10; ++i) jobs.push_back(TopJob(i, i < 3 ? "running" : "queued"));
  problem = std::string(300, 'x');
  for (const int width : {60, 80, 120, 200}) {
    for (const int height : {3, 10, 24}) {
      const auto lines = Lines({.width = width, .height = height});
      EXPECT_LE(static_cast<int>(lines.size()), height);
      for (const std::string& line : lines) EXPECT_LE(DisplayWidth(line), width) << line;
    }
  }
}

TEST_F(TopPicture, ScrollsToTheLastJobAndNoFurther) {
  for (int i = 1; i < 10; ++i) jobs.push_back(TopJob(i, "running"));
  const TopView view{.cluster = cluster, .workers = workers, .jobs = jobs};
  TopLook look{.width = 80, .height = 12};
  EXPECT_THAT(All(look), HasSubstr("more below"));
  EXPECT_THAT(All(look), Not(HasSubstr("j-00000009")));
  look.scroll = ScrollMax(view, look);
  EXPECT_GT(look.scroll, 0);
  EXPECT_THAT(All(look), HasSubstr("j-00000009"));
  EXPECT_THAT(All(look), Not(HasSubstr("more below")));
  EXPECT_EQ(ScrollMax(view, {.width = 80, .height = 40}), 0);
}

TEST_F(TopPicture, SaysWhenNobodyAnswers) {
  problem = "the coordinator does not answer";
  EXPECT_THAT(All(), HasSubstr("does not answer"));
  EXPECT_THAT(All(), HasSubstr("no jobs wait or run"));
}

TEST_F(TopPicture, ProcessorsAreBusyBetweenTwoLooks) {
  const json now = {TopWorker("host-1", "up", 18), TopWorker("host-3", "up", 5)};
  const auto busy = BusyBetween(workers, now, 4);
  ASSERT_EQ(busy.size(), 1u);
  EXPECT_DOUBLE_EQ(busy.at("host-1"), 0.5);
  EXPECT_TRUE(BusyBetween(workers, now, 0).empty());
}

class TopCommand : public WithServer {
 protected:
  TopCommand() {
    const auto list = [](json data) {
      return [text = json{{"data", std::move(data)}, {"next", nullptr}}.dump()](const Seen&) {
        return FakeServer::Json(text);
      };
    };
    routes_["GET /api/v1/cluster"] = [](const Seen&) {
      return FakeServer::Json(R"({"version": "1", "slots": {"total": 4, "used": 2}, "jobs": {}})");
    };
    routes_["GET /api/v1/workers"] = list({TopWorker("host-1", "up", 1)});
    routes_["GET /api/v1/jobs"] = [](const Seen& seen) {
      const bool holding = seen.target.find("running") != std::string::npos;
      return FakeServer::Json(json{
          {"data", {holding ? TopJob(1, "running") : TopJob(2, "queued")}},
          {"next", nullptr}}.dump());
    };
  }
};

TEST_F(TopCommand, IsPlainTextWhereNobodyWatches) {
  for (const std::vector<std::string>& words :
       {std::vector<std::string>{"top"}, std::vector<std::string>{"top", "--once"}}) {
    const Ran ran = Run(words);
    EXPECT_EQ(ran.exit, 0) << ran.err;
    EXPECT_THAT(ran.out, HasSubstr("host-1"));
    EXPECT_THAT(ran.out, HasSubstr("j-00000001"));
    EXPECT_THAT(ran.out, HasSubstr("j-00000002"));
    EXPECT_EQ(ran.out.find('\x1b'), std::string::npos);
  }
  EXPECT_EQ(Run({"top", "--json"}).Json().at("jobs").size(), 2u);
}

TEST_F(TopCommand, ATimeThatIsNoneIsAnError) {
  EXPECT_EQ(Run({"top", "--every", "soon"}).exit, 2);
  EXPECT_EQ(Run({"top", "--every", "1ms"}).exit, 2);
}

}  // namespace
}  // namespace tutti::cli
