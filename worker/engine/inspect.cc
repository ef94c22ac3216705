#include <algorithm>
#include <utility>
#include <vector>

#include "jobs/spec/parse.h"
#include "worker/data/statistics.h"
#include "worker/engine/request.h"
#include "worker/engine/tools.h"
#include "worker/finetune/job.h"
#include "worker/finetune/memory.h"
#include "worker/finetune/weights.h"
#include "worker/model/adapter_files.h"
#include "worker/model/load.h"
#include "worker/text/stream_decoder.h"

namespace tutti::engine {
namespace {

using nlohmann::json;

constexpr std::int64_t kExamples = 3;  // rows shown
constexpr std::int64_t kPairsShown = 2;

Result<finetune::JobInputs> ReadInputs(const json& request) {
  const auto spec = request.find("spec");
  if (spec == request.end()) return Fail(ErrorCode::kInvalid, "expected a resolved spec", "#/spec");
  finetune::JobInputs inputs;
  auto parsed = spec::FromJson(*spec);
  if (!parsed) return Fail(parsed.error().front());
  inputs.spec = std::move(*parsed);
  TUTTI_ASSIGN_OR_RETURN(inputs.model_dir, RequiredText(request, "model_dir"));
  TUTTI_ASSIGN_OR_RETURN(inputs.train_path, RequiredText(request, "train_path"));
  TUTTI_ASSIGN_OR_RETURN(const auto eval_path, OptionalText(request, "eval_path"));
  if (eval_path) inputs.eval_path = *eval_path;
  TUTTI_ASSIGN_OR_RETURN(const auto cache_dir, OptionalText(request, "cache_dir"));
  inputs.cache_dir = cache_dir.value_or("");
  return inputs;
}

data::LengthStatistics LengthsOf(const train::Samples& samples) {
  std::vector<std::int64_t> lengths;
  for (std::int64_t row = 0; row < samples.size(); ++row) {
    lengths.push_back(train::CountTokens(samples, {&row, 1}));
  }
  return data::Describe(std::move(lengths));
}

json HistogramOf(const data::LengthStatistics& lengths) {
  json histogram = json::array();
  for (const data::LengthBucket& bucket : lengths.histogram) {
    histogram.push_back({{"up_to", bucket.up_to}, {"rows", bucket.rows}});
  }
  return histogram;
}

// Of the base and of its adapter.
std::int64_t ParametersOf(const model::Model& model) {
  return model.base_layout().elements() +
         (model.adapter() == nullptr ? 0 : model.adapter()->layout().elements());
}

constexpr std::int64_t kCheckpointBytes = 12, kWeightBytes = 4;  // a parameter

// Checkpoints that lie on disk at once, the one being written included, and the exported model.
std::int64_t DiskBytes(const finetune::Job& job) {
  const spec::TrainingSpec& t = job.spec.training;
  const std::int64_t every = t.save_steps.value_or(job.counts.steps_per_epoch);
  const std::int64_t written = (job.counts.total_steps + every - 1) / every;
  std::int64_t kept = written;
  if (t.save_total_limit) {
    const std::int64_t best = t.load_best_model_at_end ? 1 : 0;
    kept = std::min(written, std::max<std::int64_t>(*t.save_total_limit, 2) + 1 + best);
  }
  return job.model->layout().elements() * kept * kCheckpointBytes +
         ParametersOf(*job.model) * kWeightBytes;
}

// The first rows as they will be read, in pieces that are trained (their weight) or not (0).
Result<json> ExamplesOf(const finetune::Job& job) {
  json examples = json::array();
  if (!job.generates()) return examples;
  const data::Dataset& dataset = *job.train.dataset;
  const std::int64_t shown = job.train.pairs ? 2 * kPairsShown : kExamples;
  for (std::int64_t row = 0; row < std::min(dataset.rows(), shown); ++row) {
    json pieces = json::array();
    text::StreamDecoder decoder(job.tokenizer, /*skip_special=*/false);
    const auto tokens = dataset.Tokens(row);
    const auto weights = dataset.Weights(row);
    for (std::size_t i = 0; i < tokens.size(); ++i) {
      // The first token of a row is predicted by nothing.
      const float weight = i == 0 ? 0.0F : weights[i];
      // What is held back goes to the piece that it belongs to.
      const bool ends = i + 1 == tokens.size() || weights[i + 1] != weights[i];
      TUTTI_ASSIGN_OR_RETURN(const std::string text,
                             decoder.Next(static_cast<std::uint32_t>(tokens[i]), ends));
      if (pieces.empty() || pieces.back()["weight"] != weight) {
        pieces.push_back({{"text", ""}, {"weight", weight}});
      }
      pieces.back()["text"] = pieces.back()["text"].get<std::string>() + text;
    }
    examples.push_back(std::move(pieces));
  }
  return examples;
}

}  // namespace

Result<json> Inspect(const json& request) {
  TUTTI_ASSIGN_OR_RETURN(const finetune::JobInputs inputs, ReadInputs(request));
  TUTTI_ASSIGN_OR_RETURN(finetune::Job job, finetune::PrepareJob(inputs));
  TUTTI_RETURN_IF_ERROR(model::CheckWeights(*job.model, model::BaseOf(inputs.model_dir)));
  std::vector<float> base(static_cast<std::size_t>(job.frozen()));
  std::vector<float> parameters(static_cast<std::size_t>(job.model->layout().total()));
  TUTTI_ASSIGN_OR_RETURN(const std::string frozen_warning, finetune::LoadFrozen(job, base));
  TUTTI_ASSIGN_OR_RETURN(const std::string warning, finetune::LoadTrained(job, base, parameters));
  for (const std::string& one : {frozen_warning, warning}) {
    if (!one.empty()) job.warnings.push_back(one);
  }
  TUTTI_ASSIGN_OR_RETURN(const finetune::Prediction predicted,
                         finetune::Predict(job, inputs.spec.resources.ranks_min,
                                           {.parameters = parameters, .base = base}));
  const data::LengthStatistics lengths = LengthsOf(job.train);
  json estimate = {
      {"rows", job.train.size()},
      {"eval_rows", job.eval ? job.eval->size() : 0},
      {"tokens", lengths.tokens},
      {"total_steps", job.counts.total_steps},
      {"memory_bytes_per_rank", predicted.memory.count},
      {"duration_ms", std::chrono::ceil<std::chrono::milliseconds>(predicted.training).count()},
      {"disk_bytes", DiskBytes(job)},
      {"export_bytes", ParametersOf(*job.model) * kWeightBytes},
      {"parameters", ParametersOf(*job.model)}};
  TUTTI_ASSIGN_OR_RETURN(json examples, ExamplesOf(job));
  return json{{"estimate", std::move(estimate)},
              {"format", std::string(ToString(job.format))},
              {"examples", std::move(examples)},
              {"labels", job.generates() ? std::vector<std::string>() : job.labels()},
              {"length_histogram", HistogramOf(lengths)},
              {"warnings", job.warnings}};
}

}  // namespace tutti::engine
