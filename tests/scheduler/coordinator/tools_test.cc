#include "scheduler/coordinator/tools.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <filesystem>
#include <future>
#include <set>

namespace tutti::coordinator {
namespace {

namespace fs = std::filesystem;
using namespace std::chrono_literals;
using nlohmann::json;

// Tools need a round to say what they found: a loop on a store of its own provides one.
class ToolsTest : public testing::Test {
 protected:
  fs::path directory = fs::path(testing::TempDir()) / ("tools-" + std::to_string(::getpid()));
  std::unique_ptr<Loop> loop;
  std::set<NodeId> connected = {NodeId(1), NodeId(2)};
  std::vector<std::pair<NodeId, wire::RunTool>> sent;
  std::vector<Result<json>> answers;
  std::vector<std::uint64_t> cancelled;
  std::vector<std::string> pieces;
  Tools tools{
      {.connected = [this] { return std::vector<NodeId>(connected.begin(), connected.end()); },
       .send =
           [this](NodeId node, const wire::ToWorker& message) {
             if (message.has_cancel_tool()) {
               cancelled.push_back(message.cancel_tool().request_id());
             } else {
               sent.emplace_back(node, message.run_tool());
             }
             return true;
           }},
      100};

  void SetUp() override {
    fs::remove_all(directory);
    fs::create_directories(directory);
    auto store = store::Store::Open(directory / "state.db");
    ASSERT_TRUE(store);
    loop = std::make_unique<Loop>(std::move(*store), LoopOptions{});
    ASSERT_TRUE(loop->Start({}, nullptr));
  }
  void TearDown() override {
    loop.reset();
    fs::remove_all(directory);
  }
  void InRound(const std::function<void(Round&)>& work) {
    std::promise<void> done;
    loop->Do([&](Round& round) {
      work(round);
      done.set_value();
    });
    done.get_future().get();
  }
  void Start(Duration deadline = 1min, std::optional<NodeId> on = std::nullopt) {
    ToolCall call{.tool = "try", .request = {{"texts", {"a"}}}, .files = {}, .deadline = deadline};
    tools.Start(call, on, MonotonicNow(),
                [this](Round&, const Result<json>& answer) { answers.push_back(answer); });
  }
  std::uint64_t StartStream() {
    ToolCall call{.tool = "try", .request = {{"texts", {"a"}}}, .files = {}};
    call.on_piece = [this](const json& piece) { pieces.push_back(piece.at("piece")); };
    return tools.Start(std::move(call), std::nullopt, MonotonicNow(),
                       [this](Round&, const Result<json>& answer) { answers.push_back(answer); });
  }
  void Say(std::size_t which, std::uint64_t sequence, const std::string& text) {
    wire::ToolOutput output;
    output.set_request_id(sent.at(which).second.request_id());
    output.set_sequence(sequence);
    for (const char letter : text) {
      output.add_json(json{{"piece", std::string(1, letter)}}.dump());
    }
    tools.Hear(sent.at(which).first, output);
  }
  void Tick() {
    InRound([this](Round& round) { tools.Tick(round); });
  }
  void Answer(std::size_t which, bool ok, const json& what) {
    wire::ToolResult result;
    result.set_request_id(sent.at(which).second.request_id());
    result.set_ok(ok);
    result.set_json(what.dump());
    InRound([&](Round& round) { tools.Answer(round, sent.at(which).first, result); });
  }
};

TEST_F(ToolsTest, PiecesAreHeardInOrderUpToTheFirstThatIsMissing) {
  StartStream();
  ASSERT_TRUE(sent.at(0).second.stream());
  Say(0, 1, "a");
  Say(0, 2, "bc");
  Say(0, 4, "e");
  Say(0, 5, "f");
  EXPECT_EQ(pieces, (std::vector<std::string>{"a", "b", "c"}));
  Answer(0, true, {{"results", {"abcdef"}}});
  EXPECT_EQ(answers.size(), 1U);
  Say(0, 6, "g");
  EXPECT_EQ(pieces.size(), 3U);
}

TEST_F(ToolsTest, WhatWasHeardInPartIsAskedOfNobodyElse) {
  StartStream();
  Say(0, 1, "a");
  tools.WorkerGone(sent[0].first);
  Tick();
  EXPECT_EQ(sent.size(), 1U);
  ASSERT_EQ(answers.size(), 1U);
  EXPECT_EQ(answers[0].error().code, ErrorCode::kUnavailable);
  StartStream();
  Answer(1, false, {{"code", "internal"}, {"message", "no zygote"}});
  EXPECT_EQ(sent.size(), 3U);
}

TEST_F(ToolsTest, ACancelledCallIsEndedAndNeverAnswered) {
  const std::uint64_t id = StartStream();
  tools.Cancel(id);
  tools.Cancel(id);
  EXPECT_EQ(cancelled, std::vector<std::uint64_t>{id});
  Say(0, 1, "a");
  Answer(0, true, {{"results", {"a"}}});
  Tick();
  EXPECT_TRUE(answers.empty());
  EXPECT_TRUE(pieces.empty());
}

TEST_F(ToolsTest, AnAnswerComesOnce) {
  Start();
  ASSERT_EQ(sent.size(), 1U);
  Answer(0, true, {{"results", {1}}});
  Answer(0, true, {{"results", {2}}});
  ASSERT_EQ(answers.size(), 1U);
  EXPECT_EQ((*answers[0])["results"][0], 1);
}

TEST_F(ToolsTest, CallsSpreadOverWorkersAndWaitWhenAllAreBusy) {
  for (int i = 0; i < 9; ++i) Start();
  EXPECT_EQ(sent.size(), 8U);
  EXPECT_EQ(std::count_if(sent.begin(), sent.end(),
                          [](const auto& each) { return each.first == NodeId(1); }),
            4);
  Answer(0, true, {{"x", 1}});
  Tick();
  EXPECT_EQ(sent.size(), 9U);
}

TEST_F(ToolsTest, AWorkerThatBreaksOrGoesIsReplacedByAnother) {
  Start();
  Answer(0, false, {{"code", "internal"}, {"message", "no zygote"}});
  ASSERT_EQ(sent.size(), 2U);
  EXPECT_NE(sent[0].first, sent[1].first);
  tools.WorkerGone(sent[1].first);
  connected.erase(sent[1].first);
  Tick();
  ASSERT_EQ(answers.size(), 1U);
  EXPECT_EQ(answers[0].error().code, ErrorCode::kUnavailable);
}

TEST_F(ToolsTest, TheInputsFaultIsNotAskedTwice) {
  Start();
  Answer(0, false, {{"error", {{"code", "invalid"}, {"message", "bad"}, {"where", "f:2"}}}});
  EXPECT_EQ(sent.size(), 1U);
  ASSERT_EQ(answers.size(), 1U);
  EXPECT_EQ(answers[0].error(), (Error{ErrorCode::kInvalid, "bad", "f:2", ""}));
}

TEST_F(ToolsTest, NoWorkerAndLateAnswersAreErrors) {
  connected.clear();
  Start();
  Tick();
  ASSERT_EQ(answers.size(), 1U);
  EXPECT_EQ(answers[0].error().code, ErrorCode::kUnavailable);
  connected = {NodeId(1)};
  Start(0ns);
  Tick();
  ASSERT_EQ(answers.size(), 2U);
  EXPECT_EQ(answers[1].error().code, ErrorCode::kTimeout);
  Answer(0, true, {{"x", 1}});
  EXPECT_EQ(answers.size(), 2U);
}

TEST_F(ToolsTest, ACallForOneWorkerGoesToNoOther) {
  Start(1min, NodeId(2));
  ASSERT_EQ(sent.size(), 1U);
  EXPECT_EQ(sent[0].first, NodeId(2));
  Answer(0, false, {{"code", "io"}, {"message", "m"}});
  EXPECT_EQ(sent.size(), 1U);
  ASSERT_EQ(answers.size(), 1U);
  EXPECT_EQ(answers[0].error().message, "m");
}

TEST_F(ToolsTest, AnAnswerThatIsNoObjectIsTheWorkersFault) {
  Start(1min, NodeId(1));
  Answer(0, true, json::array());
  ASSERT_EQ(answers.size(), 1U);
  EXPECT_EQ(answers[0].error().code, ErrorCode::kInternal);
}

}  // namespace
}  // namespace tutti::coordinator
