#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <limits>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "common/file/file.h"
#include "worker/model/export.h"
#include "worker/model/load.h"
#include "worker/safetensors/convert.h"
#include "worker/safetensors/model_weights.h"

namespace tutti::model {
namespace {

namespace fs = std::filesystem;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

const fs::path kReference = "tests/parity/cases/families/bert";

std::unique_ptr<Model> ModelIn(const fs::path& directory) {
  const Result<ModelConfig> config = ReadModelConfig(directory);
  EXPECT_TRUE(config.has_value()) << config.error().ToString();
  Result<std::unique_ptr<Model>> model = MakeModel(*config);
  EXPECT_TRUE(model.has_value()) << model.error().ToString();
  return std::move(*model);
}

struct Tensor {
  std::vector<std::int64_t> shape;
  std::vector<float> values;
};

// The reference checkpoint in a folder of its own, to be changed before it is loaded.
class Checkpoint : public testing::Test {
 protected:
  void SetUp() override {
    std::string pattern = (fs::temp_directory_path() / "tutti-checkpoint-XXXXXX").string();
    folder_ = mkdtemp(pattern.data());
    fs::copy_file(kReference / "config.json", folder_ / "config.json");
    const auto file = safetensors::File::Open(kReference / "model.safetensors");
    ASSERT_TRUE(file.has_value());
    for (std::size_t i = 0; i < file->size(); ++i) {
      const safetensors::Tensor from = file->at(i);
      Tensor& to = tensors_[std::string(from.name)];
      to.shape.assign(from.shape.begin(), from.shape.end());
      to.values.resize(from.elements());
      ASSERT_TRUE(safetensors::ToFloat32(from, to.values).has_value());
    }
    model_ = ModelIn(folder_);
  }
  void TearDown() override { fs::remove_all(folder_); }

  void Rename(const std::string& from, const std::string& to) {
    auto node = tensors_.extract(from);
    ASSERT_FALSE(node.empty()) << from;
    node.key() = to;
    tensors_.insert(std::move(node));
  }

  Result<LoadedWeights> Load(std::uint64_t seed = 42) {
    std::vector<safetensors::TensorToWrite> list;
    for (const auto& [name, tensor] : tensors_) {
      list.push_back(
          {.name = name, .shape = tensor.shape, .data = std::as_bytes(std::span(tensor.values))});
    }
    const auto written = safetensors::Write(folder_ / "model.safetensors", list);
    EXPECT_TRUE(written.has_value()) << written.error().ToString();
    params_.assign(static_cast<std::size_t>(model_->layout().total()), 7.0F);
    return LoadWeights(*model_, folder_, seed, params_);
  }

  std::string LoadError() {
    const Result<LoadedWeights> loaded = Load();
    const Status checked = CheckWeights(*model_, folder_);
    if (loaded.has_value()) return "no error";
    EXPECT_EQ(loaded.error().code, ErrorCode::kInvalid);
    // All but what is in the data is seen without it.
    if (loaded.error().message.find(" holds ") == std::string::npos) {
      EXPECT_EQ(checked ? "" : checked.error().ToString(), loaded.error().ToString());
    }
    return loaded.error().ToString();
  }

  std::vector<float> Parameter(const std::string& name) const {
    const ParameterInfo* info = model_->layout().Find(name);
    const auto from = params_.begin() + info->offset;
    return {from, from + info->count};
  }

  fs::path folder_;
  std::map<std::string, Tensor> tensors_;
  std::unique_ptr<Model> model_;
  std::vector<float> params_;
};

TEST_F(Checkpoint, EveryParameterIsFilledAndGapsAreZero) {
  const auto loaded = Load();
  ASSERT_TRUE(loaded.has_value()) << loaded.error().ToString();
  EXPECT_THAT(loaded->fresh, IsEmpty());
  EXPECT_THAT(loaded->ignored, IsEmpty());
  std::vector<bool> covered(params_.size(), false);
  for (const ParameterInfo& info : model_->layout().parameters()) {
    EXPECT_EQ(Parameter(info.name), tensors_[info.name].values) << info.name;
    for (std::int64_t i = 0; i < info.count; ++i) {
      covered[static_cast<std::size_t>(info.offset + i)] = true;
    }
  }
  for (std::size_t i = 0; i < params_.size(); ++i) {
    if (covered[i]) continue;
    ASSERT_EQ(params_[i], 0.0F) << i;
  }
}

TEST_F(Checkpoint, NamesMayLackTheBasePrefixAndUseGammaAndBeta) {
  const auto originals = tensors_;
  for (const auto& [name, tensor] : originals) {
    std::string other = name.starts_with("bert.") ? name.substr(5) : name;
    if (const auto at = other.find("LayerNorm.weight"); at != other.npos) {
      other.replace(at, std::string::npos, "LayerNorm.gamma");
    } else if (const auto beta = other.find("LayerNorm.bias"); beta != other.npos) {
      other.replace(beta, std::string::npos, "LayerNorm.beta");
    }
    if (other != name) Rename(name, other);
  }
  const auto loaded = Load();
  ASSERT_TRUE(loaded.has_value()) << loaded.error().ToString();
  for (const auto& [name, tensor] : originals) EXPECT_EQ(Parameter(name), tensor.values) << name;
}

TEST_F(Checkpoint, MissingHeadAndPoolerStartFreshAndOtherHeadsAreIgnored) {
  for (const char* name : {"bert.pooler.dense.weight", "bert.pooler.dense.bias",
                           "classifier.weight", "classifier.bias"}) {
    tensors_.erase(name);
  }
  tensors_["cls.predictions.bias"] = {{3}, {1, 2, 3}};
  tensors_["bert.embeddings.position_ids"] = {{1, 2}, {0, 1}};
  const auto loaded = Load();
  ASSERT_TRUE(loaded.has_value()) << loaded.error().ToString();
  EXPECT_THAT(loaded->fresh, ElementsAre("bert.pooler.dense.weight", "bert.pooler.dense.bias",
                                         "classifier.weight", "classifier.bias"));
  EXPECT_THAT(loaded->ignored, ElementsAre("bert.embeddings.position_ids", "cls.predictions.bias"));
  const std::vector<float> pooler = Parameter("bert.pooler.dense.weight");
  double square = 0;
  for (const float x : pooler) square += static_cast<double>(x) * static_cast<double>(x);
  EXPECT_NEAR(std::sqrt(square / static_cast<double>(pooler.size())), 0.02, 0.002);
  for (const float x : Parameter("classifier.bias")) EXPECT_EQ(x, 0.0F);
}

TEST_F(Checkpoint, FreshWeightsDependOnSeedAndNameAlone) {
  const Tensor pooler = tensors_["bert.pooler.dense.weight"];
  tensors_.erase("classifier.weight");
  ASSERT_TRUE(Load(1).has_value());
  const std::vector<float> first = Parameter("classifier.weight");
  ASSERT_TRUE(Load(2).has_value());
  EXPECT_NE(Parameter("classifier.weight"), first);
  tensors_.erase("bert.pooler.dense.weight");  // one more that is drawn, before it
  ASSERT_TRUE(Load(1).has_value());
  EXPECT_EQ(Parameter("classifier.weight"), first);
  const std::vector<float> other = Parameter("bert.pooler.dense.weight");
  EXPECT_FALSE(std::equal(first.begin(), first.end(), other.begin()));
}

TEST_F(Checkpoint, MissingForeignAndMisshapenTensorsAreNamed) {
  const auto whole = tensors_;
  tensors_.erase("bert.encoder.layer.1.output.dense.bias");
  EXPECT_THAT(LoadError(), HasSubstr("lack bert.encoder.layer.1.output.dense.bias"));
  tensors_ = whole;
  tensors_["bert.encoder.layer.2.output.dense.bias"] = {{32}, std::vector<float>(32)};
  EXPECT_THAT(LoadError(), HasSubstr("bert.encoder.layer.2.output.dense.bias does not belong"));
  tensors_ = whole;
  tensors_["classifier.weight"].shape = {32, 5};
  EXPECT_THAT(LoadError(), HasSubstr("classifier.weight is [32, 5], the model's is [5, 32]"));
  tensors_ = whole;
  tensors_["pooler.dense.bias"] = tensors_["bert.pooler.dense.bias"];
  EXPECT_THAT(LoadError(), HasSubstr("are both bert.pooler.dense.bias"));
}

TEST_F(Checkpoint, SizesAreBelievedOnlyWhenTheWeightsHaveThem) {
  ASSERT_TRUE(Load().has_value());
  EXPECT_TRUE(CheckWeights(*model_, folder_).has_value());
  const auto huge = ParseModelConfig(
      R"({"model_type": "bert", "hidden_size": 1048576, "num_attention_heads": 4096,
          "intermediate_size": 1048576, "num_hidden_layers": 1024, "vocab_size": 16777216})",
      "config.json");
  ASSERT_TRUE(huge.has_value());
  const auto model = MakeModel(*huge);
  ASSERT_TRUE(model.has_value()) << model.error().ToString();
  const Status checked = CheckWeights(**model, folder_);  // LoadWeights would want petabytes first
  ASSERT_FALSE(checked.has_value());
  EXPECT_THAT(checked.error().ToString(), HasSubstr("the model's is [16777216, 1048576]"));
}

TEST_F(Checkpoint, WeightsThatAreNotFiniteAreNamed) {
  auto& values = tensors_["bert.encoder.layer.0.intermediate.dense.weight"].values;
  const float was = values[5];
  values[5] = std::numeric_limits<float>::quiet_NaN();
  EXPECT_THAT(LoadError(),
              HasSubstr("bert.encoder.layer.0.intermediate.dense.weight holds NaN at element 5"));
  values[5] = -std::numeric_limits<float>::infinity();
  EXPECT_THAT(LoadError(), HasSubstr("holds an infinity"));
  values[5] = was;
  EXPECT_TRUE(Load().has_value());
}

TEST_F(Checkpoint, ExportedTensorsAreThoseThatTransformersWrote) {
  ASSERT_TRUE(Load().has_value());
  const auto exported = TensorsToWrite(model_->layout(), params_);
  const auto written = safetensors::Write(folder_ / "again.safetensors", exported);
  ASSERT_TRUE(written.has_value());
  const auto original = safetensors::Write(folder_ / "model.safetensors", exported);
  ASSERT_TRUE(original.has_value());
  EXPECT_EQ(written->digest, original->digest);
  const auto file = safetensors::File::Open(folder_ / "again.safetensors");
  ASSERT_TRUE(file.has_value());
  ASSERT_EQ(file->size(), tensors_.size());
  std::size_t i = 0;
  for (const auto& [name, tensor] : tensors_) {
    const safetensors::Tensor got = file->at(i++);
    EXPECT_EQ(got.name, name);
    EXPECT_TRUE(std::ranges::equal(got.shape, tensor.shape)) << name;
    ASSERT_EQ(got.data.size(), tensor.values.size() * sizeof(float)) << name;
    EXPECT_EQ(std::memcmp(got.data.data(), tensor.values.data(), got.data.size()), 0) << name;
  }
}

TEST(ExportConfig, IsByteForByteWhatTransformersWrites) {
  const fs::path folder = "tests/parity/cases/families/bert-multilabel";
  const auto text = ExportConfig(*ModelIn(folder), Problem::kMultiLabel);
  ASSERT_TRUE(text.has_value());
  EXPECT_EQ(*text, *ReadFile(folder / "config.json"));
}

TEST(ExportConfig, NamesLabelsProblemArchitectureAndDataType) {
  auto config = ParseModelConfig(
      R"({"model_type": "bert", "architectures": ["BertForMaskedLM"], "hidden_size": 16,
          "num_attention_heads": 2, "torch_dtype": "float16", "num_labels": 2,
          "transformers_version": "4.40.0", "layer_norm_eps": 1e-12})",
      "config.json");
  ASSERT_TRUE(config.has_value());
  config->labels.clear();
  for (int i = 0; i < 11; ++i) config->labels.push_back("größe " + std::to_string(i));
  const auto model = MakeModel(*config);
  ASSERT_TRUE(model.has_value()) << model.error().ToString();
  const auto text = ExportConfig(**model, Problem::kSingleLabel);
  ASSERT_TRUE(text.has_value());
  EXPECT_THAT(*text, HasSubstr("\"architectures\": [\n    \"BertForSequenceClassification\"\n  ]"));
  EXPECT_THAT(*text, HasSubstr("\"problem_type\": \"single_label_classification\""));
  EXPECT_THAT(*text, HasSubstr("\"torch_dtype\": \"float32\""));
  EXPECT_THAT(*text, HasSubstr("\"transformers_version\": \"4.40.0\""));
  EXPECT_THAT(*text, HasSubstr("\"layer_norm_eps\": 1e-12"));
  EXPECT_THAT(*text, HasSubstr("\"9\": \"gr\\u00f6\\u00dfe 9\",\n    \"10\": "));  // as numbers
  EXPECT_THAT(*text, HasSubstr("\"gr\\u00f6\\u00dfe 1\": 1,\n    \"gr\\u00f6\\u00dfe 10\": 10,"));
  EXPECT_THAT(*text, testing::Not(HasSubstr("num_labels")));
  const auto again = ParseModelConfig(*text, "again");
  ASSERT_TRUE(again.has_value());
  EXPECT_EQ(again->labels, config->labels);
  EXPECT_EQ(again->problem, Problem::kSingleLabel);
}

}  // namespace
}  // namespace tutti::model
