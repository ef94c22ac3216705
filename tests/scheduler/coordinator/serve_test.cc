// The program without workers: starting, serving, refusing, coming back.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/stat.h>

#include <set>
#include <thread>

#include "common/file/file.h"
#include "jobs/client/sse.h"
#include "process.h"

namespace tutti::coordinator {
namespace {

using testing::HasSubstr;

class Serve : public testing::Test {
 protected:
  ScratchFolder scratch;
  CoordinatorProcess coordinator{scratch.path() / "data"};

  void SetUp() override { ASSERT_TRUE(coordinator.Start()) << coordinator.log(); }
};

TEST_F(Serve, SaysWhereItServesAndKeepsSecretsPrivate) {
  struct stat status {};
  for (const char* name : {"token", "coordinator/curve.key"}) {
    ASSERT_EQ(::stat((coordinator.dir() / name).c_str(), &status), 0) << name;
    EXPECT_EQ(status.st_mode & 0777, 0600U) << name;
  }
  EXPECT_EQ(coordinator.Get("/healthz").body["read_only"], false);
  EXPECT_THAT(coordinator.zmq(), HasSubstr("tcp://127.0.0.1:"));
  coordinator.Signal(SIGTERM);
  EXPECT_EQ(coordinator.Wait(), 0) << coordinator.log();
  EXPECT_FALSE(fs::exists(coordinator.dir() / "coordinator/serving.json"));
}

TEST_F(Serve, EveryRouteButHealthAndMetricsNeedsTheToken) {
  const auto url = httpclient::ParseUrl(coordinator.url());
  ASSERT_TRUE(url);
  const auto status = [&](const char* target) {
    const auto response = httpclient::Send(*url, {.target = target});
    return response ? response->status : 0;
  };
  EXPECT_EQ(status("/healthz"), 200);
  EXPECT_EQ(status("/metrics"), 200);
  for (const char* target : {"/api/v1/jobs", "/api/v1/cluster", "/api/v1/openapi.json"}) {
    EXPECT_EQ(status(target), 401) << target;
  }
}

// What somebody with this token gets.
struct As {
  const CoordinatorProcess& coordinator;
  std::string token;

  int Status(const std::string& method, const std::string& target) const {
    const auto url = httpclient::ParseUrl(coordinator.url());
    const auto response = httpclient::Send(*url, {.method = method,
                                                  .target = target,
                                                  .headers = {{"Authorization", "Bearer " + token},
                                                              {"Content-Type", "application/json"}},
                                                  .body = method == "GET" ? "" : "{}"});
    return response ? response->status : 0;
  }
};

TEST_F(Serve, TokensDoWhatTheirScopeMayAndEndWhenRevoked) {
  const auto make = [&](const char* scope, const char* user) {
    const Answer made = coordinator.Post("/api/v1/tokens", {{"scope", scope}, {"user", user}});
    EXPECT_EQ(made.status, 201) << made.text;
    return made.body;
  };
  const json viewer = make("viewer", "vi");
  const json submitter = make("submitter", "ana");
  const json admin = make("admin", "root");
  const As as_viewer{coordinator, viewer["token"]};
  const As as_ana{coordinator, submitter["token"]};
  const As as_admin{coordinator, admin["token"]};
  const std::string locals = coordinator.Submit("locals");  // of the token in the data directory

  EXPECT_EQ(as_viewer.Status("GET", "/api/v1/jobs"), 200);
  EXPECT_EQ(as_viewer.Status("POST", "/api/v1/jobs/" + locals + "/cancel"), 403);
  EXPECT_EQ(as_viewer.Status("POST", "/api/v1/jobs"), 403);
  EXPECT_EQ(as_viewer.Status("GET", "/api/v1/tokens"), 403);

  EXPECT_EQ(as_ana.Status("GET", "/api/v1/jobs"), 200);
  EXPECT_EQ(as_ana.Status("POST", "/api/v1/jobs"), 422) << "it may, and the body is no job";
  EXPECT_EQ(as_ana.Status("POST", "/api/v1/jobs/" + locals + "/cancel"), 403) << "not hers";
  EXPECT_EQ(as_ana.Status("POST", "/api/v1/drain"), 403);
  EXPECT_EQ(as_ana.Status("POST", "/api/v1/tokens"), 403);

  EXPECT_EQ(as_admin.Status("POST", "/api/v1/jobs/" + locals + "/cancel"), 200);
  EXPECT_EQ(as_admin.Status("GET", "/api/v1/tokens"), 200);

  const std::string id = submitter["id"];
  EXPECT_EQ(coordinator.Post("/api/v1/tokens/" + id + "/revoke").status, 200);
  EXPECT_EQ(as_ana.Status("GET", "/api/v1/jobs"), 401);
  EXPECT_EQ(coordinator.Post("/api/v1/tokens/" + id + "/revoke").status, 404);
}

TEST_F(Serve, TokensAreOnDiskWhenTheyAreShown) {
  const json made = coordinator.Post("/api/v1/tokens", {{"scope", "viewer"}}).body;
  coordinator.Signal(SIGKILL);
  coordinator.Wait();
  ASSERT_TRUE(coordinator.Start());
  EXPECT_EQ((As{coordinator, made["token"]}).Status("GET", "/api/v1/jobs"), 200);
  const json listed = coordinator.Get("/api/v1/tokens").body["data"];
  ASSERT_EQ(listed.size(), 1u);
  EXPECT_EQ(listed[0]["user"], "local");
  EXPECT_FALSE(listed[0].contains("token"));
  EXPECT_TRUE(listed[0]["last_used_at"].is_string());
}

TEST_F(Serve, WrongRequestsForTokensAreSaidByField) {
  for (const auto& [body, where] :
       std::vector<std::pair<json, std::string>>{{{{"scope", "worker"}}, "scope"},
                                                 {{{"scope", "root"}}, "scope"},
                                                 {{{"user", ""}}, "user"},
                                                 {{{"name", std::string(64, 'x')}}, "name"},
                                                 {{{"name", "a\nb"}}, "name"},
                                                 {{{"lifetime_ms", 0}}, "lifetime_ms"},
                                                 {{{"lifetime", 1}}, "lifetime"}}) {
    const Answer answer = coordinator.Post("/api/v1/tokens", body);
    EXPECT_EQ(answer.status, 422) << body.dump();
    EXPECT_EQ(answer.body["error"]["where"], "#/" + where) << answer.text;
  }
}

TEST_F(Serve, ASecondCoordinatorOnTheFolderIsRefused) {
  CoordinatorProcess second(coordinator.dir());
  EXPECT_FALSE(second.Start());
  EXPECT_EQ(second.exit_code(), 2);
  EXPECT_THAT(coordinator.log(), HasSubstr("another coordinator"));
  EXPECT_EQ(coordinator.Get("/healthz").status, 200);
  EXPECT_TRUE(fs::exists(coordinator.dir() / "coordinator/serving.json"));
}

TEST_F(Serve, ATakenPortHasItsOwnExitCode) {
  CoordinatorProcess other(scratch.path() / "other");
  const std::string taken = coordinator.url().substr(std::string("http://").size());
  EXPECT_FALSE(other.Start(taken));
  EXPECT_EQ(other.exit_code(), 98) << other.log();
  CoordinatorProcess third(scratch.path() / "third");
  EXPECT_FALSE(third.Start("127.0.0.1:0", coordinator.zmq().substr(std::string("tcp://").size())));
  EXPECT_EQ(third.exit_code(), 98) << third.log();
}

TEST_F(Serve, TheDocumentHasEveryRouteOfTheTable) {
  const json document = coordinator.Get("/api/v1/openapi.json").body;
  ASSERT_TRUE(document.is_object());
  for (const char* path : {"/healthz",
                           "/metrics",
                           "/api/v1/openapi.json",
                           "/api/v1/cluster",
                           "/api/v1/inspect",
                           "/api/v1/jobs",
                           "/api/v1/jobs/{job}",
                           "/api/v1/jobs/{job}/spec",
                           "/api/v1/jobs/{job}/cancel",
                           "/api/v1/jobs/{job}/pause",
                           "/api/v1/jobs/{job}/release",
                           "/api/v1/jobs/{job}/checkpoint",
                           "/api/v1/jobs/{job}/resume",
                           "/api/v1/jobs/{job}/resize",
                           "/api/v1/jobs/{job}/wait",
                           "/api/v1/jobs/{job}/events",
                           "/api/v1/jobs/{job}/logs",
                           "/api/v1/events",
                           "/api/v1/workers",
                           "/api/v1/queues",
                           "/api/v1/blobs/{digest}",
                           "/api/v1/models",
                           "/api/v1/models/{model}",
                           "/api/v1/models/{model}/files/{path}",
                           "/api/v1/models/{model}/try",
                           "/api/v1/models/{model}/eval",
                           "/api/v1/drain",
                           "/api/v1/tokens",
                           "/api/v1/tokens/{token}/revoke"}) {
    EXPECT_TRUE(document["paths"].contains(path)) << path;
  }
  // The job object is the one it describes.
  const std::string id = coordinator.Submit("shown");
  const json job = coordinator.Get("/api/v1/jobs/" + id).body;
  const json& schema = document["components"]["schemas"]["Job"];
  for (const auto& [name, value] : job.items()) {
    EXPECT_TRUE(schema["properties"].contains(name)) << name;
  }
  for (const json& name : schema["required"]) EXPECT_TRUE(job.contains(name)) << name;
}

TEST_F(Serve, AJobWaitsQueuedWhileThereIsNoWorker) {
  const std::string id = coordinator.Submit("waits");
  const json job = coordinator.Get("/api/v1/jobs/waits").body;
  EXPECT_EQ(job["id"], id);
  EXPECT_EQ(job["state"], "queued");
  EXPECT_EQ(job["reason"], "pool_down");
  EXPECT_TRUE(job["progress"].is_null());
  EXPECT_TRUE(job["result"].is_null());
  EXPECT_EQ(job["ranks"]["min"], 1);
  EXPECT_TRUE(job["ranks"]["current"].is_null());
  EXPECT_EQ(coordinator.Get("/api/v1/jobs/" + id.substr(0, 6)).body["id"], id);
  EXPECT_EQ(coordinator.Get("/api/v1/jobs/j-00000000").status, 404);
  EXPECT_EQ(coordinator.Get("/api/v1/jobs/" + id + "/spec").body["name"], "waits");
}

TEST_F(Serve, ActionsAnswerWithTheJobOrSayWhyNot) {
  const std::string id = coordinator.Submit("acted");
  const std::string path = "/api/v1/jobs/" + id;
  EXPECT_EQ(coordinator.Call("PATCH", path, R"({"priority": 7})").body["priority"], 7);
  EXPECT_EQ(coordinator.Call("PATCH", path, R"({"prio": 7})").status, 422);
  EXPECT_EQ(coordinator.Post(path + "/pause").status, 409);  // it is being validated
  EXPECT_EQ(coordinator.Post(path + "/resize", {{"ranks", 3}}).status, 422);
  EXPECT_EQ(coordinator.Post(path + "/checkpoint").status, 409);
  EXPECT_EQ(coordinator.Post(path + "/cancel").body["state"], "cancelled");
  EXPECT_EQ(coordinator.Post(path + "/cancel").status, 409);
  EXPECT_EQ(coordinator.Get(path + "/wait?timeout_ms=60000").body["state"], "cancelled");
  EXPECT_EQ(coordinator.Post("/api/v1/jobs/nobody/cancel").status, 404);
}

TEST_F(Serve, AHeldJobIsReleasedByResumeWithASize) {
  json body = coordinator.Submission("held");
  body["hold"] = true;
  body["spec"]["training"]["shards"] = 4;
  body["spec"]["training"]["global_batch_size"] = 32;
  const Answer made = coordinator.Post("/api/v1/jobs", body);
  ASSERT_EQ(made.status, 201) << made.text;
  const std::string path = "/api/v1/jobs/" + made.body["id"].get<std::string>();
  EXPECT_EQ(made.body["held"], true);
  EXPECT_EQ(coordinator.Post(path + "/resume", {{"ranks", 2}}).body["held"], false);
  std::vector<std::string> types;
  const json events = coordinator.Get(path + "/events").body;
  for (const json& event : events["data"]) types.push_back(event["type"]);
  EXPECT_THAT(types, testing::ElementsAre("submitted", "resized", "hold_released"));
  EXPECT_EQ(coordinator.Post(path + "/resume").status, 409);
}

TEST_F(Serve, AJobThatWaitsGoesOnWithOtherNumericsWhenToldTo) {
  const Answer made = coordinator.Post("/api/v1/jobs", coordinator.Submission("any"));
  ASSERT_EQ(made.status, 201) << made.text;
  const std::string path = "/api/v1/jobs/" + made.body["id"].get<std::string>();
  EXPECT_EQ(coordinator.Post(path + "/resume", {{"any_cpu", 1}}).status, 422);
  EXPECT_EQ(coordinator.Post(path + "/resume", {{"any_cpu", true}}).status, 200);
  const json events = coordinator.Get(path + "/events").body;
  EXPECT_EQ(events["data"].back()["type"], "other_numerics_allowed");
}

TEST_F(Serve, SubmitChecksSpecBlobsAndKeys) {
  json body = coordinator.Submission("checked");
  json bad = body;
  bad["spec"]["training"]["learning_rate"] = -1;
  EXPECT_EQ(coordinator.Post("/api/v1/jobs", bad).status, 422);
  bad = body;
  bad["spec"]["inputs"]["train"]["digest"] = "sha256:" + std::string(64, '0');
  const Answer missing = coordinator.Post("/api/v1/jobs", bad);
  EXPECT_EQ(missing.status, 422);
  EXPECT_THAT(missing.body["error"]["where"].get<std::string>(), HasSubstr(std::string(64, '0')));
  bad = body;
  bad["spec"]["inputs"]["train"] = nullptr;
  EXPECT_EQ(coordinator.Post("/api/v1/jobs", bad).status, 422);
  bad = body;
  bad["hodl"] = true;
  EXPECT_EQ(coordinator.Post("/api/v1/jobs", bad).status, 422);
  EXPECT_EQ(coordinator.Get("/api/v1/jobs").body["data"].size(), 0U);
}

TEST_F(Serve, OneIdempotencyKeyMakesOneJob) {
  const json body = coordinator.Submission("once");
  const auto submit = [&](const json& what) {
    return coordinator.Call("POST", "/api/v1/jobs", what.dump(), {{"Idempotency-Key", "k1"}});
  };
  const Answer first = submit(body);
  const Answer again = submit(body);
  EXPECT_EQ(first.status, 201);
  EXPECT_EQ(again.status, 200);
  EXPECT_EQ(first.body["id"], again.body["id"]);
  json other = body;
  other["hold"] = true;
  EXPECT_EQ(submit(other).status, 409);
  EXPECT_EQ(coordinator.Get("/api/v1/jobs").body["data"].size(), 1U);
}

TEST_F(Serve, EachTrialOfASweepWaitsForWhatItsOwnSpecNames) {
  const std::string first = coordinator.Submit("first");
  const std::string second = coordinator.Submit("second");
  json body = {{"name", "rates"}, {"method", "grid"}, {"trials", json::array()}};
  const std::vector<json> named = {json::array({"first"}), json::array({"second", first}),
                                   json::array()};
  for (std::size_t i = 0; i < named.size(); ++i) {
    json spec = coordinator.Submission("rates-" + std::to_string(i + 1))["spec"];
    spec["schedule"]["depends_on"] = named[i];
    body["trials"].push_back({{"parameters", {{"training.seed", i}}}, {"spec", std::move(spec)}});
  }
  const Answer made = coordinator.Post("/api/v1/sweeps", body);
  ASSERT_EQ(made.status, 201) << made.text;
  const std::vector<json> wanted = {json::array({first}), json::array({second, first}),
                                    json::array()};
  ASSERT_EQ(made.body["trials"].size(), wanted.size());
  for (std::size_t i = 0; i < wanted.size(); ++i) {
    const json& trial = made.body["trials"][i];
    EXPECT_EQ(trial["trial"], i + 1);
    EXPECT_EQ(trial["parameters"]["training.seed"], i);
    const json job = coordinator.Get("/api/v1/jobs/" + trial["job"].get<std::string>()).body;
    EXPECT_EQ(job["depends_on"], wanted[i]);
    EXPECT_EQ(job["sweep"]["id"], made.body["id"]);
  }
  body["trials"][1]["spec"]["schedule"]["depends_on"] = json::array({"nobody"});
  EXPECT_EQ(coordinator.Post("/api/v1/sweeps", body).status, 422) << "all of it or nothing";
  EXPECT_EQ(coordinator.Get("/api/v1/sweeps").body["data"].size(), 1U);
}

TEST_F(Serve, ListsNewestFirstPageByPage) {
  for (int i = 0; i < 5; ++i) coordinator.Submit("job-" + std::to_string(i));
  std::vector<std::string> names;
  std::string before;
  for (int page = 0; page < 3; ++page) {
    const json answer = coordinator.Get("/api/v1/jobs?limit=2" + before).body;
    for (const json& job : answer["data"]) names.push_back(job["name"]);
    if (answer["next"].is_null()) break;
    before = "&before=" + std::to_string(answer["next"].get<std::uint64_t>());
  }
  EXPECT_THAT(names, testing::ElementsAre("job-4", "job-3", "job-2", "job-1", "job-0"));
  EXPECT_EQ(coordinator.Get("/api/v1/jobs?state=running").body["data"].size(), 0U);
  EXPECT_EQ(coordinator.Get("/api/v1/jobs?state=queued&name=job-1").body["data"].size(), 1U);
  EXPECT_EQ(coordinator.Get("/api/v1/jobs?state=walking").status, 422);
}

TEST_F(Serve, EventsAreReplayedToAStreamAndAfterARestart) {
  const std::string id = coordinator.Submit("followed");
  coordinator.Post("/api/v1/jobs/" + id + "/cancel");
  coordinator.Signal(SIGTERM);
  ASSERT_EQ(coordinator.Wait(), 0);
  ASSERT_TRUE(coordinator.Start()) << coordinator.log();
  coordinator.Submit("other");
  const auto url = httpclient::ParseUrl(coordinator.url());
  auto stream =
      httpclient::Open(*url, {.target = "/api/v1/events?after=0&job=" + id,
                              .headers = {{"Authorization", "Bearer " + coordinator.Token()}}});
  ASSERT_TRUE(stream);
  client::EventParser parser;
  std::vector<std::string> types;
  while (types.size() < 2) {
    const auto piece = (*stream)->Read(std::chrono::seconds(10));
    ASSERT_TRUE(piece);
    for (const auto& event : parser.Feed(*piece)) {
      EXPECT_EQ(json::parse(event.data)["job"], id);
      types.push_back(event.type);
    }
  }
  EXPECT_THAT(types, testing::ElementsAre("submitted", "cancelled"));
}

TEST_F(Serve, InspectWithoutAWorkerIsUnavailable) {
  json body = coordinator.Submission("dry");
  body.erase("hold");
  EXPECT_EQ(coordinator.Post("/api/v1/inspect", body).status, 503);
  EXPECT_EQ(coordinator.Get("/api/v1/jobs").body["data"].size(), 0U);
}

TEST_F(Serve, MetricsHaveQueueAndStore) {
  coordinator.Submit("measured");
  const std::string text = coordinator.Get("/metrics").text;
  EXPECT_THAT(text, HasSubstr("tutti_queue_jobs{queue=\"default\",state=\"queued\"} 1"));
  EXPECT_THAT(text, HasSubstr("tutti_store_commit_duration_seconds_count"));
  EXPECT_THAT(text, HasSubstr("tutti_jobs_submitted_total{method=\"full\","
                              "task=\"text-classification\"} 1"));
}

// Killed again and again while four clients submit: what was acknowledged is there, once.
TEST_F(Serve, AcknowledgedJobsSurviveKillsAndExistOnce) {
  const json body = coordinator.Submission("burst");
  std::map<std::string, std::string> acknowledged;  // key -> id
  for (int round = 0; round < 3; ++round) {
    std::vector<std::thread> clients;
    std::vector<std::map<std::string, std::string>> ids(4);
    for (std::size_t c = 0; c < ids.size(); ++c) {
      clients.emplace_back([&, c] {
        for (int i = 0;; ++i) {
          const std::string key =
              std::to_string(round) + "." + std::to_string(c) + "." + std::to_string(i);
          const Answer answer =
              coordinator.Call("POST", "/api/v1/jobs", body.dump(), {{"Idempotency-Key", key}});
          if (answer.status != 201) return;
          ids[c][key] = answer.body["id"];
        }
      });
    }
    ASSERT_TRUE(WaitUntil([&] {
      return coordinator.Get("/api/v1/jobs?limit=1000").body["data"].size() >=
             static_cast<std::size_t>(20 * (round + 1));
    }));
    coordinator.Signal(SIGKILL);
    for (std::thread& client : clients) client.join();
    EXPECT_EQ(coordinator.Wait(), 128 + SIGKILL);
    for (const auto& each : ids) acknowledged.insert(each.begin(), each.end());
    ASSERT_TRUE(coordinator.Start()) << coordinator.log();
  }
  std::set<std::string> listed;
  std::string before;
  for (;;) {
    const json page = coordinator.Get("/api/v1/jobs?limit=1000" + before).body;
    for (const json& job : page["data"]) {
      EXPECT_TRUE(listed.insert(job["id"].get<std::string>()).second);
    }
    if (page["next"].is_null()) break;
    before = "&before=" + std::to_string(page["next"].get<std::uint64_t>());
  }
  EXPECT_GE(acknowledged.size(), 30U);
  for (const auto& [key, id] : acknowledged) {
    EXPECT_TRUE(listed.contains(id)) << id;
    const Answer again =
        coordinator.Call("POST", "/api/v1/jobs", body.dump(), {{"Idempotency-Key", key}});
    EXPECT_EQ(again.status, 200);
    EXPECT_EQ(again.body["id"], id);
  }
}

// A file-size limit stands for a full disk.
TEST_F(Serve, AStoreThatCannotWriteMakesItReadOnlyUntilItCan) {
  std::string last = coordinator.Submit("before");
  const rlimit small{64 << 10, RLIM_INFINITY};
  ASSERT_EQ(::prlimit(coordinator.pid(), RLIMIT_FSIZE, &small, nullptr), 0);
  const json body = coordinator.Submission("during");
  std::set<std::string> acknowledged;
  Answer refused;
  ASSERT_TRUE(WaitUntil([&] {
    refused = coordinator.Post("/api/v1/jobs", body);
    if (refused.status == 201) acknowledged.insert(refused.body["id"].get<std::string>());
    return refused.status != 201;
  }));
  EXPECT_EQ(refused.status, 507) << refused.text;
  EXPECT_EQ(coordinator.Get("/healthz").body["read_only"], true);
  EXPECT_EQ(coordinator.Get("/api/v1/jobs/before").body["id"], last);
  EXPECT_EQ(coordinator.Get("/api/v1/jobs?limit=1000").body["data"].size(),
            acknowledged.size() + 1);
  const rlimit none{RLIM_INFINITY, RLIM_INFINITY};
  ASSERT_EQ(::prlimit(coordinator.pid(), RLIMIT_FSIZE, &none, nullptr), 0);
  ASSERT_TRUE(WaitUntil([&] { return coordinator.Get("/healthz").body["read_only"] == false; }));
  EXPECT_EQ(coordinator.Post("/api/v1/jobs", body).status, 201);
  coordinator.Signal(SIGKILL);
  coordinator.Wait();
  ASSERT_TRUE(coordinator.Start()) << coordinator.log();
  EXPECT_EQ(coordinator.Get("/api/v1/jobs?limit=1000").body["data"].size(),
            acknowledged.size() + 2);
}

}  // namespace
}  // namespace tutti::coordinator
