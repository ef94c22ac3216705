#include "worker/finetune/eval_samples.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <fstream>

#include "tests/worker/finetune/small_gpt2.h"
#include "tests/worker/finetune/trainers.h"

namespace tutti::finetune {
namespace {

using ::testing::Each;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::SizeIs;
using ::testing::StartsWith;

class EvalSamples : public testing::Test {
 protected:
  EvalSamples() : trainers_(testing::UnitTest::GetInstance()->current_test_info()->name()) {
    WriteGpt2(trainers_.job().model_dir());
    WritePairs(trainers_.job().train_path(), kTrainRows, 1);
    WritePairs(trainers_.job().eval_path(), kEvalRows, 2);
    trainers_.spec.task = spec::Task::kTextGeneration;
  }
  void WriteEval(const std::vector<nlohmann::json>& rows) {
    std::ofstream out(trainers_.job().eval_path());
    for (const auto& row : rows) out << row << "\n";
  }
  std::vector<SampledRow> Rows() {
    job_ = PrepareJob(trainers_.job().Inputs(trainers_.spec));
    if (!job_) {
      ADD_FAILURE() << job_.error().ToString();
      return {};
    }
    auto rows = SampledRows(*job_);
    EXPECT_TRUE(rows.has_value()) << rows.error().ToString();
    return rows ? std::move(*rows) : std::vector<SampledRow>();
  }
  static std::string Words(int count) {
    std::string words;
    for (int i = 0; i < count; ++i) words += (i == 0 ? "w" : " w") + std::to_string(i);
    return words;
  }

  Trainers trainers_;
  Result<Job> job_ = Fail(ErrorCode::kInternal, "not prepared");
};

TEST_F(EvalSamples, AreOfTheFirstPromptsThatLeaveRoomForAnAnswer) {
  WriteEval({{{"prompt", "w1 w2"}, {"completion", " w3 w4"}},
             {{"prompt", Words(40)}, {"completion", " w1"}},
             {{"prompt", "w5"}, {"completion", " w6"}},
             {{"prompt", "w7"}, {"completion", " w8"}}});
  trainers_.spec.evaluation.samples = 2;
  const auto rows = Rows();
  ASSERT_THAT(rows, SizeIs(2));
  EXPECT_EQ(rows[0].prompt_text, "w1 w2");
  EXPECT_EQ(rows[0].expected, "w3 w4");
  EXPECT_EQ(rows[1].prompt_text, "w5");
  EXPECT_EQ(rows[1].expected, "w6");
  // 2 layers of keys and values, each 64 floats a token; 32 positions.
  EXPECT_EQ(CacheFloats(*job_, rows), 2 * 2 * 64 * 32);
  trainers_.spec.evaluation.max_new_tokens = 3;
  EXPECT_EQ(CacheFloats(*PrepareJob(trainers_.job().Inputs(trainers_.spec)), {}), 0);
  const auto short_rows = Rows();
  EXPECT_EQ(CacheFloats(*job_, short_rows),
            2 * 2 * 64 * (static_cast<std::int64_t>(short_rows[0].prompt.size()) + 3));
}

TEST_F(EvalSamples, AreTheFirstHalfOfATextThatHasNoPrompt) {
  for (const auto& path : {trainers_.job().train_path(), trainers_.job().eval_path()}) {
    std::ofstream(path) << nlohmann::json{{"text", "w1 w2 w3 w4 w5 w6"}} << "\n";
  }
  const auto rows = Rows();
  ASSERT_THAT(rows, SizeIs(1));
  EXPECT_THAT(rows[0].prompt_text, StartsWith("w1 w2"));
  EXPECT_EQ(rows[0].prompt_text + " " + rows[0].expected, "w1 w2 w3 w4 w5 w6");
}

TEST_F(EvalSamples, ThereAreNoneWhereNoneAreWantedAndAWarningWhereNoneAreLeft) {
  trainers_.spec.evaluation.samples = 0;
  EXPECT_THAT(Rows(), IsEmpty());
  EXPECT_THAT(job_->warnings, Each(testing::Not(HasSubstr("none is sampled"))));
  trainers_.spec.evaluation.samples.reset();
  EXPECT_THAT(Rows(), SizeIs(3));
  WriteEval({{{"prompt", Words(29)}, {"completion", " w1 w2 w3 w4 w5 w6"}},
             {{"prompt", Words(40)}, {"completion", " w1"}}});
  EXPECT_THAT(Rows(), SizeIs(1));
  trainers_.spec.data.eval.reset();
  EXPECT_THAT(Rows(), IsEmpty());
  const SmallJob classifier("classes");
  const auto job = PrepareJob(classifier.Inputs(SmallJob::Spec()));
  ASSERT_TRUE(job.has_value()) << job.error().ToString();
  EXPECT_THAT(*SampledRows(*job), IsEmpty());
}

TEST_F(EvalSamples, AreTheSameAtAnySizeAndChangeNoWeight) {
  trainers_.spec.evaluation.samples = 5;
  trainers_.spec.evaluation.max_new_tokens = 6;
  trainers_.spec.training.num_train_epochs = 20;
  trainers_.spec.training.eval_steps = 26;
  const Ended one = trainers_.Train({.size = 1, .name = "one"});
  ASSERT_THAT(one.statuses, Each(kFinished)) << one.error;
  const auto evals = one.All<enginelink::Eval>();
  ASSERT_GT(evals.size(), 2U);
  for (const enginelink::Eval& eval : evals) ASSERT_THAT(eval.samples, SizeIs(5));
  const auto answers = [](const enginelink::Eval& eval) {
    std::string all;
    for (const enginelink::EvalSample& sample : eval.samples) all += sample.answer + "|";
    return all;
  };
  EXPECT_NE(answers(evals.back()), answers(evals.front())) << "the model has learned";
  EXPECT_THAT(answers(evals.back()), HasSubstr("w"));
  EXPECT_THAT(evals.back().samples[0].prompt, StartsWith("w"));
  for (const std::uint32_t size : {2u, 4u}) {
    const Ended other = trainers_.Train({.size = size, .name = "of-" + std::to_string(size)});
    ASSERT_THAT(other.statuses, Each(kFinished)) << other.error;
    const auto others = other.All<enginelink::Eval>();
    ASSERT_EQ(others.size(), evals.size());
    for (std::size_t i = 0; i < evals.size(); ++i) {
      EXPECT_EQ(enginelink::Encode(enginelink::ToWorker(others[i])),
                enginelink::Encode(enginelink::ToWorker(evals[i])));
    }
  }
  const std::string digest = SpecDigest(trainers_.spec);
  trainers_.spec.evaluation = {.samples = 0};
  EXPECT_EQ(SpecDigest(trainers_.spec), digest) << "a checkpoint serves both";
  const Ended silent = trainers_.Train({.size = 1, .name = "silent"});
  EXPECT_EQ(silent.weights, one.weights);
  EXPECT_THAT(silent.All<enginelink::Eval>().back().samples, IsEmpty());
}

TEST_F(EvalSamples, LongTextsAreCutBetweenCharacters) {
  std::string word;
  for (int i = 0; i < 500; ++i) word += "é";
  const fs::path path = trainers_.job().model_dir() / "tokenizer.json";
  auto tokenizer = nlohmann::json::parse(std::ifstream(path));
  tokenizer["model"]["vocab"][word] = tokenizer["model"]["vocab"]["w1999"];
  tokenizer["model"]["vocab"].erase("w1999");
  WriteText(path, tokenizer.dump());
  const std::string three = word + " " + word + " " + word;
  WriteEval({{{"prompt", three}, {"completion", " " + three}}});
  const auto rows = Rows();
  ASSERT_THAT(rows, SizeIs(1));
  EXPECT_EQ(rows[0].expected, three.substr(0, 1999) + "…");
  EXPECT_EQ(rows[0].prompt_text, "…" + three.substr(three.size() - 1999));
}

}  // namespace
}  // namespace tutti::finetune
