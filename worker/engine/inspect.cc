#include <algorithm>
#include <utility>
#include <vector>

#include "jobs/spec/parse.h"
#include "worker/data/statistics.h"
#include "worker/engine/request.h"
#include "worker/engine/tools.h"
#include "worker/finetune/job.h"
#include "worker/finetune/memory.h"
#include "worker/model/load.h"

namespace tutti::engine {
namespace {

using nlohmann::json;

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
  return job.model->layout().elements() * (kept * kCheckpointBytes + kWeightBytes);
}

}  // namespace

Result<json> Inspect(const json& request) {
  TUTTI_ASSIGN_OR_RETURN(const finetune::JobInputs inputs, ReadInputs(request));
  TUTTI_ASSIGN_OR_RETURN(finetune::Job job, finetune::PrepareJob(inputs));
  const auto seed = static_cast<std::uint64_t>(inputs.spec.training.seed);
  TUTTI_RETURN_IF_ERROR(model::CheckWeights(*job.model, inputs.model_dir));
  std::vector<float> parameters(static_cast<std::size_t>(job.model->layout().total()));
  TUTTI_ASSIGN_OR_RETURN(const model::LoadedWeights loaded,
                         model::LoadWeights(*job.model, inputs.model_dir, seed, parameters));
  const std::string warning = finetune::FreshWarning(loaded.fresh);
  if (!warning.empty()) job.warnings.push_back(warning);
  TUTTI_ASSIGN_OR_RETURN(const Bytes memory,
                         finetune::PredictMemory(job, inputs.spec.resources.ranks_min, parameters));
  const data::LengthStatistics lengths = LengthsOf(job.train);
  json estimate = {{"rows", job.train.size()},
                   {"eval_rows", job.eval ? job.eval->size() : 0},
                   {"tokens", lengths.tokens},
                   {"total_steps", job.counts.total_steps},
                   {"memory_bytes_per_rank", memory.count},
                   {"disk_bytes", DiskBytes(job)},
                   {"export_bytes", job.model->layout().elements() * kWeightBytes},
                   {"parameters", job.model->layout().elements()}};
  return json{{"estimate", std::move(estimate)},
              {"labels", job.generates() ? std::vector<std::string>() : job.labels()},
              {"length_histogram", HistogramOf(lengths)},
              {"warnings", job.warnings}};
}

}  // namespace tutti::engine
