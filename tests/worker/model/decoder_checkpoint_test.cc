// Decoders' checkpoints as they are found: tensors that they have too many, or under other names.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <map>
#include <memory>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "worker/model/export.h"
#include "worker/model/load.h"
#include "worker/model/random.h"
#include "worker/safetensors/writer.h"

namespace tutti::model {
namespace {

namespace fs = std::filesystem;
using nlohmann::json;
using ::testing::Each;
using ::testing::HasSubstr;

struct Stored {
  std::vector<std::int64_t> shape;
  std::vector<float> values;
  safetensors::DType dtype = safetensors::DType::kF32;
};

// A small random model in a folder of its own, to be changed before it is loaded.
class DecoderCheckpoint : public testing::Test {
 protected:
  void SetUp() override {
    std::string pattern = (fs::temp_directory_path() / "tutti-decoder-XXXXXX").string();
    folder_ = mkdtemp(pattern.data());
  }
  void TearDown() override { fs::remove_all(folder_); }

  void UseGpt2() {
    config_ = {{"model_type", "gpt2"}, {"architectures", {"GPT2LMHeadModel"}},
               {"vocab_size", 40},     {"n_positions", 24},
               {"n_embd", 24},         {"n_layer", 1},
               {"n_head", 2}};
    Draw();
  }
  void UseLlama(bool tied = false) {
    config_ = {{"model_type", "llama"},    {"architectures", {"LlamaForCausalLM"}},
               {"vocab_size", 40},         {"hidden_size", 24},
               {"intermediate_size", 28},  {"num_hidden_layers", 1},
               {"num_attention_heads", 2}, {"tie_word_embeddings", tied}};
    Draw();
  }

  // The tensors of the model that config_ describes.
  void Draw() {
    tensors_.clear();
    const auto model = MakeModel(*ParseModelConfig(config_.dump(), "config.json"));
    ASSERT_TRUE(model) << model.error().ToString();
    for (const ParameterInfo& parameter : (*model)->layout().parameters()) {
      Stored& stored = tensors_[parameter.name];
      stored.shape = parameter.shape;
      stored.values.resize(static_cast<std::size_t>(parameter.count));
      FillNormal(HashSeed(1, parameter.name), 0.2, stored.values);
    }
  }

  void Write() const {
    std::ofstream(folder_ / "config.json") << config_;
    std::vector<safetensors::TensorToWrite> list;
    for (const auto& [name, stored] : tensors_) {
      list.push_back({.name = name,
                      .dtype = stored.dtype,
                      .shape = stored.shape,
                      .data = std::as_bytes(std::span(stored.values))});
    }
    const auto written = safetensors::Write(folder_ / "model.safetensors", list);
    ASSERT_TRUE(written.has_value()) << written.error().ToString();
  }

  // Into model_ and params_.
  Result<LoadedWeights> Load() {
    Write();
    TUTTI_ASSIGN_OR_RETURN(const ModelConfig config, ReadModelConfig(folder_));
    TUTTI_ASSIGN_OR_RETURN(model_, MakeModel(config));
    TUTTI_RETURN_IF_ERROR(CheckWeights(*model_, folder_));
    params_.assign(static_cast<std::size_t>(model_->layout().total()), 7.0F);
    return LoadWeights(*model_, folder_, 42, params_);
  }

  std::string Said() {
    const auto loaded = Load();
    return loaded ? "ok" : loaded.error().ToString();
  }

  std::vector<float> Parameter(const std::string& name) const {
    const ParameterInfo* info = model_->layout().Find(name);
    if (info == nullptr) return {};
    const auto from = params_.begin() + info->offset;
    return {from, from + info->count};
  }

  fs::path folder_;
  json config_;
  std::map<std::string, Stored> tensors_;
  std::unique_ptr<Model> model_;
  std::vector<float> params_;
};

TEST_F(DecoderCheckpoint, FrequenciesOfRotationsAreIgnoredWhereverTheyLie) {
  UseLlama();
  for (const char* name : {"model.rotary_emb.inv_freq", "rotary_emb.inv_freq",
                           "model.layers.0.self_attn.rotary_emb.inv_freq"}) {
    tensors_[name] = {{6}, std::vector<float>(6, 1.0F)};
  }
  const auto loaded = Load();
  ASSERT_TRUE(loaded) << loaded.error().ToString();
  EXPECT_EQ(loaded->ignored.size(), 3U);
  EXPECT_THAT(loaded->ignored, Each(HasSubstr("inv_freq")));
}

TEST_F(DecoderCheckpoint, ATypeThatIsNoFloatIsRefusedBeforeMemoryIsTaken) {
  UseLlama();
  tensors_["model.norm.weight"].dtype = safetensors::DType::kI32;
  Write();
  const auto config = ReadModelConfig(folder_);
  const auto model = MakeModel(*config);
  const Status checked = CheckWeights(**model, folder_);
  ASSERT_FALSE(checked);
  EXPECT_EQ(checked.error().where, folder_.string());
  EXPECT_THAT(checked.error().message,
              HasSubstr("model.norm.weight is I32, which cannot be read as float32"));
  EXPECT_EQ(Said(), checked.error().ToString());
}

TEST_F(DecoderCheckpoint, PickledWeightsAreRefusedWithWhatConvertsThem) {
  UseLlama();
  ASSERT_EQ(Said(), "ok");
  fs::rename(folder_ / "model.safetensors", folder_ / "pytorch_model.bin");
  const Status checked = CheckWeights(*model_, folder_);
  ASSERT_FALSE(checked);
  EXPECT_EQ(checked.error().where, folder_.string());
  EXPECT_THAT(checked.error().message, HasSubstr("pickled"));
  EXPECT_THAT(checked.error().hint, HasSubstr(".save_pretrained(d, safe_serialization=True)"));
  EXPECT_EQ(LoadWeights(*model_, folder_, 42, params_).error().ToString(),
            checked.error().ToString());
  fs::remove(folder_ / "pytorch_model.bin");
  EXPECT_THAT(CheckWeights(*model_, folder_).error().message, HasSubstr("it has no weights"));
}

TEST_F(DecoderCheckpoint, AnOutputLayerThatDiffersFromTheEmbeddingIsKept) {
  for (const char* embedding : {"transformer.wte.weight", "wte.weight"}) {
    UseGpt2();  // tied by default
    tensors_.insert({embedding, tensors_.extract("transformer.wte.weight").mapped()});
    Stored& head = tensors_["lm_head.weight"] = tensors_.at(embedding);
    ASSERT_EQ(Said(), "ok");
    EXPECT_EQ(model_->layout().Find("lm_head.weight"), nullptr) << "equal: tied";
    const std::int64_t tied = model_->layout().elements();
    head.values[7] += 1;
    ASSERT_EQ(Said(), "ok");
    EXPECT_EQ(Parameter("lm_head.weight"), head.values);
    EXPECT_NE(Parameter("transformer.wte.weight"), head.values);
    EXPECT_EQ(model_->layout().elements(), tied + 40 * 24);
    const auto exported = ExportConfig(*model_, Problem::kSingleLabel);
    EXPECT_THAT(*exported, HasSubstr("\"tie_word_embeddings\": false"));
  }
  UseLlama(/*tied=*/true);
  tensors_["lm_head.weight"] = {{40, 24}, std::vector<float>(40 * 24, 0.5F)};
  ASSERT_EQ(Said(), "ok");
  EXPECT_EQ(Parameter("lm_head.weight"), std::vector<float>(40 * 24, 0.5F));
  tensors_["lm_head.weight"] = {{41, 24}, std::vector<float>(41 * 24, 0.5F)};
  EXPECT_THAT(Said(), HasSubstr("lm_head.weight is [41, 24], the model's is [40, 24]"));
}

TEST_F(DecoderCheckpoint, ATiedEmbeddingMayBeStoredAsTheOutputLayer) {
  for (const bool gpt2 : {true, false}) {
    gpt2 ? UseGpt2() : UseLlama(/*tied=*/true);
    const std::string embedding = gpt2 ? "transformer.wte.weight" : "model.embed_tokens.weight";
    const Stored stored = tensors_.extract(embedding).mapped();
    EXPECT_THAT(Said(), HasSubstr("the weights lack " + embedding));
    tensors_["lm_head.weight"] = stored;
    const auto loaded = Load();
    ASSERT_TRUE(loaded) << loaded.error().ToString();
    EXPECT_EQ(Parameter(embedding), stored.values);
    EXPECT_TRUE(loaded->ignored.empty());
  }
}

}  // namespace
}  // namespace tutti::model
