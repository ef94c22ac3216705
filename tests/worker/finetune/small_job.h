// A job small enough for a test: a BERT of 200,000 parameters, words for tokens, and rows whose
// label can be learned from their words.
#pragma once

#include <gtest/gtest.h>

#include <cstdint>
#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>
#include <random>
#include <string>
#include <vector>

#include "jobs/spec/spec.h"
#include "worker/finetune/job.h"
#include "worker/model/export.h"
#include "worker/model/model.h"
#include "worker/safetensors/writer.h"

namespace tutti::finetune {

namespace fs = std::filesystem;

inline constexpr int kWords = 2000;
inline constexpr int kLabels = 3;
inline constexpr int kTrainRows = 50;  // of 16 a step: the last step of an epoch has 2
inline constexpr int kEvalRows = 21;

inline void WriteText(const fs::path& path, const std::string& text) {
  std::ofstream(path, std::ios::binary) << text;
}

inline void WriteTokenizer(const fs::path& directory) {
  using nlohmann::json;
  const std::vector<std::string> special = {"[PAD]", "[UNK]", "[CLS]", "[SEP]"};
  json vocabulary, added = json::array();
  for (std::size_t i = 0; i < special.size(); ++i) {
    vocabulary[special[i]] = i;
    added.push_back({{"id", i},
                     {"content", special[i]},
                     {"single_word", false},
                     {"lstrip", false},
                     {"rstrip", false},
                     {"normalized", false},
                     {"special", true}});
  }
  for (int word = 0; word < kWords; ++word) {
    vocabulary["w" + std::to_string(word)] = special.size() + static_cast<std::size_t>(word);
  }
  const auto piece = [](const char* name) {
    return json{{"SpecialToken", {{"id", name}, {"type_id", 0}}}};
  };
  const auto template_of = [](const char* name, int id) {
    return json{{"id", name}, {"ids", {id}}, {"tokens", {name}}};
  };
  const json single = {
      piece("[CLS]"), {{"Sequence", {{"id", "A"}, {"type_id", 0}}}}, piece("[SEP]")};
  const json tokenizer = {
      {"version", "1.0"},
      {"truncation", nullptr},
      {"padding", nullptr},
      {"added_tokens", added},
      {"normalizer", nullptr},
      {"pre_tokenizer", {{"type", "WhitespaceSplit"}}},
      {"post_processor",
       {{"type", "TemplateProcessing"},
        {"single", single},
        {"pair", single},
        {"special_tokens",
         {{"[CLS]", template_of("[CLS]", 2)}, {"[SEP]", template_of("[SEP]", 3)}}}}},
      {"decoder", nullptr},
      {"model", {{"type", "WordLevel"}, {"vocab", vocabulary}, {"unk_token", "[UNK]"}}}};
  WriteText(directory / "tokenizer.json", tokenizer.dump());
  WriteText(directory / "tokenizer_config.json",
            R"({"pad_token": "[PAD]", "unk_token": "[UNK]", "model_max_length": 32})");
}

// A base without a head, with random weights.
inline void WriteModel(const fs::path& directory) {
  fs::create_directories(directory);
  WriteText(directory / "config.json", nlohmann::json{{"architectures", {"BertForMaskedLM"}},
                                                      {"model_type", "bert"},
                                                      {"vocab_size", kWords + 4},
                                                      {"hidden_size", 64},
                                                      {"num_hidden_layers", 2},
                                                      {"num_attention_heads", 2},
                                                      {"intermediate_size", 128},
                                                      {"max_position_embeddings", 32},
                                                      {"type_vocab_size", 2},
                                                      {"pad_token_id", 0},
                                                      {"hidden_dropout_prob", 0.1},
                                                      {"attention_probs_dropout_prob", 0.1}}
                                           .dump());
  WriteTokenizer(directory);
  auto config = model::ReadModelConfig(directory);
  ASSERT_TRUE(config.has_value()) << config.error().ToString();
  auto model = model::MakeModel(*config);
  ASSERT_TRUE(model.has_value()) << model.error().ToString();
  std::vector<float> values(static_cast<std::size_t>((*model)->layout().total()));
  std::minstd_rand generator(7);
  for (const model::ParameterInfo& parameter : (*model)->layout().parameters()) {
    const bool is_norm = parameter.name.find("LayerNorm.weight") != std::string::npos;
    for (std::int64_t i = 0; i < parameter.count; ++i) {
      const float draw =
          static_cast<float>(generator()) / static_cast<float>(std::minstd_rand::max()) - 0.5f;
      values[static_cast<std::size_t>(parameter.offset + i)] = is_norm ? 1.0f : 0.08f * draw;
    }
  }
  auto tensors = model::TensorsToWrite((*model)->layout(), values);
  std::erase_if(tensors, [](const auto& tensor) { return tensor.name.starts_with("classifier"); });
  ASSERT_TRUE(safetensors::Write(directory / "model.safetensors", tensors).has_value());
}

// Rows of 3 to 20 words; each label has words of its own among them.
inline void WriteRows(const fs::path& path, int rows, unsigned seed) {
  std::ofstream out(path);
  std::minstd_rand generator(seed);
  const auto draw = [&generator](int below) {
    return static_cast<int>(generator() % static_cast<unsigned>(below));
  };
  for (int row = 0; row < rows; ++row) {
    const int label = draw(kLabels);
    std::string text;
    for (int word = 3 + draw(18); word > 0; --word) {
      const int index = draw(4) != 0 ? 10 * label + draw(4) : 100 + draw(kWords - 100);
      text += "w" + std::to_string(index) + " ";
    }
    out << nlohmann::json{{"text", text}, {"label", std::string(1, static_cast<char>('a' + label))}}
        << "\n";
  }
}

struct SmallJob {
  fs::path root;

  explicit SmallJob(const std::string& name)
      : root(fs::path(testing::TempDir()) / ("finetune-" + name + "-" + std::to_string(getpid()))) {
    fs::remove_all(root);
    fs::create_directories(root);
    WriteModel(model_dir());
    WriteRows(train_path(), kTrainRows, 1);
    WriteRows(eval_path(), kEvalRows, 2);
  }
  ~SmallJob() { fs::remove_all(root); }

  fs::path model_dir() const { return root / "model"; }
  fs::path train_path() const { return root / "rows.train.jsonl"; }
  fs::path eval_path() const { return root / "rows.eval.jsonl"; }

  static spec::JobSpec Spec() {
    spec::JobSpec spec;
    spec.name = "small";
    spec.model = "./model";
    spec.data.train = "rows.train.jsonl";
    spec.data.eval = "rows.eval.jsonl";
    spec.training.num_train_epochs = 3;
    spec.training.global_batch_size = 16;
    spec.training.micro_batch_size = 2;
    spec.training.shards = 4;
    spec.training.learning_rate = 3e-3;
    spec.training.weight_decay = 0.01;
    spec.training.warmup_ratio = 0.1;
    spec.training.eval_steps = 4;
    spec.training.save_steps = 3;
    spec.training.logging_steps = 1;
    spec.resources.ranks_max = 4;
    return spec;
  }
  JobInputs Inputs(const spec::JobSpec& spec) const {
    JobInputs inputs;
    inputs.spec = spec;
    inputs.model_dir = model_dir();
    inputs.train_path = train_path();
    if (spec.data.eval) inputs.eval_path = eval_path();
    return inputs;
  }
};

}  // namespace tutti::finetune
