// A worker's GPUs over the real wire and API: given out, limited, counted, and still there after a
// restart.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <signal.h>

#include "with_worker.h"

namespace tutti::coordinator {
namespace {

using testing::HasSubstr;

class WithGpus : public WithWorker {
 protected:
  json Asking(const std::string& name, int gpus_per_rank) {
    json submission = coordinator.Submission(name);
    submission["spec"]["resources"]["gpus_per_rank"] = gpus_per_rank;
    return submission;
  }
  // The worker tells that it has these now.
  void Has(const std::vector<std::string>& gpus) {
    wire::ToCoordinator message;
    *message.mutable_register_() = worker->Registration();
    for (const std::string& name : gpus) {
      message.mutable_register_()->mutable_resources()->add_gpus()->set_name(name);
    }
    worker->Send(std::move(message));
    ASSERT_TRUE(worker->Await([](const wire::ToWorker& m) { return m.has_registered(); }));
    worker->Beat();
  }
  json First(const std::string& path) { return coordinator.Get(path).body["data"][0]; }
  json SetQueue(const json& fields) {
    return coordinator.Post("/api/v1/queues/default", fields).body["data"][0];
  }
};

TEST_F(WithGpus, AreRefusedWhereThereAreNone) {
  const Answer refused = coordinator.Post("/api/v1/jobs", Asking("gpus", 2));
  EXPECT_EQ(refused.status, 422) << refused.text;
  EXPECT_THAT(refused.text, HasSubstr("asks for 2 GPUs a rank, and no registered worker has any"));
}

TEST_F(WithGpus, AreGivenOutAndCounted) {
  Has({"H100", "H100", "L4"});
  const Answer first = coordinator.Post("/api/v1/jobs", Asking("first", 2));
  ASSERT_EQ(first.status, 201) << first.text;
  Admit();
  const wire::LaunchGang launch = Launched();
  const json shown = First("/api/v1/workers");
  EXPECT_EQ(shown["gpus"], 3);
  EXPECT_EQ(shown["gpus_used"], 2);
  EXPECT_EQ(shown["gpu_model"], "H100, L4");
  EXPECT_EQ(coordinator.Get("/api/v1/cluster").body["gpus"], json({{"total", 3}, {"used", 2}}));
  EXPECT_EQ(First("/api/v1/queues")["gpus_used"], 2);
  EXPECT_EQ(First("/api/v1/usage")["gpus_used"], 2);

  const Answer second = coordinator.Post("/api/v1/jobs", Asking("second", 2));
  ASSERT_EQ(second.status, 201) << second.text;
  Admit();
  const std::string waits = second.body["id"];
  ASSERT_TRUE(WaitUntil([&] { return Job(waits)["reason"] == "resources"; }));
  EXPECT_EQ(Job(waits)["pending"]["missing_gpus"], 1);
  EXPECT_EQ(Job(waits)["pending"]["missing_slots"], 0);
  EXPECT_THAT(Job(waits)["message"].get<std::string>(), HasSubstr("1 of 3 GPUs"));
  EXPECT_EQ(SetQueue({{"gpus_max", 3}, {"gpus", 1}})["gpus_max"], 3);
  EXPECT_EQ(Job(waits)["message"], "needs 2 GPUs; queue default may hold 3 and holds 2");
  EXPECT_TRUE(SetQueue({{"gpus_max", 0}})["gpus_max"].is_null());

  ASSERT_TRUE(coordinator.Post("/api/v1/jobs/" + waits + "/cancel", json::object()).status == 200);
  coordinator.PutBlob("w");
  ASSERT_TRUE(worker->Report(Succeeded(launch, "w")));
  EXPECT_EQ(First("/api/v1/workers")["gpus_used"], 0);
  const json used = First("/api/v1/usage");
  EXPECT_EQ(used["gpus_used"], 0);
  EXPECT_GT(used["gpu_hours"].get<double>(), 0);
  EXPECT_NEAR(used["gpu_hours"].get<double>(), 2 * used["slot_hours"].get<double>(), 1e-12);

  const json by_job = Job(launch.job())["used"];
  EXPECT_EQ(by_job["gpu_hours"], used["gpu_hours"]);
  EXPECT_EQ(by_job["slot_hours"], used["slot_hours"]);

  coordinator.Signal(SIGKILL);
  coordinator.Wait();
  ASSERT_TRUE(coordinator.Start()) << coordinator.log();
  EXPECT_EQ(First("/api/v1/workers")["gpus"], 3);
  EXPECT_EQ(First("/api/v1/queues")["gpus"], 1);
  EXPECT_EQ(First("/api/v1/usage"), used);
}

}  // namespace
}  // namespace tutti::coordinator
