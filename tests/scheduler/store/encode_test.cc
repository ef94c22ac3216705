#include "scheduler/store/encode.h"

#include <gtest/gtest.h>

#include <random>
#include <set>

#include "scheduler/core/rebuild.h"
#include "tests/scheduler/store/facts_example.h"

namespace tutti::store {
namespace {

std::vector<core::Fact> OneOfEach() {
  std::vector<core::Fact> facts = ExampleStory();
  const JobId job(3);
  const WallTime at{5};
  facts.insert(
      facts.end(),
      {core::JobRejected{.job = job,
                         .reason = spec::FailureReason::kData,
                         .message = "m",
                         .where = "f:1",
                         .at = at},
       core::StopRequested{
           .job = job, .attempt = Attempt{4}, .why = core::StopWhy::kResize, .at = at},
       core::GangReleased{.job = job,
                          .attempt = Attempt{4},
                          .why = core::StopWhy::kPause,
                          .step = 3,
                          .ran_ms = 9,
                          .at = at,
                          .steps_ms = 8},
       core::JobFailed{.job = job, .reason = spec::FailureReason::kOom, .message = "m", .at = at},
       core::JobCancelled{.job = job, .at = at, .message = "m"},
       core::RungReached{
           .job = job, .attempt = Attempt{4}, .rung = 1, .step = 9, .value = 0.5, .at = at},
       core::JobPaused{.job = job, .at = at}, core::JobResumed{.job = job, .ranks = 2, .at = at},
       core::JobResized{.job = job, .ranks = 4, .at = at}, core::HoldReleased{.job = job, .at = at},
       core::JobPriorityChanged{.job = job, .priority = -9, .at = at},
       core::OtherNumericsAllowed{.job = job, .at = at}, core::JobArchived{.job = job, .at = at},
       core::NodeLost{.node = NodeId(5), .at = at}, core::NodeLeft{.node = NodeId(5), .at = at},
       core::NodeDrained{.node = NodeId(5), .draining = true, .at = at},
       core::QueueSet{.name = "q",
                      .config = {.weight = 2.5,
                                 .slots = 3,
                                 .slots_max = 4,
                                 .user_slots = 5,
                                 .gpus = 6,
                                 .gpus_max = 7,
                                 .user_gpus = 8,
                                 .parent = "p"},
                      .at = at},
       core::PolicySet{.policy = "fair", .at = at},
       core::UsageCharged{.passed_ms = 9, .charged_ms = 8, .at = at}});
  return facts;
}

TEST(EncodeFact, EveryTypeComesBackEqual) {
  std::set<std::size_t> types;
  for (const core::Fact& fact : OneOfEach()) {
    types.insert(fact.index());
    const auto back = DecodeFact(EncodeFact(fact));
    ASSERT_TRUE(back) << back.error().ToString();
    EXPECT_EQ(*back, fact) << "type " << fact.index();
  }
  EXPECT_EQ(types.size(), std::variant_size_v<core::Fact>);
}

TEST(DecodeFact, DamageIsAnErrorAndNeverACrash) {
  EXPECT_FALSE(DecodeFact(""));
  std::mt19937 random(1);
  for (const core::Fact& fact : OneOfEach()) {
    const std::string good = EncodeFact(fact);
    for (int i = 0; i < 200; ++i) {
      std::string bad = good;
      bad[random() % bad.size()] = static_cast<char>(random());
      bad.resize(random() % (bad.size() + 1));
      (void)DecodeFact(bad).has_value();
    }
  }
}

TEST(Rebuild, EqualsTheLedgerThroughStoredRows) {
  core::Ledger ledger;
  for (const core::Fact& fact : ExampleStory()) {
    ASSERT_EQ(core::Objection(ledger, fact), "");
    core::Apply(ledger, fact);
    core::LedgerParts parts = core::Dismantle(ledger);
    for (auto& [job, order] : parts.jobs) {
      auto stored = DecodeJob(EncodeJob(job, order));
      ASSERT_TRUE(stored) << stored.error().ToString();
      job = stored->job;
      order = stored->finish_order;
    }
    parts.learned = DecodeCounters(EncodeCounters({.learned = parts.learned})).value().learned;
    for (core::Node& node : parts.nodes) node = DecodeNode(EncodeNode(node)).value();
    EXPECT_EQ(core::Rebuild(std::move(parts)), ledger);
  }
  EXPECT_NE(ledger.learned, core::Learned{});
}

TEST(DecodeCounters, OfATimeBeforeJobsTaughtSomethingKnowWhatOneBeginsWith) {
  EXPECT_EQ(DecodeCounters("").value().learned, core::Learned{});
}

}  // namespace
}  // namespace tutti::store
