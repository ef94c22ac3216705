// What an administrator does: emptying workers, looking after checkpoints.
#include <gmock/gmock.h>

#include <atomic>

#include "with_server.h"

namespace tutti::cli {
namespace {

using nlohmann::json;
using testing::HasSubstr;

class Operations : public WithServer {};

TEST_F(Operations, DrainWaitsUntilTheWorkerIsEmpty) {
  std::atomic<int> asked = 0;
  const auto worker = [](bool draining, int slots, const char* gangs) {
    return FakeServer::Json(R"({"name": "node7", "draining": )" +
                            std::string(draining ? "true" : "false") + R"(, "slots_used": )" +
                            std::to_string(slots) + R"(, "gangs": )" + gangs + "}");
  };
  routes_["POST /api/v1/workers/node7/drain"] = [&](const Seen&) {
    return worker(true, 2, R"([{"job": "j-1"}])");
  };
  routes_["GET /api/v1/workers/node7"] = [&](const Seen&) {
    return ++asked < 2 ? worker(true, 2, R"([{"job": "j-1"}])") : worker(true, 0, "[]");
  };
  routes_["POST /api/v1/workers/node7/undrain"] = [&](const Seen&) {
    return worker(false, 0, "[]");
  };
  EXPECT_EQ(Run({"worker", "drain", "node7"}).out, "node7  drains: j-1\n");
  EXPECT_EQ(asked, 0);
  EXPECT_EQ(Run({"worker", "drain", "node7", "--wait"}).out, "node7  is empty\n");
  EXPECT_EQ(asked, 2);
  EXPECT_EQ(Run({"worker", "undrain", "node7"}).out, "node7  takes jobs again\n");
  EXPECT_EQ(Run({"worker", "drain", "node7", "--timeout", "1s"}).exit, 2);
  EXPECT_EQ(Run({"worker", "drain", "nobody"}).exit, 5);
}

TEST_F(Operations, VerifyExitsOneWhenACheckpointIsBad) {
  bool good = false;
  routes_["POST /api/v1/jobs/j/checkpoints/verify"] = [&](const Seen& seen) {
    const json body = json::parse(seen.body);
    EXPECT_EQ(body.value("step", 0), good ? 20 : 0);
    json data = {{{"step", 20}, {"ok", true}, {"path", "/c/20.h5"}, {"size_bytes", 2048}}};
    if (!good) data.push_back({{"step", 10}, {"ok", false}, {"message", "of another digest"}});
    return FakeServer::Json(json{{"job", "j"}, {"data", data}}.dump());
  };
  const Ran bad = Run({"checkpoint", "verify", "j"});
  EXPECT_EQ(bad.exit, 1);
  EXPECT_EQ(bad.out, "good  step 20  2.0 KiB  /c/20.h5\nBAD   step 10  of another digest\n");
  EXPECT_EQ(Run({"checkpoint", "verify", "j", "-q"}).out, "10\n");
  good = true;
  EXPECT_EQ(Run({"checkpoint", "verify", "j", "20"}).exit, 0);
  EXPECT_EQ(Run({"checkpoint", "verify", "j", "20", "--json"}).exit, 0);
}

TEST_F(Operations, GcOfNoJobIsOfEveryJobWithCheckpoints) {
  routes_["GET /api/v1/jobs"] = [](const Seen& seen) {
    EXPECT_THAT(seen.target, HasSubstr("all=1"));
    return FakeServer::Json(R"({"data": [{"id": "a", "checkpoints": [{"step": 1}]},
      {"id": "b", "checkpoints": []}], "next": null})");
  };
  routes_["POST /api/v1/jobs/a/checkpoints/gc"] = [](const Seen& seen) {
    EXPECT_EQ(json::parse(seen.body), (json{{"keep", 3}, {"dry_run", true}}));
    return FakeServer::Json(R"({"job": "a", "kept": [{"step": 9}], "removed": [{"step": 1},
      {"step": 2}], "leftovers": 0, "freed_bytes": 4096})");
  };
  const Ran ran = Run({"checkpoint", "gc", "--keep", "3", "--dry-run"});
  EXPECT_EQ(ran.exit, 0) << ran.err;
  EXPECT_EQ(ran.out, "a  would free 4.0 KiB: steps 1, 2; kept: 9\n");
  EXPECT_THAT(ran.err, HasSubstr("would free 4.0 KiB in 1 job"));
  EXPECT_EQ(Run({"checkpoint", "gc", "--keep", "-1"}).exit, 2);
}

}  // namespace
}  // namespace tutti::cli
