#include "worker/engine/tools.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <nlohmann/json.hpp>
#include <sstream>
#include <string>
#include <vector>

#include "tests/worker/engine/rank_process.h"
#include "worker/engine/exit_codes.h"

namespace tutti::engine {
namespace {

namespace fs = std::filesystem;
using finetune::SmallJob;
using finetune::WriteText;
using nlohmann::json;
using testing::ElementsAre;
using testing::HasSubstr;

struct Answer {
  int status = -1;
  json body;
};

Answer Ask(const SmallJob& job, const std::string& tool, const std::string& request) {
  const auto path = job.root / "request.json";
  WriteText(path, request);
  const Outcome outcome = RunEngine({tool, "--request", path});
  return {.status = outcome.status, .body = json::parse(outcome.out, nullptr, false)};
}

json InspectRequest(const SmallJob& job, const spec::JobSpec& spec) {
  return {{"spec", spec::ToJson(spec)},
          {"model_dir", job.model_dir()},
          {"train_path", job.train_path()},
          {"eval_path", job.eval_path()},
          {"cache_dir", job.root / "cache"}};
}

// A model tuned by the real program.
json Tune(const SmallJob& job, const spec::JobSpec& spec, std::int64_t* peak_bytes = nullptr) {
  RankProcess rank;
  rank.Send(PlanOf(job, spec));
  const auto done = rank.Await<enginelink::Done>();
  EXPECT_EQ(rank.Wait(), kExitOk);
  if (peak_bytes != nullptr) *peak_bytes = rank.memory_peak_bytes();
  return done ? json(done->metrics) : json();
}

TEST(Inspect, TellsWhatTrainingWillDo) {
  const SmallJob job("inspect");
  const Answer answer = Ask(job, "inspect", InspectRequest(job, SmallJob::Spec()).dump());
  ASSERT_EQ(answer.status, kExitOk) << answer.body;
  const json& estimate = answer.body.at("estimate");
  EXPECT_EQ(estimate.at("rows"), finetune::kTrainRows);
  EXPECT_EQ(estimate.at("eval_rows"), finetune::kEvalRows);
  EXPECT_EQ(estimate.at("total_steps"), 12);
  EXPECT_GT(estimate.at("tokens"), 5 * finetune::kTrainRows);
  EXPECT_GT(estimate.at("parameters"), 128'000);
  EXPECT_GT(estimate.at("duration_ms"), 0);
  EXPECT_EQ(estimate.at("disk_bytes"),
            estimate.at("parameters").get<std::int64_t>() * (4 * 12 + 4));
  EXPECT_EQ(answer.body.at("labels"), json({"a", "b", "c"}));
  EXPECT_EQ(answer.body.at("warnings"), json::array());
  std::int64_t rows = 0, last = 0;
  for (const json& bucket : answer.body.at("length_histogram")) {
    EXPECT_GT(bucket.at("up_to").get<std::int64_t>(), last);
    last = bucket.at("up_to");
    rows += bucket.at("rows").get<std::int64_t>();
  }
  EXPECT_EQ(rows, finetune::kTrainRows);
  EXPECT_LE(last, 32);
}

// The shipped model and data, so that the process is no larger than what is predicted of it.
TEST(Inspect, PredictsTheMemoryOfARank) {
  const SmallJob job("memory");
  spec::JobSpec spec = SmallJob::Spec();
  spec.training.max_steps = 6;
  spec.training.micro_batch_size = 8;
  spec.training.global_batch_size = 32;
  spec.data.max_length = 128;
  json request = InspectRequest(job, spec);
  const std::filesystem::path examples = "jobs/examples";
  request["model_dir"] = examples / "models/bert-tiny";
  request["train_path"] = examples / "data/sections.train.jsonl";
  request["eval_path"] = examples / "data/sections.eval.jsonl";
  const Answer answer = Ask(job, "inspect", request.dump());
  ASSERT_EQ(answer.status, kExitOk) << answer.body;
  const double predicted = answer.body.at("estimate").at("memory_bytes_per_rank");

  enginelink::Plan plan = PlanOf(job, spec);
  plan.model_dir = request["model_dir"];
  plan.train_path = request["train_path"];
  plan.eval_path = request["eval_path"];
  RankProcess rank;
  rank.Send(plan);
  EXPECT_TRUE(rank.Await<enginelink::Done>().has_value());
  EXPECT_EQ(rank.Wait(), kExitOk);
  const auto measured = static_cast<double>(rank.memory_peak_bytes());
  std::cout << "predicted " << predicted / (1 << 20) << " MiB, measured " << measured / (1 << 20)
            << " MiB\n";
  EXPECT_NEAR(predicted / measured, 1.0, 0.25);
}

TEST(Inspect, BaseWeightsThatAreNotFiniteAreRefused) {
  const SmallJob job("infinite");
  auto weights = ReadFile(job.model_dir() / "model.safetensors");
  ASSERT_TRUE(weights.has_value());
  const float infinite = std::numeric_limits<float>::infinity();
  std::memcpy(weights->data() + weights->size() - sizeof infinite, &infinite, sizeof infinite);
  WriteText(job.model_dir() / "model.safetensors", *weights);
  const Answer answer = Ask(job, "inspect", InspectRequest(job, SmallJob::Spec()).dump());
  EXPECT_EQ(answer.status, kExitData);
  EXPECT_EQ(answer.body.at("error").at("code"), "invalid");
}

TEST(Inspect, ABadRowHasItsFileAndLine) {
  const SmallJob job("inspect-row");
  std::ofstream(job.train_path(), std::ios::app) << "{\"text\": \"no label\"}\n";
  const Answer answer = Ask(job, "inspect", InspectRequest(job, SmallJob::Spec()).dump());
  EXPECT_EQ(answer.status, kExitData);
  const json& error = answer.body.at("error");
  EXPECT_THAT(error.at("where").get<std::string>() + error.at("message").get<std::string>(),
              HasSubstr("rows.train.jsonl:51"));
}

TEST(Tools, RequestsThatAreWrongSayWhere) {
  const SmallJob job("requests");
  const auto error_of = [&](const std::string& tool, const std::string& request) {
    const Answer answer = Ask(job, tool, request);
    EXPECT_EQ(answer.status, kExitData) << request;
    return answer.body.is_object() ? answer.body.value("error", json::object()) : json::object();
  };
  EXPECT_THAT(error_of("try", "not JSON").value("message", ""), HasSubstr("JSON object"));
  EXPECT_EQ(error_of("try", "{}").value("where", ""), "#/model_dir");
  EXPECT_EQ(error_of("try", R"({"model_dir": "x", "texts": [1]})").value("where", ""), "#/texts");
  EXPECT_EQ(error_of("try", R"({"model_dir": "x", "texts": [], "top_k": 0})").value("where", ""),
            "#/top_k");
  EXPECT_EQ(error_of("inspect", "{}").value("where", ""), "#/spec");
  EXPECT_EQ(error_of("eval", R"({"model_dir": "x"})").value("where", ""), "#/data_path");
  EXPECT_EQ(error_of("try", R"({"model_dir": "/nowhere", "texts": []})").value("code", ""),
            "not_found");
  EXPECT_EQ(RunEngine({"inspect", "--request", "/nowhere"}).status, kExitData);
  EXPECT_EQ(RunEngine({"inspect"}).status, kExitUsage);
  EXPECT_EQ(RunEngine({"try"}).status, kExitUsage);
  EXPECT_EQ(RunEngine({"eval", "--model", "x"}).status, kExitUsage);
}

TEST(Tools, AModelWithoutATrainedHeadIsRefused) {
  const SmallJob job("headless");
  const Answer answer =
      Ask(job, "try", json{{"model_dir", job.model_dir()}, {"texts", {"w1"}}}.dump());
  EXPECT_EQ(answer.status, kExitData);
  EXPECT_THAT(answer.body.at("error").at("message").get<std::string>(),
              HasSubstr("classifier.weight"));
}

TEST(Tools, TryAndEvalAnswerForATunedModel) {
  const SmallJob job("tuned");
  const json metrics = Tune(job, SmallJob::Spec());
  const std::string model = job.root / "export";

  const Answer tried =
      Ask(job, "try", json{{"model_dir", model}, {"texts", {"w1 w2 w3", ""}}}.dump());
  ASSERT_EQ(tried.status, kExitOk) << tried.body;
  ASSERT_EQ(tried.body.at("results").size(), 2u);
  for (const json& scores : tried.body.at("results")) {
    ASSERT_EQ(scores.size(), 3u);
    double sum = 0, before = 1;
    for (const json& one : scores) {
      EXPECT_LE(one.at("score"), before);
      before = one.at("score");
      sum += before;
    }
    EXPECT_NEAR(sum, 1, 1e-9);
  }
  const Outcome by_hand =
      RunEngine({"try", "--model", model, "--json", "--top-k", "1"}, {.input = "w1 w2 w3\n"});
  ASSERT_EQ(by_hand.status, kExitOk) << by_hand.err;
  EXPECT_EQ(json::parse(by_hand.out)["results"][0][0], tried.body["results"][0][0]);
  EXPECT_THAT(RunEngine({"try", "--model", model, "w1"}).out, HasSubstr(" %  "));

  const Answer evaluated =
      Ask(job, "eval", json{{"model_dir", model}, {"data_path", job.eval_path()}}.dump());
  ASSERT_EQ(evaluated.status, kExitOk) << evaluated.body;
  EXPECT_EQ(evaluated.body.at("rows"), finetune::kEvalRows);
  EXPECT_EQ(evaluated.body.at("accuracy"), metrics.at("accuracy"));
  EXPECT_EQ(evaluated.body.at("macro_f1"), metrics.at("macro_f1"));
  EXPECT_NEAR(evaluated.body.at("loss"), metrics.at("loss").get<double>(), 1e-6);
}

TEST(Tools, TryThatStreamsSaysAllOfItsTextInPiecesBeforeTheAnswer) {
  const SmallJob job("stream");
  const auto path = job.root / "request.json";
  const json request = {
      {"model_dir", fs::absolute("jobs/examples/models/gpt2-tiny")},
      {"texts", {"Package: café", "Package: games-日本"}},
      {"stream", true},
      {"generation", {{"max_new_tokens", 24}, {"seed", 3}, {"temperature", 3.0}}}};
  WriteText(path, request.dump());
  const Outcome outcome = RunEngine({"try", "--request", path});
  ASSERT_EQ(outcome.status, kExitOk) << outcome.out << outcome.err;
  std::istringstream lines(outcome.out);
  std::vector<std::string> texts(2);
  json answer;
  std::size_t pieces = 0;
  for (std::string line; std::getline(lines, line);) {
    ASSERT_TRUE(answer.is_null()) << "after the answer: " << line;
    const json object = json::parse(line);
    if (!line.starts_with(R"({"piece":)")) {
      answer = object;
      continue;
    }
    ++pieces;
    texts.at(object["piece"]["answer"]) += object["piece"]["text"];
  }
  EXPECT_GT(pieces, 10U);
  ASSERT_TRUE(answer.is_object());
  for (std::size_t i = 0; i < 2; ++i) EXPECT_EQ(answer["results"][i][0]["text"], texts[i]);
}

TEST(Tools, EvalGivesAnUntunedBaseANewHead) {
  const SmallJob job("fresh");
  const std::vector<std::string> words = {"eval",   "--model",       job.model_dir(),
                                          "--data", job.eval_path(), "--json"};
  EXPECT_EQ(RunEngine(words).status, kExitData);
  std::vector<std::string> fresh = words;
  fresh.emplace_back("--fresh-head");
  const Outcome outcome = RunEngine(fresh);
  ASSERT_EQ(outcome.status, kExitOk) << outcome.err;
  const json metrics = json::parse(outcome.out);
  EXPECT_NEAR(metrics.at("loss"), std::log(3), 0.3);
  EXPECT_EQ(metrics.at("rows"), finetune::kEvalRows);
}

TEST(Tools, ColumnsAndLengthOfTheSpecCount) {
  const SmallJob job("columns");
  Tune(job, SmallJob::Spec());
  WriteText(job.eval_path(), R"({"body": "w1 w2 w3 w4 w5 w6", "class": "a"})"
                             "\n");
  const json request = {
      {"model_dir", job.root / "export"},
      {"data_path", job.eval_path()},
      {"spec",
       {{"data", {{"columns", {{"text", "body"}, {"label", "class"}}}, {"max_length", 4}}}}}};
  const Answer answer = Ask(job, "eval", request.dump());
  EXPECT_EQ(answer.status, kExitOk) << answer.body;
  json wrong = request;
  wrong["spec"]["data"]["columns"]["text"] = "nowhere";
  EXPECT_EQ(Ask(job, "eval", wrong.dump()).status, kExitData);
}

}  // namespace
}  // namespace tutti::engine
