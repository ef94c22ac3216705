// Whole commands against an HTTP server that answers as docs/formats/http-api.md says.
#include "jobs/cli/commands.h"

#include <gmock/gmock.h>

#include <atomic>
#include <fstream>

#include "common/digest/sha256.h"
#include "with_server.h"

namespace tutti::cli {
namespace {

namespace fs = std::filesystem;
using nlohmann::json;
using testing::HasSubstr;
using testing::Not;

json JobObject(const std::string& state) {
  return {{"id", "j-00000001"},
          {"name", "sections"},
          {"task", "text-classification"},
          {"model", "./bert"},
          {"state", state},
          {"reason", state == "queued" ? json("resources") : json()},
          {"message", state == "queued" ? json("needs 4 slots") : json()},
          {"attempt", 1},
          {"queue", "default"},
          {"priority", 0},
          {"user", "local"},
          {"submitted_at", "2026-02-03T04:05:06.000Z"},
          {"since", "2026-02-03T04:05:48.000Z"},
          {"ranks", {{"min", 1}, {"max", 4}, {"current", nullptr}}},
          {"progress", nullptr},
          {"eval", nullptr},
          {"estimate", nullptr},
          {"measured", nullptr},
          {"attempts", json::array()},
          {"checkpoints", json::array()},
          {"result", nullptr}};
}

std::string Event(int seq, const json& event) {
  return (seq > 0 ? "id: " + std::to_string(seq) + "\n" : std::string()) +
         "event: " + event.at("type").get<std::string>() + "\ndata: " + event.dump() + "\n\n";
}

class CommandsTest : public WithServer {
 protected:
  void Job(const std::string& state) {
    routes_["GET /api/v1/jobs/sections"] = routes_["GET /api/v1/jobs/j-00000001"] =
        [state](const Seen&) { return FakeServer::Json(JobObject(state).dump()); };
  }
};

TEST_F(CommandsTest, PsShowsATableThatFits) {
  routes_["GET /api/v1/jobs"] = [](const Seen&) {
    return FakeServer::Json(json{{"data", {JobObject("queued")}}, {"next", nullptr}}.dump());
  };
  const Ran ran = Run({"ps"}, {.terminal = true, .width = 50});
  EXPECT_EQ(ran.exit, 0) << ran.err;
  EXPECT_THAT(ran.out, HasSubstr("j-00000001"));
  EXPECT_THAT(ran.out, HasSubstr("queued"));
  EXPECT_EQ(Run({"ps", "-q"}).out, "j-00000001\n");
  EXPECT_EQ(Run({"ps", "--json"}).Json().at("data").size(), 1u);
}

TEST_F(CommandsTest, PsReadsEveryPage) {
  routes_["GET /api/v1/jobs"] = [](const Seen& seen) {
    const bool second = seen.target.find("before=7") != std::string::npos;
    return FakeServer::Json(
        json{{"data", {JobObject("running")}}, {"next", second ? json() : json(7)}}.dump());
  };
  EXPECT_EQ(Run({"ps", "--all", "--json"}).Json().at("data").size(), 2u);
  EXPECT_THAT(server_.seen().at(0).target, HasSubstr("all=1"));
}

TEST_F(CommandsTest, AnUnknownJobExits5) {
  const Ran ran = Run({"show", "nothing"});
  EXPECT_EQ(ran.exit, 5);
  EXPECT_THAT(ran.err, HasSubstr("no such thing"));
}

TEST_F(CommandsTest, ShowPrintsWhatThereIs) {
  json job = JobObject("succeeded");
  job["result"] = {
      {"model", "ft:m"}, {"path", "/p"}, {"digest", "d"}, {"metrics", {{"accuracy", 1}}}};
  job["attempts"] = {{{"attempt", 1}, {"ranks", 2}, {"workers", {"w"}}, {"from_step", 0}}};
  routes_["GET /api/v1/jobs/sections"] = [job](const Seen&) {
    return FakeServer::Json(job.dump());
  };
  const Ran ran = Run({"show", "sections"});
  EXPECT_EQ(ran.exit, 0);
  for (const char* part : {"succeeded", "ft:m", "accuracy 1", "ATTEMPT"}) {
    EXPECT_THAT(ran.out, HasSubstr(part));
  }
  EXPECT_EQ(Run({"show", "sections", "--json"}).Json(), job);
}

TEST_F(CommandsTest, WhyGivesTheReasonAndAdvice) {
  Job("queued");
  const Ran ran = Run({"why", "sections"});
  EXPECT_THAT(ran.out, HasSubstr("needs 4 slots"));
  EXPECT_THAT(ran.out, HasSubstr("what to do"));
}

TEST_F(CommandsTest, ActionsAreSentAndAConflictExits2) {
  routes_["POST /api/v1/jobs/sections/cancel"] = [](const Seen&) {
    return FakeServer::Json(JobObject("cancelled").dump());
  };
  routes_["POST /api/v1/jobs/done/cancel"] = [](const Seen&) {
    return FakeServer::Json(R"({"error": {"code": "conflict", "message": "it has finished"}})",
                            409);
  };
  EXPECT_EQ(Run({"cancel", "sections"}).exit, 0);
  const Ran ran = Run({"cancel", "done", "sections"});
  EXPECT_EQ(ran.exit, 2);
  EXPECT_THAT(ran.out, HasSubstr("cancelled"));
}

TEST_F(CommandsTest, ResumeSendsTheRanks) {
  routes_["POST /api/v1/jobs/sections/resume"] = [](const Seen&) {
    return FakeServer::Json(JobObject("queued").dump());
  };
  EXPECT_EQ(Run({"resume", "sections", "--ranks", "2"}).exit, 0);
  EXPECT_EQ(json::parse(server_.seen().back().body), (json{{"ranks", 2}}));
  EXPECT_EQ(Run({"resume", "sections"}).exit, 0);
  EXPECT_EQ(json::parse(server_.seen().back().body), json::object());
}

TEST_F(CommandsTest, WaitExitsByTheJobsResult) {
  Job("succeeded");
  EXPECT_EQ(Run({"wait", "sections"}).exit, 0);
  Job("failed");
  EXPECT_EQ(Run({"wait", "sections"}).exit, 1);
  EXPECT_EQ(Run({"wait", "sections", "--timeout", "soon"}).exit, 2);
}

TEST_F(CommandsTest, WaitGivesUpAtItsTimeoutWithExit8) {
  Job("running");
  routes_["GET /api/v1/events"] = [](const Seen&) { return FakeServer::Stream(": hello\n\n"); };
  const Ran ran = Run({"wait", "sections", "--timeout", "150ms"});
  EXPECT_EQ(ran.exit, 8);
  EXPECT_THAT(ran.err, HasSubstr("150ms"));
}

TEST_F(CommandsTest, WaitOutlivesABrokenStreamAndGoesOnAfterTheLastEvent) {
  std::atomic<int> streams{0};
  std::atomic<bool> done{false};
  routes_["GET /api/v1/jobs/sections"] =
      routes_["GET /api/v1/jobs/j-00000001"] = [&done](const Seen&) {
        return FakeServer::Json(JobObject(done ? "succeeded" : "running").dump());
      };
  routes_["GET /api/v1/events"] = [&](const Seen& seen) {
    if (streams++ == 0) {
      return FakeServer::Stream(Event(4, {{"type", "placed"}, {"attempt", 1}, {"ranks", 2}}));
    }
    if (streams == 2) return FakeServer::Json("{}", 503);
    EXPECT_EQ(seen.headers.at("last-event-id"), "4");
    done = true;
    return FakeServer::Stream(Event(5, {{"type", "succeeded"}}));
  };
  EXPECT_EQ(Run({"wait", "sections"}).exit, 0);
  EXPECT_EQ(streams, 3);
}

class SubmitTest : public CommandsTest {
 protected:
  SubmitTest() {
    fs::create_directories(dir_ / "model");
    std::ofstream(dir_ / "model/config.json") << "{}";
    std::ofstream(dir_ / "model/model.safetensors") << "weights";
    std::ofstream(dir_ / "train.jsonl") << "{\"text\": \"a\", \"label\": \"b\"}\n";
    spec_ = (dir_ / "job.yaml").string();
    std::ofstream(spec_) << "name: sections\ntask: text-classification\nmodel: ./model\n"
                            "data:\n  train: train.jsonl\n";
    for (const char* file : {"{}", "weights"}) {
      routes_["HEAD /api/v1/blobs/" + Sha256Of(file).ToString()] = [](const Seen&) {
        return std::string("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n");
      };
    }
    const std::string train = Sha256Of("{\"text\": \"a\", \"label\": \"b\"}\n").ToString();
    routes_["PUT /api/v1/blobs/" + train] = [](const Seen&) { return FakeServer::Json("{}", 201); };
    routes_["POST /api/v1/jobs"] = [this](const Seen& seen) {
      sent_ = json::parse(seen.body);
      return FakeServer::Json(JobObject("validating").dump(), 201);
    };
  }

  std::string spec_;
  json sent_;
};

TEST_F(SubmitTest, SendsTheResolvedSpecWithItsInputs) {
  const Ran ran =
      Run({"submit", spec_, "--json", "--hold", "--set", "training.learning_rate=1e-3"});
  ASSERT_EQ(ran.exit, 0) << ran.err;
  EXPECT_EQ(ran.Json().at("id"), "j-00000001");
  EXPECT_EQ(sent_.at("hold"), true);
  const json& spec = sent_.at("spec");
  EXPECT_EQ(spec.at("name"), "sections");
  EXPECT_EQ(spec.at("training").at("learning_rate"), 1e-3);
  EXPECT_EQ(spec.at("inputs").at("model").size(), 2u);
  EXPECT_EQ(spec.at("inputs").at("train").at("path"), "train.jsonl");
  EXPECT_THAT(server_.seen().back().headers.at("idempotency-key"), testing::SizeIs(32));
}

TEST_F(SubmitTest, EachCallIsANewJob) {
  Run({"submit", spec_});
  const std::string first = server_.seen().back().headers.at("idempotency-key");
  Run({"submit", spec_});
  EXPECT_NE(server_.seen().back().headers.at("idempotency-key"), first);
  EXPECT_EQ(Run({"submit", spec_, "-q"}).out, "j-00000001\n");
}

TEST_F(SubmitTest, ABadSpecExits3WithLineAndColumn) {
  std::ofstream(spec_, std::ios::app) << "training:\n  learning_rte: 5e-5\n";
  const Ran ran = Run({"submit", spec_});
  EXPECT_EQ(ran.exit, 3);
  EXPECT_THAT(ran.err, HasSubstr("job.yaml:7:3"));
  EXPECT_THAT(ran.err, HasSubstr("learning_rate"));
  EXPECT_TRUE(server_.seen().empty());
}

TEST_F(SubmitTest, AMissingDataFileExits3AtItsField) {
  fs::remove(dir_ / "train.jsonl");
  const Ran ran = Run({"submit", spec_});
  EXPECT_EQ(ran.exit, 3);
  EXPECT_THAT(ran.err, HasSubstr("job.yaml:5:"));
}

TEST_F(SubmitTest, AMissingSpecExits2) {
  const Ran ran = Run({"submit", (dir_ / "absent.yaml").string()});
  EXPECT_EQ(ran.exit, 2);
  EXPECT_THAT(ran.err, HasSubstr("tutti init"));
}

TEST_F(SubmitTest, DryRunPrintsTheEstimateAndCreatesNothing) {
  const json answer = {
      {"estimate",
       {{"rows", 1234},
        {"total_steps", 30},
        {"memory_bytes_per_rank", 50 << 20},
        {"training_seconds", 754.2}}},
      {"report",
       {{"estimate", {{"parameters", 4321}}},
        {"labels", {"a", "b"}},
        {"length_histogram", {{{"up_to", 16}, {"rows", 10}}, {{"up_to", 32}, {"rows", 5}}}},
        {"warnings", {"label c is only in eval"}}}}};
  routes_["POST /api/v1/inspect"] = [answer](const Seen&) {
    return FakeServer::Json(answer.dump());
  };
  const Ran ran = Run({"submit", spec_, "--dry-run"});
  EXPECT_EQ(ran.exit, 0) << ran.err;
  for (const char* part : {"1,234", "30", "50.0 MiB", "about 12 min", "4,321", "a, b", "16"})
    EXPECT_THAT(ran.out, HasSubstr(part));
  EXPECT_THAT(ran.err, HasSubstr("label c is only in eval"));
  EXPECT_TRUE(sent_.is_null());
  EXPECT_EQ(Run({"submit", spec_, "--dry-run", "--json"}).Json(), answer);
}

TEST_F(SubmitTest, DryRunFindingsExit3) {
  routes_["POST /api/v1/inspect"] = [](const Seen&) {
    return FakeServer::Json(
        R"({"error": {"code": "invalid", "message": "no label", "where": "train.jsonl:2"}})", 422);
  };
  const Ran ran = Run({"submit", spec_, "--dry-run"});
  EXPECT_EQ(ran.exit, 3);
  EXPECT_THAT(ran.err, HasSubstr("train.jsonl:2"));
}

TEST_F(SubmitTest, FollowStreamsEventsAsTheyAreAndEndsWithTheJob) {
  const std::string progress = R"({"type":"progress","step":1,"total_steps":2,"unknown":"kept"})";
  routes_["GET /api/v1/events"] = [&](const Seen& seen) {
    EXPECT_THAT(seen.target, HasSubstr("job=j-00000001"));
    return FakeServer::Stream("event: progress\ndata: " + progress + "\n\n" +
                              Event(9, {{"type", "succeeded"}}));
  };
  Job("succeeded");
  const Ran ran = Run({"submit", spec_, "--follow", "--json"});
  EXPECT_EQ(ran.exit, 0) << ran.err;
  const auto lines = ran.Lines();
  ASSERT_EQ(lines.size(), 3u) << ran.out;
  EXPECT_EQ(ran.out.substr(0, progress.size()), progress);
  EXPECT_EQ(lines[1].at("type"), "succeeded");
  EXPECT_EQ(lines[2].at("id"), "j-00000001");
}

TEST_F(SubmitTest, FollowDrawsABarOnATerminalAndLinesWithout) {
  routes_["GET /api/v1/events"] = [](const Seen&) {
    return FakeServer::Stream(
        Event(1, {{"type", "placed"}, {"attempt", 1}, {"ranks", 2}, {"workers", {"w"}}}) +
        Event(0, {{"type", "progress"}, {"step", 1}, {"total_steps", 2}, {"loss", 1.5}}) +
        Event(2, {{"type", "succeeded"}}));
  };
  Job("succeeded");
  const Ran lines = Run({"submit", spec_, "--follow"});
  EXPECT_EQ(lines.exit, 0);
  EXPECT_THAT(lines.err, HasSubstr("attempt 1 placed: 2 ranks on w"));
  EXPECT_THAT(lines.err, HasSubstr("step 1/2 (50%), loss 1.5"));
  EXPECT_THAT(lines.err, Not(HasSubstr("\r")));
  EXPECT_THAT(lines.out, HasSubstr("sections succeeded"));
  RunWith terminal{.terminal = true, .width = 60};
  terminal.env["NO_COLOR"] = "1";
  const Ran bar = Run({"submit", spec_, "--follow"}, terminal);
  EXPECT_THAT(bar.err, HasSubstr("\r"));
  EXPECT_THAT(bar.err, Not(HasSubstr("\x1b[3")));
}

TEST_F(SubmitTest, DataRefusedAtAdmissionExits3WhenFollowed) {
  routes_["GET /api/v1/events"] = [](const Seen&) {
    return FakeServer::Stream(Event(2, {{"type", "rejected"}, {"reason", "data"}}));
  };
  json job = JobObject("failed");
  job["reason"] = "data";
  job["message"] = "train.jsonl:2: no label";
  routes_["GET /api/v1/jobs/j-00000001"] = [job](const Seen&) {
    return FakeServer::Json(job.dump());
  };
  const Ran ran = Run({"submit", spec_, "--follow"});
  EXPECT_EQ(ran.exit, 3);
  EXPECT_THAT(ran.err, HasSubstr("train.jsonl:2"));
}

json LogLine(int rank, int number, const std::string& text) {
  return {{"rank", rank}, {"attempt", 1}, {"number", number}, {"at", "T"}, {"line", text}};
}

TEST_F(CommandsTest, LogsArePrintedToTheirEnd) {
  json job = JobObject("succeeded");
  job["attempts"] = {{{"attempt", 1}, {"ranks", 2}}};
  routes_["GET /api/v1/jobs/sections"] = routes_["GET /api/v1/jobs/j-00000001"] =
      [job](const Seen&) { return FakeServer::Json(job.dump()); };
  std::string last;
  routes_["GET /api/v1/jobs/j-00000001/logs/lines"] = [&last](const Seen& seen) {
    last = seen.target;
    const bool start = seen.target.find("after=") == std::string::npos;
    return FakeServer::Json(json{
        {"attempt", 1},
        {"data", json::array({start ? LogLine(0, 1, "step 1") : LogLine(1, 7, "step 2")})},
        {"next", "0:7:1"},
        {"more", start},
        {"complete", true}}.dump());
  };
  EXPECT_EQ(Run({"logs", "sections"}).out, "[0] step 1\n[1] step 2\n");
  EXPECT_EQ(Run({"logs", "sections", "-f"}).out, "[0] step 1\n[1] step 2\n");
  EXPECT_EQ(Run({"logs", "sections", "--rank", "0", "-n"}).out, "1:step 1\n7:step 2\n");
  EXPECT_THAT(last, HasSubstr("rank=0"));
  const auto lines = Run({"logs", "sections", "--json"}).Lines();
  ASSERT_EQ(lines.size(), 2u);
  EXPECT_EQ(lines[1].at("line"), "step 2");
}

TEST_F(CommandsTest, LogsAreSearchedByTheCoordinator) {
  Job("succeeded");
  std::string asked;
  routes_["GET /api/v1/jobs/j-00000001/logs/lines"] = [&asked](const Seen& seen) {
    asked = seen.target;
    return FakeServer::Json(
        R"({"attempt": 1, "data": [], "next": "", "more": false, "complete": true})");
  };
  EXPECT_EQ(Run({"logs", "sections", "--grep", "a b", "--tail", "5", "--since", "10m"}).exit, 0);
  EXPECT_THAT(asked, testing::AllOf(HasSubstr("q=a%20b"), HasSubstr("tail=5"),
                                    HasSubstr("since_ms="), Not(HasSubstr("rank="))));
  const Ran bad = Run({"logs", "sections", "--since", "yesterday"});
  EXPECT_EQ(bad.exit, 2);
  EXPECT_THAT(bad.err, HasSubstr("--since"));
}

TEST_F(CommandsTest, EventsAreReadPageByPage) {
  Job("succeeded");
  routes_["GET /api/v1/jobs/j-00000001/events"] = [](const Seen& seen) {
    const bool first = seen.target.find("after=0") != std::string::npos;
    return FakeServer::Json(json{
        {"data", {{{"type", first ? "submitted" : "cancelled"}, {"at", "T"}, {"job", "j"}}}},
        {"next", first
                     ? json(3)
                     : json()}}.dump());
  };
  EXPECT_EQ(Run({"events", "sections"}).out, "T  submitted\nT  cancelled\n");
}

TEST_F(CommandsTest, TryTakesTextsFromArgumentsAndStdin) {
  routes_["POST /api/v1/models/m/try"] = [](const Seen& seen) {
    json results = json::array();
    const json body = json::parse(seen.body);
    for (const json& text : body.at("texts")) {
      const json best = {{"label", text}, {"score", 0.75}};
      const json other = {{"label", "other"}, {"score", 0.25}};
      results.push_back(json::array({best, other}));
    }
    return FakeServer::Json(json{{"results", results}}.dump());
  };
  const Ran one = Run({"model", "try", "m", "perl"});
  EXPECT_EQ(one.exit, 0) << one.err;
  EXPECT_THAT(one.out, HasSubstr("██████████████████░░░░░░  0.75"));
  RunWith with;
  for (int i = 0; i < 100; ++i) with.input += "text " + std::to_string(i) + "\n";
  const json answer = Run({"model", "try", "m", "--json"}, with).Json();
  ASSERT_EQ(answer.at("results").size(), 100u);
  EXPECT_EQ(answer["results"][99][0]["label"], "text 99");
  EXPECT_EQ(Run({"model", "try", "m"}).exit, 2);
}

class ExportTest : public CommandsTest {
 protected:
  ExportTest() {
    const std::string text = "weights";
    routes_["GET /api/v1/models/sections"] = [this](const Seen&) {
      return FakeServer::Json(json{
          {"id", "ft:m"},
          {"digest", digest_},
          {"files", {{{"path", "sub/model.safetensors"}, {"digest", digest_}, {"size_bytes", 7}}}}}
                                  .dump());
    };
    routes_["GET /api/v1/models/ft%3Am/files/sub/model.safetensors"] = [text](const Seen&) {
      return FakeServer::Answer(200, "application/octet-stream", text);
    };
  }
  std::string digest_ = Sha256Of("weights").ToString();
};

TEST_F(ExportTest, WritesVerifiedFiles) {
  const fs::path target = dir_ / "out";
  const Ran ran = Run({"model", "export", "sections", target.string()});
  EXPECT_EQ(ran.exit, 0) << ran.err;
  std::ostringstream text;
  text << std::ifstream(target / "sub/model.safetensors").rdbuf();
  EXPECT_EQ(text.str(), "weights");
}

TEST_F(ExportTest, AWrongDigestLeavesNothing) {
  digest_ = Sha256Of("other").ToString();
  const Ran ran = Run({"model", "export", "sections", (dir_ / "out").string()});
  EXPECT_EQ(ran.exit, 1);
  EXPECT_TRUE(fs::is_empty(dir_));
}

TEST_F(ExportTest, AFolderThatHoldsSomethingIsRefused) {
  std::ofstream(dir_ / "mine") << "x";
  EXPECT_EQ(Run({"model", "export", "sections", dir_.string()}).exit, 2);
  fs::create_directory(dir_ / "empty");
  EXPECT_EQ(Run({"model", "export", "sections", (dir_ / "empty").string()}).exit, 0);
}

TEST_F(CommandsTest, EvalUploadsTheDataAndPrintsTheMetrics) {
  std::ofstream(dir_ / "eval.jsonl") << "rows";
  routes_["PUT /api/v1/blobs/" + Sha256Of("rows").ToString()] = [](const Seen&) {
    return FakeServer::Json("{}", 201);
  };
  routes_["POST /api/v1/models/m/eval"] = [](const Seen& seen) {
    EXPECT_EQ(json::parse(seen.body).at("data").at("path"), "eval.jsonl");
    return FakeServer::Json(R"({"accuracy": 0.75, "rows": 1000})");
  };
  const std::string data = (dir_ / "eval.jsonl").string();
  EXPECT_EQ(Run({"model", "eval", "m", "--data", data}).out, "accuracy  0.75\nrows      1,000\n");
  EXPECT_EQ(Run({"model", "eval", "m", "--data", data, "--json"}).Json().at("accuracy"), 0.75);
}

TEST_F(CommandsTest, InitWritesASpecThatParses) {
  std::ofstream(dir_ / "my data.jsonl") << "{\"text\": \"a\", \"label\": \"b\"}\n";
  const std::string path = (dir_ / "job.yaml").string();
  const std::vector<std::string> args = {
      "init",    path,      "--train", (dir_ / "my data.jsonl").string(),
      "--model", "./model", "--name",  "first"};
  const Ran ran = Run(args);
  EXPECT_EQ(ran.exit, 0) << ran.err;
  std::ostringstream text;
  text << std::ifstream(path).rdbuf();
  EXPECT_THAT(text.str(), HasSubstr("task: text-classification"));
  EXPECT_THAT(text.str(), HasSubstr("columns: {text: text, label: label}"));
  EXPECT_EQ(Run(args).exit, 2);
  EXPECT_EQ(Run({"init", (dir_ / "other.yaml").string()}).exit, 2);
  EXPECT_TRUE(Run({"init", "--schema"}).Json().is_object());
}

TEST_F(CommandsTest, InitReadsColumnsAndNamesPathsFromTheSpecsFolder) {
  std::ofstream(dir_ / "reviews.csv") << "stars,target\r\ngood,1\n";
  std::filesystem::create_directory(dir_ / "bert");
  std::filesystem::create_directory(dir_ / "specs");
  const auto here = std::filesystem::current_path();
  std::filesystem::current_path(dir_);
  const Ran ran =
      Run({"init", "specs/job.yaml", "--train", "reviews.csv", "--model", "bert", "--eval", "0.2"});
  std::filesystem::current_path(here);
  ASSERT_EQ(ran.exit, 0) << ran.err;
  std::ostringstream text;
  text << std::ifstream(dir_ / "specs/job.yaml").rdbuf();
  EXPECT_THAT(text.str(), HasSubstr("name: reviews\n"));
  EXPECT_THAT(text.str(), HasSubstr("model: ../bert "));
  EXPECT_THAT(text.str(), HasSubstr("train: ../reviews.csv "));
  EXPECT_THAT(text.str(), HasSubstr("eval: 0.2 "));
  EXPECT_THAT(text.str(), HasSubstr("columns: {text: stars, label: target}"));
}

}  // namespace
}  // namespace tutti::cli
