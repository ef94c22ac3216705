#include "scheduler/coordinator/fences.h"

#include <gmock/gmock.h>

#include "tests/scheduler/core/world.h"

namespace tutti::coordinator {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;
using testing::Pair;
using testing::UnorderedElementsAre;

class FencesTest : public testing::Test {
 protected:
  core::World world;
  NodeId first, second;
  JobId job;
  Fences fences;
  std::vector<std::pair<NodeId, std::string>> sent;  // and the data of its FenceDone

  void SetUp() override {
    world.Start();
    first = world.AddNode(1, 2);
    second = world.AddNode(2, 2);
    job = world.AddQueued(5, core::World::Request(4, 4));
    world.Tick();
    ASSERT_NE(core::ActiveGang(world.At(job)), nullptr);
  }
  void Hear(NodeId node, std::string data, std::uint32_t sequence = 1, std::uint32_t attempt = 1) {
    sent.clear();
    wire::Fence fence;
    fence.set_job(job.ToString());
    fence.set_attempt(attempt);
    fence.set_sequence(sequence);
    fence.set_data(std::move(data));
    fences.Hear(world.ledger, node, fence, [this](NodeId to, wire::ToWorker message) {
      sent.emplace_back(to, message.fence_done().data());
    });
  }
};

TEST_F(FencesTest, AnswersAllWithEverythingInTheGangsOrder) {
  Hear(second, "two");
  EXPECT_THAT(sent, IsEmpty());
  Hear(first, "one");
  EXPECT_THAT(sent, UnorderedElementsAre(Pair(first, "onetwo"), Pair(second, "onetwo")));
}

TEST_F(FencesTest, OneThatMissedTheAnswerGetsItAgainAlone) {
  Hear(second, "two");
  Hear(first, "one");
  Hear(second, "two");
  EXPECT_THAT(sent, ElementsAre(Pair(second, "onetwo")));
}

TEST_F(FencesTest, SequencesAreApart) {
  Hear(first, "a", 1);
  Hear(second, "b", 2);
  EXPECT_THAT(sent, IsEmpty());
  Hear(second, "c", 1);
  EXPECT_THAT(sent, UnorderedElementsAre(Pair(first, "ac"), Pair(second, "ac")));
}

TEST_F(FencesTest, StaleAttemptsStrangersAndNonsenseAreDropped) {
  Hear(first, "a", 1, 7);
  Hear(NodeId{99}, "a");
  Hear(first, "a", 0);
  Hear(first, "a", Fences::kSequencesMax + 1);
  Hear(first, std::string(Fences::kDataBytesMax + 1, 'x'));
  EXPECT_EQ(fences.size(), 0U);
}

TEST_F(FencesTest, WhatBelongsToNoGangAnyMoreIsForgotten) {
  Hear(first, "a");
  fences.Sweep(world.ledger);
  EXPECT_EQ(fences.size(), 1U);
  ASSERT_TRUE(world.Send(world.Ended(job, core::GangOutcome::kFailed)));
  fences.Sweep(world.ledger);
  EXPECT_EQ(fences.size(), 0U);
}

}  // namespace
}  // namespace tutti::coordinator
