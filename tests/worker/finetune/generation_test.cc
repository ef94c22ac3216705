#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <fstream>
#include <string>

#include "tests/worker/finetune/small_gpt2.h"
#include "tests/worker/finetune/trainers.h"
#include "worker/finetune/export.h"
#include "worker/finetune/language.h"
#include "worker/model/adapter_files.h"
#include "worker/model/load.h"

namespace tutti::finetune {
namespace {

using ::testing::Each;
using ::testing::HasSubstr;
using ::testing::SizeIs;

class Generation : public testing::Test {
 protected:
  explicit Generation() : trainers_(testing::UnitTest::GetInstance()->current_test_info()->name()) {
    WriteGpt2(trainers_.job().model_dir());
    WritePairs(trainers_.job().train_path(), kTrainRows, 1);
    WritePairs(trainers_.job().eval_path(), kEvalRows, 2);
    trainers_.spec.task = spec::Task::kTextGeneration;
  }
  Result<Job> Prepare() { return PrepareJob(trainers_.job().Inputs(trainers_.spec)); }

  Trainers trainers_;
};

TEST_F(Generation, LossFallsAndTheMetricsAreOfTokens) {
  trainers_.spec.training.num_train_epochs = 20;
  const Ended ended = trainers_.Train({.size = 2});
  ASSERT_THAT(ended.statuses, Each(kFinished)) << ended.error;
  const auto progress = ended.All<enginelink::Progress>();
  EXPECT_LT(progress.back().loss, 0.7 * progress.front().loss);
  ASSERT_THAT(ended.metrics, SizeIs(3));
  EXPECT_DOUBLE_EQ(ended.metrics.at("perplexity"), std::exp(ended.metrics.at("loss")));
  EXPECT_GT(ended.metrics.at("token_accuracy"), 0.3);
}

TEST_F(Generation, AnySizeGivesTheSameBitsPackedOrNot) {
  for (const bool packing : {false, true}) {
    trainers_.spec.data.packing = packing;
    const std::string name = packing ? "packed" : "rows";
    const Ended one = trainers_.Train({.size = 1, .name = name + "1"});
    ASSERT_THAT(one.statuses, Each(kFinished)) << one.error;
    for (const std::uint32_t size : {2u, 4u}) {
      const Ended other = trainers_.Train({.size = size, .name = name + std::to_string(size)});
      ASSERT_THAT(other.statuses, Each(kFinished)) << other.error;
      EXPECT_EQ(other.weights, one.weights) << name << ", " << size << " ranks";
      EXPECT_EQ(other.metrics, one.metrics) << name << ", " << size << " ranks";
    }
  }
}

TEST_F(Generation, GradientCheckpointingChangesNoBit) {
  const auto digest = [&](const std::string& name, bool checkpointing) {
    trainers_.spec.training.gradient_checkpointing = checkpointing;
    const Ended ended = trainers_.Train(
        {.size = checkpointing ? 2u : 1u, .name = name + (checkpointing ? "+" : "")});
    EXPECT_THAT(ended.statuses, Each(kFinished)) << ended.error;
    return ended.weights;
  };
  EXPECT_EQ(digest("full", false), digest("full", true));
  trainers_.spec.data.packing = true;
  trainers_.spec.method = spec::LoraSpec{.r = 4, .lora_dropout = 0.1, .all_linear = true};
  EXPECT_EQ(digest("lora", false), digest("lora", true));
}

// Of full tuning and of an adapter, whose base lies in bfloat16 then.
TEST_F(Generation, Bf16FollowsFloat32WithTheSameBitsAtAnySizeAndAfterADeath) {
  for (const bool adapts : {false, true}) {
    if (adapts) trainers_.spec.method = spec::LoraSpec{.r = 4, .all_linear = true};
    const std::string name = adapts ? "adapter-" : "full-";
    trainers_.spec.training.bf16 = false;
    const Ended exact = trainers_.Train({.name = name + "exact"});
    trainers_.spec.training.bf16 = true;
    const Ended one = trainers_.Train({.name = name + "1"});
    ASSERT_THAT(one.statuses, Each(kFinished)) << one.error;
    EXPECT_NE(one.weights, exact.weights);
    const auto want = exact.All<enginelink::Progress>(), got = one.All<enginelink::Progress>();
    ASSERT_EQ(got.size(), want.size());
    for (std::size_t i = 0; i < want.size(); ++i) {
      EXPECT_NEAR(got[i].loss, want[i].loss, 0.01 * want[i].loss) << name << i;
    }
    for (const std::uint32_t size : {2u, 4u}) {
      const Ended other = trainers_.Train({.size = size, .name = name + std::to_string(size)});
      EXPECT_EQ(other.weights, one.weights) << name << size;
    }
    trainers_.Train({.size = 2, .script = {.kill_in_step = 7}, .name = name + "killed"});
    const Ended resumed =
        trainers_.Train({.size = 2, .attempt = 2, .resume = true, .name = name + "killed"});
    ASSERT_THAT(resumed.statuses, Each(kFinished)) << resumed.error;
    EXPECT_EQ(resumed.weights, one.weights) << name;
  }
}

TEST_F(Generation, AnAdaptersBaseTakesHalfTheRoomInBfloat16) {
  trainers_.spec.method = spec::LoraSpec{};
  const auto wide = Prepare();
  trainers_.spec.training.bf16 = true;
  const auto narrow = Prepare();
  ASSERT_TRUE(wide.has_value() && narrow.has_value());
  EXPECT_EQ(wide->frozen(), static_cast<std::uint64_t>(wide->model->base_layout().total()));
  EXPECT_EQ(narrow->frozen(), (wide->frozen() + 1) / 2);
  trainers_.spec.method = spec::FullMethod{};
  EXPECT_EQ(Prepare()->frozen(), 0u);
}

TEST_F(Generation, TheExportIsALanguageModelOfTheSameWeights) {
  const Ended ended = trainers_.Train({});
  ASSERT_THAT(ended.statuses, Each(kFinished)) << ended.error;
  const fs::path directory = trainers_.ExportOf("run");
  const auto config = model::ReadModelConfig(directory);
  ASSERT_TRUE(config.has_value()) << config.error().ToString();
  EXPECT_EQ(config->head, model::Head::kCausalLm);
  EXPECT_THAT(config->text, HasSubstr("\"torch_dtype\": \"float32\""));
  EXPECT_THAT(config->text, testing::Not(HasSubstr("problem_type")));
  EXPECT_TRUE(fs::exists(directory / "generation_config.json"));
  auto made = model::MakeModel(*config);
  ASSERT_TRUE(made.has_value());
  std::vector<float> values(static_cast<std::size_t>((*made)->layout().total()));
  ASSERT_TRUE(model::LoadWeights(**made, directory, 0, values).has_value());
  EXPECT_EQ(DigestOf(values), ended.weights);
}

TEST_F(Generation, PackingMakesFewerSamplesOfTheSameTokens) {
  const auto rows = Prepare();
  trainers_.spec.data.packing = true;
  const auto packed = Prepare();
  ASSERT_TRUE(rows.has_value() && packed.has_value());
  EXPECT_LT(packed->train.size(), rows->train.size() / 2);
  EXPECT_EQ(packed->train.rows.size(), rows->train.rows.size());
  EXPECT_EQ(packed->eval->size(), rows->eval->size());
}

TEST_F(Generation, RowsWithoutRoomForACompletionAreAWarningOrAnError) {
  trainers_.spec.data.max_length = 5;  // [CLS] two words [SEP], and one token
  EXPECT_TRUE(Prepare().has_value());
  trainers_.spec.data.max_length = 4;
  const auto none = Prepare();
  ASSERT_FALSE(none.has_value());
  EXPECT_THAT(none.error().message, HasSubstr("no row has a token to predict"));
}

TEST_F(Generation, AnAdapterHasTheSameBitsAtAnySizeAndAfterADeath) {
  trainers_.spec.method = spec::LoraSpec{
      .r = 4, .lora_alpha = 16, .lora_dropout = 0.1, .use_rslora = true, .all_linear = true};
  trainers_.spec.training.num_train_epochs = 6;
  trainers_.spec.training.learning_rate = 5e-3;
  const Ended one = trainers_.Train({.size = 1, .name = "one"});
  ASSERT_THAT(one.statuses, Each(kFinished)) << one.error;
  const auto progress = one.All<enginelink::Progress>();
  EXPECT_LT(progress.back().loss, progress.front().loss);
  for (const std::uint32_t size : {2u, 4u}) {
    const Ended other = trainers_.Train({.size = size, .name = "of-" + std::to_string(size)});
    ASSERT_THAT(other.statuses, Each(kFinished)) << other.error;
    EXPECT_EQ(other.weights, one.weights) << size << " ranks";
    EXPECT_EQ(other.metrics, one.metrics) << size << " ranks";
  }
  trainers_.Train({.size = 2, .script = {.kill_in_step = 5}, .name = "killed"});
  const Ended resumed =
      trainers_.Train({.size = 2, .attempt = 2, .resume = true, .name = "killed"});
  ASSERT_THAT(resumed.statuses, Each(kFinished)) << resumed.error;
  EXPECT_EQ(resumed.weights, one.weights);
}

TEST_F(Generation, AnAdapterIsExportedWithItsBaseAndMergesToWhatItSays) {
  trainers_.spec.method = spec::LoraSpec{.r = 2, .lora_alpha = 8};
  trainers_.spec.training.learning_rate = 1e-2;
  const Ended ended = trainers_.Train({});
  ASSERT_THAT(ended.statuses, Each(kFinished)) << ended.error;
  const fs::path directory = trainers_.ExportOf("run");
  EXPECT_FALSE(fs::exists(directory / "model.safetensors"));
  const auto options = model::ReadAdapterConfig(directory);
  ASSERT_TRUE(options.has_value()) << options.error().ToString();
  auto made = model::MakeModel(*model::ReadModelConfig(model::BaseOf(directory)));
  ASSERT_TRUE(made.has_value() && (*made)->Adapt(*options).has_value());
  std::vector<float> trained(static_cast<std::size_t>((*made)->layout().total()));
  ASSERT_TRUE(model::LoadAdapter(**made, directory, trained).has_value());
  EXPECT_EQ(DigestOf(trained), ended.weights);
  const fs::path merged = directory.parent_path() / "merged";
  const auto files = MergeAdapter(directory, merged);
  ASSERT_TRUE(files.has_value()) << files.error().ToString();
  EXPECT_THAT(*files,
              testing::IsSupersetOf({"config.json", "model.safetensors", "tokenizer.json"}));
  std::vector<float> whole(static_cast<std::size_t>((*made)->base_layout().total()));
  std::vector<float> loaded(whole.size());
  ASSERT_TRUE(model::LoadMerged(**made, directory, 0, whole).has_value());
  ASSERT_TRUE(model::LoadMerged(**made, merged, 0, loaded).has_value());
  EXPECT_EQ(loaded, whole);
}

// Of two answers the one that repeats the prompt's word is preferred.
void WritePreferences(const fs::path& path, int rows, unsigned seed) {
  std::ofstream out(path);
  std::minstd_rand generator(seed);
  for (int row = 0; row < rows; ++row) {
    const std::string word = "w" + std::to_string(generator() % 20);
    const std::string other = "w" + std::to_string(20 + generator() % 20);
    out << nlohmann::json{{"prompt", word + " w" + std::to_string(generator() % 500)},
                          {"chosen", " " + word + " " + word},
                          {"rejected", " " + other}}
        << "\n";
  }
}

TEST_F(Generation, PreferencesAreLearnedWithTheSameBitsAtAnySizeAndAfterADeath) {
  WritePreferences(trainers_.job().train_path(), kTrainRows, 1);
  WritePreferences(trainers_.job().eval_path(), kEvalRows, 2);
  trainers_.spec.training.num_train_epochs = 6;
  for (const bool adapts : {false, true}) {
    spec::DpoSpec dpo{.beta = 0.2};
    if (adapts) dpo.lora = spec::LoraSpec{.r = 4, .lora_alpha = 16, .all_linear = true};
    trainers_.spec.method = dpo;
    const std::string name = adapts ? "adapter-" : "full-";
    const Ended one = trainers_.Train({.size = 1, .name = name + "1"});
    ASSERT_THAT(one.statuses, Each(kFinished)) << one.error;
    ASSERT_THAT(one.metrics, SizeIs(5));
    EXPECT_LT(one.metrics.at("loss"), 0.5);
    EXPECT_GT(one.metrics.at("rewards/accuracies"), 0.9);
    EXPECT_NEAR(one.metrics.at("rewards/margins"),
                one.metrics.at("rewards/chosen") - one.metrics.at("rewards/rejected"), 1e-12);
    // Nothing is known in the first step: both answers are as likely as to the reference.
    EXPECT_NEAR(one.All<enginelink::Progress>().front().loss, std::log(2.0), 1e-6);
    for (const std::uint32_t size : {2u, 4u}) {
      const Ended other = trainers_.Train({.size = size, .name = name + std::to_string(size)});
      ASSERT_THAT(other.statuses, Each(kFinished)) << other.error;
      EXPECT_EQ(other.weights, one.weights) << name << size;
      EXPECT_EQ(other.metrics, one.metrics) << name << size;
    }
    trainers_.Train({.size = 2, .script = {.kill_in_step = 7}, .name = name + "killed"});
    const Ended resumed =
        trainers_.Train({.size = 2, .attempt = 2, .resume = true, .name = name + "killed"});
    ASSERT_THAT(resumed.statuses, Each(kFinished)) << resumed.error;
    EXPECT_EQ(resumed.weights, one.weights) << name;
  }
}

TEST_F(Generation, WhatPreferencesNeedIsSaid) {
  trainers_.spec.method = spec::DpoSpec{};
  const auto rows = Prepare();
  ASSERT_FALSE(rows.has_value());
  EXPECT_THAT(rows.error().message, HasSubstr("needs rows of format preference"));
  WritePreferences(trainers_.job().train_path(), kTrainRows, 1);
  WritePreferences(trainers_.job().eval_path(), kEvalRows, 2);
  trainers_.spec.data.max_length = 5;  // [CLS] two words [SEP], and one token of two
  const auto cut = Prepare();
  ASSERT_TRUE(cut.has_value()) << cut.error().ToString();
  EXPECT_THAT(cut->warnings, testing::Contains(HasSubstr("answers with their prompts are longer")));
  EXPECT_EQ(cut->train.size(), kTrainRows);
  trainers_.spec.data.max_length = 4;
  const auto none = Prepare();
  ASSERT_FALSE(none.has_value());
  EXPECT_THAT(none.error().message, HasSubstr("no pair has both its answers"));
  trainers_.spec.data.max_length = std::nullopt;
  trainers_.spec.method = spec::FullMethod{};
  const auto method = Prepare();
  ASSERT_FALSE(method.has_value());
  EXPECT_THAT(method.error().message, HasSubstr("need method dpo"));
  WriteModel(trainers_.job().model_dir());
  trainers_.spec.method = spec::DpoSpec{};
  const auto encoder = Prepare();
  ASSERT_FALSE(encoder.has_value());
  EXPECT_THAT(encoder.error().message, HasSubstr("does not write text"));
}

TEST_F(Generation, ATargetThatIsNotThereIsAnErrorOfTheSpec) {
  trainers_.spec.method = spec::LoraSpec{.target_modules = {"q_proj"}};
  const auto refused = Prepare();
  ASSERT_FALSE(refused.has_value());
  EXPECT_THAT(refused.error().where, HasSubstr("method.lora"));
  EXPECT_THAT(refused.error().hint, HasSubstr("c_attn"));
}

TEST_F(Generation, ConversationsAreWrittenByABuiltInTemplateThatTheExportKeeps) {
  for (const fs::path& path : {trainers_.job().train_path(), trainers_.job().eval_path()}) {
    std::ofstream out(path);
    for (int row = 0; row < kTrainRows; ++row) {
      const std::string word = "w" + std::to_string(row % 7);
      out << nlohmann::json{{"messages",
                             {{{"role", "user"}, {"content", word}},
                              {{"role", "assistant"}, {"content", word + " " + word}}}}}
          << "\n";
    }
  }
  // Words of this tokenizer do not give their text back: answers are found by where they stood.
  const auto job = Prepare();
  ASSERT_TRUE(job.has_value()) << job.error().ToString();
  ASSERT_NE(job->chat, nullptr);
  EXPECT_THAT(job->warnings, testing::Contains(HasSubstr(job->chat->name)));
  trainers_.spec.data.chat_template = "chatml";
  const Ended ended = trainers_.Train({});
  ASSERT_THAT(ended.statuses, Each(kFinished)) << ended.error;
  const fs::path directory = trainers_.ExportOf("run");
  EXPECT_EQ(*ReadFile(directory / "chat_template.jinja"), *text::BuiltInTemplate("chatml"));
  EXPECT_EQ(AskedByChat(directory), std::optional(true));
}

// As Transformers' generate has it: generation_config.json's instead of config.json's, and none
// where it is -1 or the id that GPT2Config writes for any vocabulary.
TEST_F(Generation, AnswersEndAtTheTokensThatAreNamed) {
  const fs::path file = trainers_.job().model_dir() / "generation_config.json";
  WriteText(trainers_.job().model_dir() / "tokenizer_config.json", R"({"eos_token": "[CLS]"})");
  const auto job = Prepare();
  ASSERT_TRUE(job.has_value()) << job.error().ToString();
  ASSERT_EQ(job->tokenizer.special().eos, 2U);  // which always ends an answer: rows end with it
  const auto ends = [&](const std::string& text) {
    text.empty() ? static_cast<void>(fs::remove(file)) : WriteText(file, text);
    auto found = EndTokens(job->model_dir, job->tokenizer, job->model->config(), /*chat=*/false);
    EXPECT_TRUE(found) << found.error().ToString();
    EXPECT_EQ(std::erase(*found, 2), 1U);
    return *found;
  };
  using Tokens = std::vector<std::int64_t>;
  EXPECT_EQ(ends(""), Tokens{3});
  EXPECT_EQ(ends("{}"), Tokens{3});
  EXPECT_EQ(ends(R"({"eos_token_id": null})"), Tokens{3});
  EXPECT_EQ(ends(R"({"eos_token_id": [9, 7, 2003]})"), (Tokens{7, 9, 2003}));
  EXPECT_EQ(ends(R"({"eos_token_id": -1})"), Tokens{});
  EXPECT_EQ(ends(R"({"eos_token_id": 50256})"), Tokens{});
}

TEST_F(Generation, EndsThatAreNoTokensAreRefusedBeforeTheJobWaits) {
  const fs::path file = trainers_.job().model_dir() / "generation_config.json";
  const auto said = [&](const std::string& text) {
    WriteText(file, text);
    const auto job = Prepare();
    return job ? "ok" : job.error().ToString();
  };
  EXPECT_THAT(said("{"), HasSubstr("generation_config.json: is not valid JSON at line 1"));
  EXPECT_THAT(said("[]"), HasSubstr("generation_config.json: is not a JSON object"));
  for (const char* id : {"\"x\"", "2.5", "-2", "2004", "true", "[3, \"a\"]", "{}"}) {
    EXPECT_THAT(said(R"({"eos_token_id": )" + std::string(id) + "}"),
                HasSubstr("generation_config.json: eos_token_id is "))
        << id;
  }
  EXPECT_THAT(said(R"({"eos_token_id": 2004})"), HasSubstr("no id of the model's 2004 tokens"));
  EXPECT_EQ(said(R"({"eos_token_id": 2003})"), "ok");
}

TEST_F(Generation, AnEncoderIsRefusedWithTheFamiliesThatWriteText) {
  WriteModel(trainers_.job().model_dir());
  const auto refused = Prepare();
  ASSERT_FALSE(refused.has_value());
  EXPECT_EQ(refused.error().code, ErrorCode::kUnsupported);
  EXPECT_THAT(refused.error().hint, HasSubstr("gpt2, llama, mistral, qwen2"));
}

TEST_F(Generation, ADecoderLearnsToClassifyWithAFreshHead) {
  WriteRows(trainers_.job().train_path(), kTrainRows, 1);
  WriteRows(trainers_.job().eval_path(), kEvalRows, 2);
  trainers_.spec.task = spec::Task::kTextClassification;
  trainers_.spec.training.num_train_epochs = 15;
  const Ended ended = trainers_.Train({.size = 2});
  ASSERT_THAT(ended.statuses, Each(kFinished)) << ended.error;
  EXPECT_GT(ended.metrics.at("accuracy"), 0.5);
}

}  // namespace
}  // namespace tutti::finetune
