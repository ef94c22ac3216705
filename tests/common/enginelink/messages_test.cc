#include "common/enginelink/messages.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>

namespace tutti::enginelink {
namespace {

using nlohmann::json;

Plan SomePlan() {
  Plan plan;
  plan.job = "j-0k3v9x2m";
  plan.attempt = 2;
  plan.spec = {{"name", "sections"}, {"training", {{"shards", 4}}}};
  plan.rank = 1;
  plan.size = 2;
  plan.local_rank = 1;
  plan.local_size = 2;
  plan.memory_fd = 4;
  plan.model_dir = "/in/bert";
  plan.train_path = "/in/train.jsonl";
  plan.eval_path = "/in/eval.jsonl";
  plan.checkpoint_dir = "/ck";
  plan.export_dir = "/out";
  plan.cache_dir = "/cache";
  plan.checkpoints = {{100, "/ck/step-00000100.a1.h5", "sha256:ab"}};
  plan.resume = true;
  plan.cpus_per_rank = 3;
  return plan;
}

// What Encode writes decodes to something that Encode writes the same way.
void ExpectSame(const ToEngine& message) {
  const std::string line = Encode(message);
  ASSERT_EQ(line.back(), '\n');
  const auto decoded = DecodeToEngine(std::string_view(line).substr(0, line.size() - 1));
  ASSERT_TRUE(decoded.has_value()) << decoded.error().ToString();
  EXPECT_EQ(decoded->index(), message.index());
  EXPECT_EQ(Encode(*decoded), line);
}
void ExpectSame(const ToWorker& message) {
  const std::string line = Encode(message);
  const auto decoded = DecodeToWorker(line);
  ASSERT_TRUE(decoded.has_value()) << decoded.error().ToString();
  EXPECT_EQ(decoded->index(), message.index());
  EXPECT_EQ(Encode(*decoded), line);
}

TEST(Messages, EveryMessageSurvivesTheLink) {
  ExpectSame(ToEngine(SomePlan()));
  ExpectSame(ToEngine(Stop{.checkpoint = false}));
  ExpectSame(ToEngine(CheckpointNow{}));
  ExpectSame(ToWorker(Ready{.rank = 3, .from_step = 100}));
  ExpectSame(ToWorker(Beat{.rank = 1, .step = 7, .collective = 21, .phase = "forward"}));
  ExpectSame(ToWorker(Progress{.step = 10,
                               .total_steps = 100,
                               .epoch = 0.5,
                               .loss = 1.25,
                               .learning_rate = 5e-5,
                               .grad_norm = 0.75,
                               .phase_seconds = {{"forward", 0.5}},
                               .reduced_bytes = {{"memory", 4096}},
                               .reduced_seconds = {{"memory", 0.25}},
                               .tokens_total = 1ull << 40}));
  ExpectSame(ToWorker(Eval{.step = 5, .metrics = {{"accuracy", 0.5}, {"loss", 1}}, .best = true}));
  ExpectSame(ToWorker(Eval{
      .step = 6,
      .samples = {{.prompt = "a?", .answer = "b\n\"c\"", .expected = "d", .ended = true}, {}}}));
  ExpectSame(ToWorker(Checkpoint{.step = 5,
                                 .path = "/a",
                                 .state_digest = "sha256:00",
                                 .size_bytes = 12,
                                 .write_seconds = 0.25,
                                 .best_step = 3,
                                 .keep = 2}));
  ExpectSame(ToWorker(Warning{"careful"}));
  ExpectSame(ToWorker(Done{.outcome = Done::Outcome::kReleased,
                           .step = 9,
                           .metrics = {{"loss", 2}},
                           .files = {"config.json"}}));
  ExpectSame(ToWorker(Failed{.rank = 1,
                             .reason = "numeric",
                             .message = "loss is nan",
                             .where = "layer",
                             .hint = "lower the rate",
                             .step = 3}));
}

TEST(Messages, FieldsKeepTheirValues) {
  const auto decoded = DecodeToEngine(Encode(ToEngine(SomePlan())));
  ASSERT_TRUE(decoded.has_value());
  const Plan& plan = std::get<Plan>(*decoded);
  EXPECT_EQ(plan.spec.at("training").at("shards"), 4);
  EXPECT_EQ(plan.eval_path, "/in/eval.jsonl");
  ASSERT_EQ(plan.checkpoints.size(), 1u);
  EXPECT_EQ(plan.checkpoints[0].step, 100u);
  EXPECT_EQ(plan.checkpoints[0].state_digest, "sha256:ab");
}

TEST(Messages, AnEvaluationWithoutSamplesDoesNotNameThem) {
  const std::string line = Encode(ToWorker(Eval{.step = 5}));
  EXPECT_FALSE(json::parse(line).contains("samples"));
  const auto wrong = DecodeToWorker(
      R"({"type":"eval","step":5,"metrics":{},"best":false,"samples":[{"prompt":"a"}]})");
  ASSERT_FALSE(wrong.has_value());
  EXPECT_THAT(wrong.error().message, testing::HasSubstr("answer is missing"));
}

TEST(Messages, ProgressFromBeforeSumsWereMeasuredIsRead) {
  const std::string line = Encode(ToWorker(Progress{.step = 7}));
  EXPECT_FALSE(json::parse(line).contains("reduced_bytes"));
  const auto decoded = DecodeToWorker(line);
  ASSERT_TRUE(decoded.has_value());
  EXPECT_EQ(std::get<Progress>(*decoded).step, 7u);
  json wrong = json::parse(line);
  wrong["reduced_bytes"] = 5;
  EXPECT_FALSE(DecodeToWorker(wrong.dump()).has_value());
}

TEST(Messages, AbsentOptionalStaysAbsent) {
  Plan plan = SomePlan();
  plan.eval_path.reset();
  const auto decoded = DecodeToEngine(Encode(ToEngine(plan)));
  ASSERT_TRUE(decoded.has_value());
  EXPECT_FALSE(std::get<Plan>(*decoded).eval_path.has_value());
}

TEST(Messages, NotANumberIsNullOnTheLink) {
  const std::string line = Encode(ToWorker(Progress{.loss = std::nan("")}));
  EXPECT_TRUE(json::parse(line).at("loss").is_null());
  const auto decoded = DecodeToWorker(line);
  ASSERT_TRUE(decoded.has_value());
  EXPECT_TRUE(std::isnan(std::get<Progress>(*decoded).loss));
}

TEST(Messages, UnknownKeysAreIgnoredAndEverythingElseRefused) {
  json object = json::parse(Encode(ToWorker(Ready{.rank = 1})));
  object["later"] = 1;
  EXPECT_TRUE(DecodeToWorker(object.dump()).has_value());

  const auto refused = [](const std::string& line) {
    const auto decoded = DecodeToWorker(line);
    EXPECT_FALSE(decoded.has_value()) << line;
    return decoded.has_value() ? std::string() : decoded.error().message;
  };
  refused("");
  refused("[1]");
  refused("{");
  refused(R"({"rank": 1})");
  refused(R"({"type": 3})");
  EXPECT_THAT(refused(R"({"type": "nonsense"})"), testing::HasSubstr("nonsense"));
  EXPECT_THAT(refused(R"({"type": "ready", "rank": 1})"), testing::HasSubstr("from_step"));
  EXPECT_THAT(refused(R"({"type": "ready", "rank": -1, "from_step": 0})"),
              testing::HasSubstr("rank is out of range"));
  EXPECT_THAT(refused(R"({"type": "ready", "rank": 1.5, "from_step": 0})"),
              testing::HasSubstr("rank"));
  EXPECT_THAT(refused(R"({"type": "ready", "rank": 4294967296, "from_step": 0})"),
              testing::HasSubstr("rank"));
  EXPECT_THAT(refused(R"({"type": "plan"})"), testing::HasSubstr("unknown message"));
  EXPECT_THAT(refused(R"({"type":"done","outcome":"maybe","step":0,"metrics":{},"files":[]})"),
              testing::HasSubstr("outcome"));
}

TEST(Messages, BytesThatAreNoUtf8AreReplaced) {
  const auto decoded = DecodeToWorker(Encode(ToWorker(Warning{"a\xff"})));
  ASSERT_TRUE(decoded.has_value());
  EXPECT_EQ(std::get<Warning>(*decoded).message, "a\xEF\xBF\xBD");
}

TEST(Messages, ZygotePacketsSurvive) {
  Spawn spawn{.id = 9,
              .arguments = {"train", "--link-fd", "{link}"},
              .environment = {{"OMPI_MCA_pml", "ob1"}},
              .fd_names = {"link", "memory"},
              .uid = 1000,
              .working_dir = "/run",
              .nice = 10,
              .memory_limit_bytes = 1ull << 33,
              .threads = 2};
  const auto decoded = DecodeSpawn(EncodePacket(spawn));
  ASSERT_TRUE(decoded.has_value()) << decoded.error().ToString();
  EXPECT_EQ(decoded->arguments, spawn.arguments);
  EXPECT_EQ(decoded->uid, 1000u);
  EXPECT_FALSE(decoded->gid.has_value());
  EXPECT_EQ(EncodePacket(*decoded), EncodePacket(spawn));

  const auto spawned = DecodeZygoteEvent(EncodePacket(Spawned{.id = 9, .pid = 77}));
  ASSERT_TRUE(spawned.has_value());
  EXPECT_EQ(std::get<Spawned>(*spawned).pid, 77);
  const auto exited = DecodeZygoteEvent(EncodePacket(Exited{.id = 9, .pid = 77, .wait_status = 9}));
  ASSERT_TRUE(exited.has_value());
  EXPECT_EQ(std::get<Exited>(*exited).wait_status, 9);
}

TEST(LineBuffer, CutsPiecesIntoLines) {
  LineBuffer buffer;
  ASSERT_TRUE(buffer.Append("one\ntw").has_value());
  EXPECT_EQ(buffer.Next(), "one");
  EXPECT_EQ(buffer.Next(), std::nullopt);
  ASSERT_TRUE(buffer.Append("o\n\nthree").has_value());
  EXPECT_EQ(buffer.Next(), "two");
  EXPECT_EQ(buffer.Next(), "");
  EXPECT_EQ(buffer.Next(), std::nullopt);
}

TEST(LineBuffer, RefusesALineWithoutEnd) {
  LineBuffer buffer;
  ASSERT_TRUE(buffer.Append(std::string(kMaxLineBytes, 'x')).has_value());
  const Status status = buffer.Append("x");
  ASSERT_FALSE(status.has_value());
  EXPECT_EQ(status.error().code, ErrorCode::kTooLarge);
}

}  // namespace
}  // namespace tutti::enginelink
