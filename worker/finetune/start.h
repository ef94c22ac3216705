// What preparing a job's rows has from the start, whatever its task. For worker/finetune only.
#pragma once

#include <cstdint>
#include <filesystem>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "common/base/result.h"
#include "worker/data/dataset.h"
#include "worker/finetune/job.h"
#include "worker/model/config.h"
#include "worker/text/tokenizer.h"

namespace tutti::finetune {

struct Start {
  model::ModelConfig config;
  text::Tokenizer tokenizer;
  std::int64_t max_length = 0;
};

// Reads a job's files alike. Borrows.
struct Loader {
  const JobInputs& inputs;
  const text::Tokenizer& tokenizer;
  std::int64_t max_length;
  data::RowFormat format = data::RowFormat::kTextLabel;
  std::optional<std::uint32_t> end_token{};
  std::shared_ptr<const text::ChatFormat> chat{};

  data::LoadOptions OptionsOf(const std::filesystem::path& path, std::string shown_name) const;
  Result<std::shared_ptr<const data::Dataset>> Load(const std::filesystem::path& path,
                                                    std::string shown_name) const;
};

// How errors call the training file.
std::string TrainName(const spec::JobSpec& spec);

// Every row of a language model's file; of preferences each two are a sample.
train::Samples LanguageSamples(std::shared_ptr<const data::Dataset> dataset,
                               data::RowFormat format);

// The evaluation rows: of their own file, or a part of the training rows. A null table: a language
// model's.
Status PrepareEval(const Loader& loader, const data::LabelTable* table, Job& job);

void WarnOfCutRows(const data::Dataset& dataset, std::int64_t max_length, bool pairs,
                   std::vector<std::string>& warnings);

// Makes the model what the spec's method and training ask for: its adapter (that of model_dir,
// where the job goes on with it), what it keeps.
Status SetUpModel(const JobInputs& inputs, model::Model& model);

// A job of text-generation.
Result<Job> PrepareGeneration(const JobInputs& inputs, Start start);

}  // namespace tutti::finetune
