// Jobs whose model is an adapter's folder: what they start from, and what is refused.
#include "worker/finetune/going_on.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <functional>

#include "common/file/file.h"
#include "tests/worker/finetune/small_gpt2.h"
#include "tests/worker/finetune/trainers.h"
#include "worker/finetune/weights.h"
#include "worker/model/adapter_files.h"
#include "worker/model/load.h"

namespace tutti::finetune {
namespace {

using nlohmann::json;
using testing::AllOf;
using testing::Each;
using testing::HasSubstr;

const spec::LoraSpec kLora{.r = 4, .lora_alpha = 8, .all_linear = true};

// A job that has trained an adapter, whose export is then the model of another.
class GoingOn : public testing::Test {
 protected:
  GoingOn() : trainers_(testing::UnitTest::GetInstance()->current_test_info()->name()) {
    WriteGpt2(model_dir());
    WritePairs(trainers_.job().train_path(), kTrainRows, 1);
    WritePairs(trainers_.job().eval_path(), kEvalRows, 2);
    trainers_.spec.task = spec::Task::kTextGeneration;
    trainers_.spec.method = kLora;
    trainers_.spec.training.learning_rate = 1e-2;
    first_ = trainers_.Train({.name = "first"});
    EXPECT_THAT(first_.statuses, Each(kFinished)) << first_.error;
    fs::rename(model_dir(), trainers_.job().root / "base");
    fs::copy(trainers_.ExportOf("first"), model_dir(), fs::copy_options::recursive);
  }
  fs::path model_dir() const { return trainers_.job().model_dir(); }
  Result<Job> Prepare() { return PrepareJob(trainers_.job().Inputs(trainers_.spec)); }
  std::string Refusal() {
    const auto job = Prepare();
    return job ? "" : job.error().ToString();
  }
  // What training would start from.
  std::vector<float> Start(const Job& job) {
    std::vector<float> frozen(job.frozen());
    std::vector<float> trained(static_cast<std::size_t>(job.model->layout().total()));
    EXPECT_TRUE(LoadFrozen(job, frozen).has_value());
    const auto loaded = LoadTrained(job, frozen, trained);
    EXPECT_TRUE(loaded.has_value()) << loaded.error().ToString();
    return trained;
  }
  void Rewrite(const std::function<void(json&)>& change) {
    const fs::path path = model_dir() / model::kAdapterConfigFile;
    json config = json::parse(std::ifstream(path));
    change(config);
    WriteText(path, config.dump());
  }

  Trainers trainers_;
  Ended first_;
};

TEST_F(GoingOn, LoraTrainsTheAdapterFurtherBesideTheSameBase) {
  const auto job = Prepare();
  ASSERT_TRUE(job.has_value()) << job.error().ToString();
  EXPECT_TRUE(job->goes_on);
  EXPECT_EQ(DigestOf(Start(*job)), first_.weights);
  const Ended second = trainers_.Train({.size = 2, .name = "second"});
  ASSERT_THAT(second.statuses, Each(kFinished)) << second.error;
  EXPECT_LT(second.metrics.at("loss"), first_.metrics.at("loss"));
  const fs::path exported = trainers_.ExportOf("second");
  EXPECT_EQ(*ReadFile(exported / "base/model.safetensors"),
            *ReadFile(trainers_.job().root / "base/model.safetensors"));
  EXPECT_EQ(*model::BaseNameOf(exported), *model::BaseNameOf(model_dir()));
}

TEST_F(GoingOn, TheSameBitsAtAnySizeAndAfterADeath) {
  const Ended one = trainers_.Train({.name = "one"});
  ASSERT_THAT(one.statuses, Each(kFinished)) << one.error;
  EXPECT_EQ(trainers_.Train({.size = 2, .name = "two"}).weights, one.weights);
  trainers_.Train({.size = 2, .script = {.kill_in_step = 5}, .name = "killed"});
  EXPECT_EQ(trainers_.Train({.size = 2, .attempt = 2, .resume = true, .name = "killed"}).weights,
            one.weights);
}

TEST_F(GoingOn, AllWeightsStartFromTheTwoMerged) {
  trainers_.spec.method = spec::FullMethod{};
  const auto job = Prepare();
  ASSERT_TRUE(job.has_value()) << job.error().ToString();
  EXPECT_FALSE(job->goes_on);
  std::vector<float> merged(static_cast<std::size_t>(job->model->layout().total()));
  ASSERT_TRUE(model::LoadMerged(*job->model, model_dir(), 0, merged).has_value());
  EXPECT_EQ(Start(*job), merged);
  std::vector<float> base(merged.size());
  ASSERT_TRUE(model::LoadWeights(*job->model, model_dir() / "base", 0, base).has_value());
  EXPECT_NE(merged, base);
}

TEST_F(GoingOn, PreferencesAndAWarmStartTrainANewOneOnTheTwoMerged) {
  trainers_.spec.resume_from = "ft:other";
  EXPECT_FALSE(Prepare()->goes_on);
  trainers_.spec.resume_from.reset();
  trainers_.spec.method = spec::DpoSpec{.lora = spec::LoraSpec{.r = 2}};
  EXPECT_FALSE(GoesOnWithAdapter(trainers_.spec, model_dir()));
}

TEST_F(GoingOn, AnotherShapeIsRefusedWithWhatToWrite) {
  const auto refusal = [this](spec::LoraSpec lora) {
    trainers_.spec.method = std::move(lora);
    return Refusal();
  };
  spec::LoraSpec lora = kLora;
  lora.r = 16;
  EXPECT_THAT(refusal(lora),
              AllOf(HasSubstr("method.lora.r:"), HasSubstr("with r 4, the job asks for 16"),
                    HasSubstr("method: {lora: {r: 4, lora_alpha: 8, target_modules: [c_attn, "
                              "c_fc, c_proj]}}"),
                    HasSubstr("tutti model merge")));
  lora = kLora;
  lora.lora_alpha = 16;
  EXPECT_THAT(refusal(lora), HasSubstr("method.lora.lora_alpha:"));
  lora = kLora;
  lora.use_rslora = true;
  EXPECT_THAT(refusal(lora), HasSubstr("use_rslora false, the job asks for true"));
  lora = kLora;
  lora.modules_to_save = {"ln_f"};
  EXPECT_THAT(refusal(lora), HasSubstr("modules_to_save [], the job asks for [ln_f]"));
  lora = kLora;
  lora.all_linear = false;
  EXPECT_THAT(refusal(lora), HasSubstr("[c_attn, c_fc, c_proj], the job asks for [c_attn]"));
  lora.target_modules = {"c_attn", "c_proj", "c_fc"};
  lora.lora_dropout = 0.1;  // no shape: the job's own
  EXPECT_EQ(refusal(lora), "");
  EXPECT_EQ(Prepare()->model->adapter()->options().lora_dropout, 0.1);
}

TEST_F(GoingOn, HostileFoldersAreRefusedByName) {
  const json good = json::parse(std::ifstream(model_dir() / model::kAdapterConfigFile));
  const auto refusal = [&](const char* field, const json& value) {
    Rewrite([&](json& config) {
      config = good;
      config[field] = value;
    });
    return Refusal();
  };
  EXPECT_THAT(refusal("peft_type", "IA3"), HasSubstr("peft_type"));
  EXPECT_THAT(refusal("use_dora", true), HasSubstr("use_dora"));
  // A rank that would take memory for terabytes, which the weights do not have.
  EXPECT_THAT(refusal("r", 65'536), HasSubstr("lora_A.weight is [4, 64], with this base"));
  EXPECT_THAT(refusal("target_modules", {"nothing"}),
              AllOf(HasSubstr("adapter_config.json"), HasSubstr("no linear layer")));
  EXPECT_THAT(refusal("target_modules", {"c_attn"}), HasSubstr("tensors"));
  EXPECT_EQ(refusal("r", 4), "");
  fs::remove(model_dir() / model::kAdapterWeightsFile);
  EXPECT_THAT(Refusal(), HasSubstr("adapter_model.safetensors"));
}

// The folder that an uploaded adapter names is never looked at.
TEST_F(GoingOn, ABaseThatIsNotBesideTheAdapterIsRefusedWithItsName) {
  fs::rename(model_dir() / "base", trainers_.job().root / "elsewhere");
  Rewrite([](json& config) { config["base_model_name_or_path"] = "../elsewhere"; });
  for (const spec::Method& method : {spec::Method(kLora), spec::Method(spec::FullMethod{})}) {
    trainers_.spec.method = method;
    EXPECT_THAT(Refusal(), AllOf(HasSubstr("its base is not beside it"),
                                 HasSubstr("'../elsewhere'"), HasSubstr("base/")));
  }
  fs::copy(trainers_.ExportOf("first"), model_dir() / "base", fs::copy_options::recursive);
  WriteText(model_dir() / "base/config.json", "{}");
  EXPECT_THAT(Refusal(), HasSubstr("is an adapter itself"));
}

}  // namespace
}  // namespace tutti::finetune
