#include "worker/parity/parity.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <cstdlib>
#include <fstream>
#include <limits>
#include <nlohmann/json.hpp>
#include <set>
#include <sstream>
#include <string>
#include <vector>

#include "common/file/file.h"
#include "worker/parity/report.h"

namespace tutti::parity {
namespace {

namespace fs = std::filesystem;
using ::testing::HasSubstr;

constexpr const char* kVendored = "tests/parity/cases";

struct Outcome {
  int status = 0;
  std::string output;
  std::vector<std::string> failures;
};

Outcome RunFolder(const fs::path& folder) {
  std::ostringstream out;
  Outcome run;
  run.status = RunParity(folder, out);
  run.output = out.str();
  std::istringstream lines(run.output);
  for (std::string line; std::getline(lines, line);) {
    if (line.starts_with("FAIL ")) run.failures.push_back(line);
  }
  return run;
}

std::vector<fs::path> FoldersBelow(const fs::path& folder) {
  std::vector<fs::path> folders;
  for (const fs::directory_entry& entry : fs::directory_iterator(folder)) {
    if (entry.is_directory()) folders.push_back(entry.path());
  }
  return folders;
}

// The vendored folders of a kind, and those of the whole reference where TUTTI_PARITY_DIR names it.
std::vector<fs::path> FoldersOf(const std::string& kind, const std::set<std::string>& names) {
  std::vector<fs::path> folders;
  for (const fs::path& folder : FoldersBelow(fs::path(kVendored) / kind)) {
    if (names.contains(folder.filename().string())) folders.push_back(folder);
  }
  EXPECT_FALSE(folders.empty()) << kind;
  if (const char* all = std::getenv("TUTTI_PARITY_DIR")) {
    for (const fs::path& folder : FoldersBelow(fs::path(all) / kind)) {
      if (names.contains(folder.filename().string())) folders.push_back(folder);
    }
  }
  return folders;
}

const std::set<std::string> kEncoders = {"bert", "bert-multilabel", "bert-regression", "distilbert",
                                         "roberta"};
const std::set<std::string> kDecoders = {"gpt2",
                                         "gpt2-classification",
                                         "gpt2-odd",
                                         "llama",
                                         "llama-classification",
                                         "llama-linear-rope",
                                         "llama-llama3-rope",
                                         "mistral",
                                         "qwen2",
                                         "qwen2-yarn"};
const std::set<std::string> kPacking = {"gpt2", "llama", "llama-llama3-rope", "mistral", "qwen2"};
const std::set<std::string> kPeft = {"bert-lora",   "bert-modules-to-save", "gpt2-all-linear",
                                     "gpt2-lora",   "llama-all-linear",     "llama-classification",
                                     "llama-dora",  "llama-lora",           "llama-patterns",
                                     "llama-regex", "llama-rslora",         "qwen2-tied"};
const std::set<std::string> kLosses = {
    "cross_entropy", "label_smoothing",    "multilabel", "regression",
    "causal_lm",     "weighted_causal_lm", "dpo"};

class Scratch {
 public:
  Scratch() {
    std::string pattern = (fs::temp_directory_path() / "tutti-parity-XXXXXX").string();
    path_ = mkdtemp(pattern.data());
  }
  ~Scratch() { fs::remove_all(path_); }
  const fs::path& path() const { return path_; }

 private:
  fs::path path_;
};

TEST(Parity, EncodersTrainAsTransformersDoes) {
  for (const fs::path& folder : FoldersOf("families", kEncoders)) {
    const Outcome run = RunFolder(folder);
    EXPECT_EQ(run.status, 0) << folder << "\n" << run.output;
    EXPECT_THAT(run.output, HasSubstr("/trajectory/loss max_abs="));
    EXPECT_THAT(run.output, HasSubstr("/final/classifier."));
  }
}

TEST(Parity, DecodersTrainAndAnswerAsTransformersDoes) {
  for (const fs::path& folder : FoldersOf("families", kDecoders)) {
    const Outcome run = RunFolder(folder);
    EXPECT_EQ(run.status, 0) << folder << "\n" << run.output;
    EXPECT_THAT(run.output, HasSubstr("/trajectory/loss max_abs="));
    if (folder.filename().string().ends_with("classification")) continue;
    EXPECT_THAT(run.output, HasSubstr("/greedy-batch/new_tokens"));
    EXPECT_THAT(run.output, HasSubstr("/beam-early/scores max_abs="));
  }
}

TEST(Parity, PackedDocumentsAreAsIfAlone) {
  for (const fs::path& folder : FoldersOf("packing", kPacking)) {
    const Outcome run = RunFolder(folder);
    EXPECT_EQ(run.status, 0) << folder << "\n" << run.output;
    EXPECT_THAT(run.output, HasSubstr("/0/logits max_abs="));
    EXPECT_THAT(run.output, HasSubstr("/0/apart/grad_norm max_abs="));
  }
}

TEST(Parity, AdaptersComputeTrainAndMergeAsPefts) {
  for (const fs::path& folder : FoldersOf("peft", kPeft)) {
    const Outcome run = RunFolder(folder);
    EXPECT_EQ(run.status, 0) << folder << "\n" << run.output;
    if (folder.filename() == "llama-dora") {
      EXPECT_THAT(run.output, HasSubstr("use_dora true is not supported yet"));
      continue;
    }
    EXPECT_THAT(run.output, HasSubstr("/logits_merged max_abs="));
    EXPECT_THAT(run.output, HasSubstr("/trajectory/loss max_abs="));
  }
}

TEST(Parity, LossesAndTheirGradientsAreThoseOfPyTorch) {
  for (const fs::path& folder : FoldersOf("losses", kLosses)) {
    const Outcome run = RunFolder(folder);
    EXPECT_EQ(run.status, 0) << folder << "\n" << run.output;
    EXPECT_THAT(run.output, HasSubstr(":grad max_abs="));
  }
}

TEST(Parity, LearningRatesAndStepCountsAreThoseOfTransformers) {
  const Outcome run = RunFolder(fs::path(kVendored) / "schedules");
  EXPECT_EQ(run.status, 0) << run.output;
  EXPECT_THAT(run.output, HasSubstr("ok warmup_stable_decay:"));
  EXPECT_THAT(run.output, HasSubstr("ok steps:0"));
}

TEST(Parity, ScoresOfClassifiersAreThoseOfScikitLearn) {
  const Outcome run = RunFolder(fs::path(kVendored) / "metrics");
  EXPECT_EQ(run.status, 0) << run.output;
  EXPECT_THAT(run.output, HasSubstr("ok classification:0"));
}

TEST(Parity, TextFoldersRunThroughTheTextLibrary) {
  const Outcome run = RunFolder(fs::path(kVendored) / "chat");
  EXPECT_EQ(run.status, 0) << run.output;
}

// What the engine does not build yet fails with that reason, and nothing else fails.
TEST(Parity, EveryOtherReferenceFolderIsRefusedWithItsReason) {
  const char* all = std::getenv("TUTTI_PARITY_DIR");
  if (all == nullptr) GTEST_SKIP() << "TUTTI_PARITY_DIR is not set";
  for (const char* kind : {"families", "losses", "peft"}) {
    for (const fs::path& folder : FoldersBelow(fs::path(all) / kind)) {
      const std::string name = folder.filename().string();
      if (kEncoders.contains(name) || kDecoders.contains(name) || kLosses.contains(name) ||
          kPeft.contains(name)) {
        continue;
      }
      const Outcome run = RunFolder(folder);
      for (const std::string& failure : run.failures) {
        EXPECT_THAT(failure, HasSubstr("not supported yet")) << folder;
      }
      EXPECT_EQ(run.status, run.failures.empty() ? 0 : 1) << run.output;
    }
  }
}

TEST(Parity, AReferenceThatDiffersFails) {
  const Scratch scratch;
  fs::copy(fs::path(kVendored) / "families/bert", scratch.path(),
           fs::copy_options::recursive | fs::copy_options::overwrite_existing);
  const fs::path cases = scratch.path() / "cases.json";
  std::string text = *ReadFile(cases);
  const std::string loss = "\"loss\": 2.189";
  ASSERT_NE(text.find(loss), std::string::npos);
  text.replace(text.find(loss), loss.size(), "\"loss\": 2.188");
  std::ofstream(cases) << text;
  const Outcome run = RunFolder(scratch.path());
  EXPECT_EQ(run.status, 1);
  EXPECT_EQ(run.failures.size(), 2U) << run.output;  // with and without all positions
  EXPECT_THAT(run.output, HasSubstr("FAIL bert/loss max_abs=0.001"));
}

// A vendored folder whose config.json has `fields` instead of its own.
Outcome RunWith(const std::string& folder, const nlohmann::json& fields) {
  const Scratch scratch;
  fs::copy(fs::path(kVendored) / folder, scratch.path(),
           fs::copy_options::recursive | fs::copy_options::overwrite_existing);
  const fs::path file = scratch.path() / "config.json";
  auto config = nlohmann::json::parse(*ReadFile(file));
  config.update(fields);
  std::ofstream(file) << config;
  return RunFolder(scratch.path());
}

TEST(Parity, SizesAndHeadsAreBelievedOnlyWhenWeightsAndCasesHaveThem) {
  const Outcome huge = RunWith("families/gpt2-odd", {{"vocab_size", 1 << 24}});
  EXPECT_EQ(huge.status, 1);
  EXPECT_THAT(huge.output, HasSubstr("the model's is [16777216, "));
  EXPECT_THAT(RunWith("packing/mistral", {{"vocab_size", 1 << 24}}).output,
              HasSubstr("the model's is [16777216, "));
  for (const nlohmann::json& none : {nlohmann::json(), nlohmann::json("LlamaForCausalLM")}) {
    const Outcome run = RunWith("families/llama-linear-rope", {{"architectures", none}});
    EXPECT_EQ(run.status, 1);
    EXPECT_THAT(run.output, HasSubstr("config.json: architectures names no language model, and "
                                      "the cases are of task \"causal-lm\""));
  }
}

// As Transformers 5 does, whatever config.json says: the checkpoint has both.
TEST(Parity, AnOutputLayerOfItsOwnIsTrainedAsTransformersDoes) {
  const Outcome run = RunWith("families/llama-linear-rope", {{"tie_word_embeddings", true}});
  EXPECT_EQ(run.status, 0) << run.output;
  EXPECT_THAT(run.output, HasSubstr("/final/lm_head.weight"));
}

TEST(Parity, ABrokenReferenceFailsAndSaysWhere) {
  const Scratch scratch;
  EXPECT_EQ(RunFolder(scratch.path()).status, 1);
  EXPECT_THAT(RunFolder(scratch.path() / "missing").output, HasSubstr("0 passed, 1 failed"));
  std::ofstream(scratch.path() / "cases.json") << "{\"schedules\": [{}]}";
  const Outcome run = RunFolder(scratch.path());
  EXPECT_EQ(run.status, 1);
  EXPECT_THAT(run.output, HasSubstr("the reference is not as expected"));
}

TEST(ParityReport, NumbersAgreeWithinToleranceAndNaNNever) {
  std::ostringstream out;
  Report report(out);
  const double nan = std::numeric_limits<double>::quiet_NaN();
  const std::vector<double> one = {1.0}, near = {1.05}, none;
  report.Compare("relative", near, one, {.relative = 0.1});
  report.Compare("absolute", near, one, {.absolute = 0.1});
  EXPECT_EQ(report.passed(), 2);
  report.Compare("far", near, one, {.absolute = 0.01});
  report.Compare("nan", std::vector<double>{nan}, one, {.absolute = 10});
  report.Compare("both nan", std::vector<double>{nan}, std::vector<double>{nan}, {.absolute = 10});
  report.Compare("sizes", none, one, {.absolute = 10});
  EXPECT_EQ(report.failed(), 4);
  report.Skip("later", "not built");
  report.Finish();
  EXPECT_THAT(out.str(), HasSubstr("2 passed, 4 failed"));
}

}  // namespace
}  // namespace tutti::parity
