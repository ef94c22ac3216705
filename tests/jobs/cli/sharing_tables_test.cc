// What `tutti worker list`, `tutti queue list|set` and `tutti usage` show and send.
#include <gmock/gmock.h>

#include <nlohmann/json.hpp>

#include "with_server.h"

namespace tutti::cli {
namespace {

using nlohmann::json;
using testing::HasSubstr;
using testing::Not;

class SharingTablesTest : public WithServer {};

TEST_F(SharingTablesTest, WorkersAndQueuesAreTables) {
  routes_["GET /api/v1/workers"] = [](const Seen&) {
    return FakeServer::Json(
        R"({"data": [{"name": "node7", "state": "up", "slots": 4, "slots_used": 2, "draining": false,
            "memory_bytes": 1073741824, "gangs": [{"job": "j-1", "ranks": [0, 1]}]}]})");
  };
  routes_["GET /api/v1/queues"] = [](const Seen&) {
    return FakeServer::Json(R"({"data": [{"name": "default", "queued": 3, "running": 1}]})");
  };
  EXPECT_THAT(Run({"worker", "list"}).out, HasSubstr("node7   up     2/4"));
  EXPECT_EQ(Run({"worker", "list", "-q"}).out, "node7\n");
  EXPECT_THAT(Run({"queue", "list"}).out, HasSubstr("default"));
  EXPECT_THAT(Run({"worker", "list"}).out + Run({"queue", "list"}).out, Not(HasSubstr("GPU")));
}

TEST_F(SharingTablesTest, GpusAreShownWhereThereAreAny) {
  routes_["GET /api/v1/workers"] = [](const Seen&) {
    return FakeServer::Json(
        R"({"data": [{"name": "node7", "state": "up", "slots": 4, "slots_used": 2, "gpus": 8,
            "gpus_used": 3, "gangs": []}]})");
  };
  json set;
  const auto queues = [&](const Seen& seen) {
    if (!seen.body.empty()) set = json::parse(seen.body);
    return FakeServer::Json(
        R"({"data": [{"name": "nlp", "queued": 3, "running": 1, "slots_used": 2, "gpus_used": 3,
            "slots": 0, "gpus": 6, "gpus_max": null, "user_gpus": 5, "weight": 1.0}]})");
  };
  routes_["GET /api/v1/queues"] = queues;
  routes_["POST /api/v1/queues/nlp"] = queues;
  routes_["GET /api/v1/usage"] = [](const Seen&) {
    return FakeServer::Json(
        R"({"data": [{"queue": "nlp", "user": "ann", "slot_hours": 2.5, "slots_used": 2,
            "gpu_hours": 1.25, "gpus_used": 3}]})");
  };
  EXPECT_THAT(Run({"worker", "list"}).out, HasSubstr("2/4    3/8"));
  EXPECT_THAT(Run({"queue", "list"}).out, HasSubstr("GPUS USED"));
  EXPECT_EQ(Run({"usage", "--csv"}).out,
            "queue,user,slot_hours,slots_used,gpu_hours,gpus_used\nnlp,ann,2.500,2,1.250,3\n");
  EXPECT_THAT(Run({"usage"}).out, HasSubstr("GPU-HOURS"));
  EXPECT_EQ(Run({"queue", "set", "nlp", "gpus=6", "user_gpus=5"}).exit, 0);
  EXPECT_EQ(set, json({{"gpus", 6}, {"user_gpus", 5}}));
  const auto wrong = Run({"queue", "set", "nlp", "gpu=6"});
  EXPECT_EQ(wrong.exit, 2);
  EXPECT_THAT(wrong.err, HasSubstr("gpus_max"));
}

}  // namespace
}  // namespace tutti::cli
