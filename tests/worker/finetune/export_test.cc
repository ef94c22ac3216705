#include "worker/finetune/export.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>

#include "common/file/file.h"
#include "tests/worker/finetune/trainers.h"
#include "worker/model/load.h"

namespace tutti::finetune {
namespace {

using testing::Each;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::Not;

TEST(Export, ItsWeightsAreThoseThatWereTrained) {
  Trainers trainers("export");
  const Ended ended = trainers.Train({.size = 2});
  ASSERT_THAT(ended.statuses, Each(kFinished)) << ended.error;
  const fs::path folder = trainers.ExportOf("run");
  std::vector<std::string> names;
  for (const auto& entry : fs::directory_iterator(folder)) names.push_back(entry.path().filename());
  std::sort(names.begin(), names.end());
  EXPECT_THAT(names, ElementsAre("README.md", "config.json", "model.safetensors", "tokenizer.json",
                                 "tokenizer_config.json"));

  const auto config = model::ReadModelConfig(folder);
  ASSERT_TRUE(config.has_value()) << config.error().ToString();
  EXPECT_THAT(config->architectures, ElementsAre("BertForSequenceClassification"));
  EXPECT_THAT(config->labels, ElementsAre("a", "b", "c"));
  auto model = model::MakeModel(*config);
  ASSERT_TRUE(model.has_value());
  std::vector<float> weights(static_cast<std::size_t>((*model)->layout().total()));
  const auto loaded = model::LoadWeights(**model, folder, 0, weights);
  ASSERT_TRUE(loaded.has_value()) << loaded.error().ToString();
  EXPECT_TRUE(loaded->fresh.empty());
  EXPECT_EQ(DigestOf(weights), ended.weights);
  for (const char* name : {"tokenizer.json", "tokenizer_config.json"}) {
    EXPECT_EQ(ReadFile(folder / name), ReadFile(trainers.job().model_dir() / name));
  }
}

TEST(Export, TheSameWeightsGiveTheSameFile) {
  Trainers trainers("same");
  trainers.spec.training.max_steps = 3;
  trainers.Train({.size = 1, .name = "one"});
  trainers.Train({.size = 4, .name = "four"});
  const auto one = ReadFile(trainers.ExportOf("one") / "model.safetensors");
  const auto four = ReadFile(trainers.ExportOf("four") / "model.safetensors");
  ASSERT_TRUE(one && four);
  EXPECT_EQ(*one, *four);
}

TEST(Export, TheCardSaysWhatTheModelIs) {
  const SmallJob small("card");
  spec::JobSpec spec = SmallJob::Spec();
  spec.model = "org/odd\"name`";
  const auto job = PrepareJob(small.Inputs(spec));
  ASSERT_TRUE(job.has_value()) << job.error().ToString();
  const std::string card =
      ModelCard({.job = *job, .metrics = {{"accuracy", 0.75}, {"loss", 0.5}}, .step = 12});
  EXPECT_TRUE(card.starts_with("---\nlibrary_name: transformers\n"));
  EXPECT_THAT(card, HasSubstr("pipeline_tag: text-classification\n"));
  EXPECT_THAT(card, HasSubstr(R"(base_model: "org/odd\"name`")"));
  EXPECT_THAT(card, HasSubstr("| accuracy | 0.7500 |"));
  EXPECT_THAT(card, HasSubstr("`rows.train.jsonl`"));
  EXPECT_THAT(card, HasSubstr("- `a`\n- `b`\n- `c`\n"));
  EXPECT_THAT(card, HasSubstr("pipeline(\"text-classification\""));
  EXPECT_THAT(ModelCard({.job = *job}), Not(HasSubstr("## Evaluation")));
}

}  // namespace
}  // namespace tutti::finetune
