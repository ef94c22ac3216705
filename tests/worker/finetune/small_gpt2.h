// The small job's files for a language model: a GPT-2 of random weights, and rows for it.
#pragma once

#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>
#include <random>
#include <string>
#include <vector>

#include "tests/worker/finetune/small_job.h"

namespace tutti::finetune {

// A GPT-2 of random weights in place of the small job's model.
inline void WriteGpt2(const fs::path& directory) {
  WriteText(directory / "config.json",
            R"({"model_type": "gpt2", "architectures": ["GPT2LMHeadModel"], "vocab_size": 2004,
                "n_positions": 32, "n_embd": 64, "n_layer": 2, "n_head": 2, "pad_token_id": 0,
                "eos_token_id": 3, "resid_pdrop": 0.1, "torch_dtype": "float16"})");
  WriteText(directory / "generation_config.json", R"({"eos_token_id": 3})");
  auto made = model::MakeModel(*model::ReadModelConfig(directory));
  ASSERT_TRUE(made.has_value()) << made.error().ToString();
  const model::ParameterLayout& layout = (*made)->layout();
  std::vector<float> values(static_cast<std::size_t>(layout.total()));
  std::minstd_rand generator(7);
  for (const model::ParameterInfo& parameter : layout.parameters()) {
    for (std::int64_t i = 0; i < parameter.count; ++i) {
      const float draw =
          static_cast<float>(generator()) / static_cast<float>(std::minstd_rand::max()) - 0.5f;
      const bool gamma =
          parameter.name.find("ln_") != std::string::npos && parameter.name.ends_with("weight");
      values[static_cast<std::size_t>(parameter.offset + i)] = gamma ? 1.0f : 0.08f * draw;
    }
  }
  ASSERT_TRUE(
      safetensors::Write(directory / "model.safetensors", model::TensorsToWrite(layout, values))
          .has_value());
}

// Prompts of two words whose completion says the first again and again.
inline void WritePairs(const fs::path& path, int rows, unsigned seed) {
  std::ofstream out(path);
  std::minstd_rand generator(seed);
  for (int row = 0; row < rows; ++row) {
    const std::string word = "w" + std::to_string(generator() % 20);
    std::string completion;
    for (unsigned i = 0; i < 1 + generator() % 6; ++i) completion += " " + word;
    out << nlohmann::json{{"prompt", word + " w" + std::to_string(generator() % 500)},
                          {"completion", completion}}
        << "\n";
  }
}

}  // namespace tutti::finetune
