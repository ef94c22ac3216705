#include "scheduler/coordinator/wire_inputs.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "common/wire/protocol.h"
#include "scheduler/coordinator/worker_frame.h"

namespace tutti::coordinator {
namespace {

wire::Register GoodRegister() {
  wire::Register message;
  message.set_protocol(wire::kProtocol);
  message.set_version("1.2.3");
  message.set_name("worker-1");
  message.mutable_resources()->set_slots(4);
  return message;
}

TEST(ReadRegister, ANameMustBeAName) {
  EXPECT_TRUE(ReadRegister(GoodRegister(), 7, NodeId(1)));
  for (const std::string name : {"", "-x", "a/b", "a b", "ü"}) {
    wire::Register bad = GoodRegister();
    bad.set_name(name);
    EXPECT_EQ(ReadRegister(bad, 7, NodeId(1)).error().code, ErrorCode::kInvalid) << name;
  }
}

TEST(ReadRegister, CountsGpusAndNamesEachKindOnce) {
  wire::Register message = GoodRegister();
  EXPECT_EQ(ReadRegister(message, 7, NodeId(1))->gpus, 0U);
  for (const char* name : {"H100", "H100", "L4"}) {
    message.mutable_resources()->add_gpus()->set_name(name);
  }
  const auto input = ReadRegister(message, 7, NodeId(1));
  EXPECT_EQ(input->gpus, 3U);
  EXPECT_EQ(input->gpu_model, "H100, L4");
}

TEST(ReadGangs, LeavesOutWhatIsNoJob) {
  wire::Heartbeat beat;
  beat.add_gangs()->set_job("../../etc");
  beat.add_gangs()->set_job(JobId(5).ToString());
  const auto gangs = ReadGangs(beat.gangs());
  ASSERT_EQ(gangs.size(), 1U);
  EXPECT_EQ(gangs[0].job, JobId(5));
}

TEST(ReadEnded, BoundsTextsAndKeepsNumbersOnlyInMetrics) {
  wire::GangReport report;
  auto* ended = report.mutable_ended();
  ended->set_outcome(wire::GangEnded::FAILED);
  ended->set_reason("gremlins");
  std::string text(8191, 'x');
  ended->set_message(text + "é" + std::string(100000, 'y'));
  core::ReportEnded input = ReadEnded(report, NodeId(1), JobId(2));
  EXPECT_EQ(input.reason, spec::FailureReason::kInternal);
  EXPECT_EQ(input.message, text + "…");
  ended->set_outcome(wire::GangEnded::SUCCEEDED);
  ended->set_metrics_json(R"({"accuracy": 0.5, "note": "x", "list": [1]})");
  EXPECT_EQ(ReadEnded(report, NodeId(1), JobId(2)).metrics_json, R"({"accuracy":0.5})");
  ended->set_metrics_json("[");
  EXPECT_EQ(ReadEnded(report, NodeId(1), JobId(2)).metrics_json, "{}");
}

TEST(ReadEnded, AnOutcomeOfALaterVersionIsAFailure) {
  wire::GangReport report;
  report.mutable_ended()->set_outcome(static_cast<wire::GangEnded::Outcome>(77));
  EXPECT_EQ(ReadEnded(report, NodeId(1), JobId(2)).outcome, core::GangOutcome::kFailed);
}

TEST(ParseWorkerFrame, RefusesWhatIsEmptyOrNestedOrCut) {
  wire::ToCoordinator message;
  message.set_session(1);
  message.mutable_heartbeat()->set_memory_used_bytes(5);
  const std::string good = message.SerializeAsString();
  EXPECT_TRUE(ParseWorkerFrame(good));
  EXPECT_FALSE(ParseWorkerFrame(""));
  EXPECT_FALSE(ParseWorkerFrame(good.substr(0, good.size() - 1)));
  EXPECT_FALSE(ParseWorkerFrame(good + '\x07'));
  message.clear_body();
  EXPECT_FALSE(ParseWorkerFrame(message.SerializeAsString()));
  std::string nested;
  for (int i = 0; i < 1000; ++i) nested = "\x0b" + nested + "\x0c";
  EXPECT_FALSE(ParseWorkerFrame(nested));
}

TEST(ParseWorkerFrame, BoundsWhatListsTakeInMemoryAndNotText) {
  wire::ToCoordinator text;
  text.mutable_log_chunk()->set_data(std::string(8 << 20, 'x'));
  EXPECT_TRUE(ParseWorkerFrame(text.SerializeAsString()));
  wire::ToCoordinator lists;
  for (int i = 0; i < 400'000; ++i) lists.mutable_heartbeat()->add_gangs();
  const auto most = ParseWorkerFrame(lists.SerializeAsString());
  ASSERT_TRUE(most);
  EXPECT_LE(most->SpaceUsedLong(), std::size_t{64} << 20);
  for (int i = 0; i < 400'000; ++i) lists.mutable_heartbeat()->add_gangs();
  EXPECT_FALSE(ParseWorkerFrame(lists.SerializeAsString()));
  // In pieces, which a parser puts together.
  wire::ToCoordinator piece;
  for (int i = 0; i < 400'000; ++i) piece.mutable_heartbeat()->add_gangs();
  EXPECT_FALSE(ParseWorkerFrame(piece.SerializeAsString() + piece.SerializeAsString()));
  // A field of a later version.
  wire::ToWorker other;
  other.mutable_fence_done()->set_data(std::string(2 << 20, 'x'));
  EXPECT_FALSE(ParseWorkerFrame(text.SerializeAsString() + other.SerializeAsString()));
}

}  // namespace
}  // namespace tutti::coordinator
