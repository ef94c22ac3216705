// The result of a job: a directory that Transformers loads. Free functions; one thread.
#pragma once

#include <filesystem>
#include <span>
#include <string>
#include <vector>

#include "common/base/result.h"
#include "worker/finetune/job.h"
#include "worker/train/evaluator.h"

namespace tutti::finetune {

struct ExportInput {
  const Job& job;
  std::span<const float> parameters{};  // a flat buffer of the model's layout
  train::Metrics metrics{};             // of these weights; empty: not evaluated
  std::int64_t step = 0;                // steps trained
};

// Writes model.safetensors, config.json, the base's tokenizer files and a model card README.md
// below `directory`, each whole or not at all. Returns their names, sorted. kDiskFull, kIo.
Result<std::vector<std::string>> ExportModel(const std::filesystem::path& directory,
                                             const ExportInput& input);

// README.md: what the model does, what it was tuned from and on, how well, and how to use it.
std::string ModelCard(const ExportInput& input);

}  // namespace tutti::finetune
