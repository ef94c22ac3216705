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
  std::span<const float> frozen{};      // with an adapter: the room that LoadFrozen filled
  train::Metrics metrics{};             // of these weights; empty: not evaluated
  std::int64_t step = 0;                // steps trained
};

// Writes model.safetensors and config.json (of an adapter its two files as PEFT has them, and the
// base below "base"), the base's tokenizer files and a model card README.md below `directory`, each
// whole or not at all. Returns their names, sorted. kDiskFull, kIo.
Result<std::vector<std::string>> ExportModel(const std::filesystem::path& directory,
                                             const ExportInput& input);

// The model that an adapter's directory stands for, as one that needs no adapter: merged weights,
// config.json and the tokenizer's files in `to`, which is made. Returns their names, sorted.
// kInvalid: `from` is no adapter with its base, or is damaged.
Result<std::vector<std::string>> MergeAdapter(const std::filesystem::path& from,
                                              const std::filesystem::path& to);

// README.md: what the model does, what it was tuned from and on, how well, and how to use it.
std::string ModelCard(const ExportInput& input);

}  // namespace tutti::finetune
