#include "worker/engine/train.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/worker/engine/rank_process.h"
#include "worker/engine/exit_codes.h"

namespace tutti::engine {
namespace {

using enginelink::Checkpoint;
using enginelink::Done;
using enginelink::Failed;
using enginelink::Progress;
using enginelink::Ready;
using finetune::SmallJob;
using testing::Contains;
using testing::HasSubstr;

TEST(Train, FromPlanToExportedModel) {
  const SmallJob job("engine-train");
  RankProcess rank;
  rank.Send(PlanOf(job, SmallJob::Spec()));
  const auto ready = rank.Await<Ready>();
  ASSERT_TRUE(ready.has_value());
  EXPECT_EQ(ready->from_step, 0u);
  EXPECT_TRUE(rank.Await<Progress>().has_value());
  const auto checkpoint = rank.Await<Checkpoint>();
  ASSERT_TRUE(checkpoint.has_value());
  EXPECT_EQ(checkpoint->step, 3u);
  const auto done = rank.Await<Done>();
  ASSERT_TRUE(done.has_value());
  EXPECT_EQ(done->outcome, Done::Outcome::kSucceeded);
  EXPECT_EQ(done->step, 12u);
  EXPECT_TRUE(done->metrics.contains("accuracy"));
  EXPECT_THAT(done->files, Contains("model.safetensors"));
  for (const std::string& file : done->files) {
    EXPECT_TRUE(std::filesystem::exists(job.root / "export" / file)) << file;
  }
  EXPECT_EQ(rank.Wait(), kExitOk);
}

TEST(Train, StopsWithACheckpointAndGoesOnFromIt) {
  const SmallJob job("engine-stop");
  spec::JobSpec spec = SmallJob::Spec();
  spec.training.max_steps = 100000;
  enginelink::Plan plan = PlanOf(job, spec);
  std::uint64_t stopped_at = 0;
  {
    RankProcess rank;
    rank.Send(plan);
    ASSERT_TRUE(rank.Await<Progress>().has_value());
    rank.Send(enginelink::Stop{.checkpoint = true});
    const auto done = rank.Await<Done>();
    ASSERT_TRUE(done.has_value());
    EXPECT_EQ(done->outcome, Done::Outcome::kReleased);
    stopped_at = done->step;
    EXPECT_EQ(rank.Wait(), kExitOk);
  }
  plan.attempt = 2;
  plan.resume = true;
  RankProcess again;
  again.Send(plan);
  const auto ready = again.Await<Ready>();
  ASSERT_TRUE(ready.has_value());
  EXPECT_EQ(ready->from_step, stopped_at);
  again.Hang();  // the worker is gone: so is the rank
  EXPECT_EQ(again.Wait(), kExitPeer);
}

TEST(Train, WithoutALinkItSaysWhatIsMissing) {
  const Outcome outcome = RunEngine({"train"});
  EXPECT_EQ(outcome.status, kExitUsage);
  EXPECT_THAT(outcome.err, HasSubstr("--link-fd"));
}

TEST(Train, AnotherWorldThanTheGangsIsAnError) {
  const SmallJob job("engine-world");
  enginelink::Plan plan = PlanOf(job, SmallJob::Spec());
  plan.size = plan.local_size = 2;
  RankProcess rank;
  rank.Send(plan);
  const auto failed = rank.Await<Failed>();
  ASSERT_TRUE(failed.has_value());
  EXPECT_THAT(failed->message, HasSubstr("MPI's world has 1 ranks"));
  EXPECT_THAT(failed->message, HasSubstr("rank 0 of 2"));
  EXPECT_EQ(rank.Wait(), kExitGang);
}

TEST(Train, ALineThatIsNoPlanIsRefused) {
  RankProcess rank;
  rank.Send(enginelink::Stop{});
  const auto failed = rank.Await<Failed>();
  ASSERT_TRUE(failed.has_value());
  EXPECT_THAT(failed->message, HasSubstr("no plan"));
  EXPECT_EQ(rank.Wait(), kExitData);

  RankProcess other;
  other.SendText("{\"type\": \"plan\", \"job\": 5}\n");
  EXPECT_TRUE(other.Await<Failed>().has_value());
  EXPECT_EQ(other.Wait(), kExitData);
}

TEST(Train, AWorkerThatGoesBeforeThePlanIsNoHang) {
  RankProcess rank;
  rank.Hang();
  EXPECT_EQ(rank.Wait(), kExitPeer);
}

TEST(Train, ABadRowIsNamedWithFileAndLine) {
  const SmallJob job("engine-row");
  std::ofstream(job.train_path(), std::ios::app) << "{\"text\": 5, \"label\": \"a\"}\n";
  RankProcess rank;
  rank.Send(PlanOf(job, SmallJob::Spec()));
  const auto failed = rank.Await<Failed>();
  ASSERT_TRUE(failed.has_value());
  EXPECT_EQ(failed->reason, "data");
  EXPECT_THAT(failed->where + failed->message,
              HasSubstr("rows.train.jsonl:" + std::to_string(finetune::kTrainRows + 1)));
  EXPECT_EQ(rank.Wait(), kExitData);
}

TEST(Train, ALossThatIsNotFiniteIsNumeric) {
  const SmallJob job("engine-nan");
  spec::JobSpec spec = SmallJob::Spec();
  spec.training.learning_rate = 1e30;
  spec.training.warmup_ratio = 0;
  RankProcess rank;
  rank.Send(PlanOf(job, spec));
  const auto failed = rank.Await<Failed>();
  ASSERT_TRUE(failed.has_value());
  EXPECT_EQ(failed->reason, "numeric");
  EXPECT_EQ(failed->step, 1u);
  EXPECT_THAT(failed->hint, HasSubstr("learning_rate"));
  EXPECT_EQ(rank.Wait(), kExitNumeric);
  EXPECT_FALSE(std::filesystem::exists(job.root / "export"));
}

TEST(Train, AFolderThatCannotBeWrittenEndsTheAttempt) {
  const SmallJob job("engine-unwritable");
  enginelink::Plan plan = PlanOf(job, SmallJob::Spec());
  plan.checkpoint_dir = job.root / "rows.train.jsonl" / "checkpoints";  // below a file
  RankProcess rank;
  rank.Send(plan);
  const auto failed = rank.Await<Failed>();
  ASSERT_TRUE(failed.has_value());
  EXPECT_EQ(failed->reason, "internal");
  EXPECT_THAT(failed->where, HasSubstr("rows.train.jsonl"));
  EXPECT_EQ(rank.Wait(), kExitInternal);
}

}  // namespace
}  // namespace tutti::engine
