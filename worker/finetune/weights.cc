#include "worker/finetune/weights.h"

#include <algorithm>

#include "worker/model/adapter_files.h"

namespace tutti::finetune {
namespace {

namespace fs = std::filesystem;

std::uint64_t SeedOf(const Job& job) { return static_cast<std::uint64_t>(job.spec.training.seed); }

}  // namespace

std::optional<fs::path> ResumedFrom(const Job& job) {
  if (!job.spec.resume_from) return std::nullopt;
  return job.model_dir / kResumeFolder;
}

Result<std::string> LoadFrozen(const Job& job, std::span<float> frozen) {
  if (job.frozen() == 0) return std::string();
  const bool adapts = job.model->adapter() != nullptr;
  const fs::path from = job.goes_on ? model::BaseOf(job.model_dir)
                        : adapts    ? job.model_dir
                                    : ResumedFrom(job).value_or(job.model_dir);
  if (!job.narrow_base) {
    TUTTI_ASSIGN_OR_RETURN(const model::LoadedWeights loaded,
                           model::LoadMerged(*job.model, from, SeedOf(job), frozen));
    return FreshWarning(loaded.fresh);
  }
  const std::span halves(reinterpret_cast<std::uint16_t*>(frozen.data()),
                         static_cast<std::size_t>(job.model->base_layout().total()));
  TUTTI_ASSIGN_OR_RETURN(const model::LoadedWeights loaded,
                         model::LoadMerged(*job.model, from, SeedOf(job), halves));
  return FreshWarning(loaded.fresh);
}

model::WeightPlace FrozenIn(const Job& job, std::span<const float> frozen) {
  if (!job.narrow_base) return frozen.data();
  return reinterpret_cast<const std::uint16_t*>(frozen.data());
}

Result<std::string> LoadTrained(const Job& job, std::span<const float> frozen,
                                std::span<float> trained) {
  const auto resumed = ResumedFrom(job);
  if (const model::Adapter* adapter = job.model->adapter()) {
    if (job.goes_on) {
      TUTTI_RETURN_IF_ERROR(model::LoadAdapter(*job.model, job.model_dir, trained));
      return std::string();
    }
    if (!resumed) {
      adapter->Initialise(FrozenIn(job, frozen), SeedOf(job), trained);
      return std::string();
    }
    if (!model::IsAdapter(*resumed)) {
      return Fail(ErrorCode::kInvalid, *job.spec.resume_from + " is a whole model, no adapter",
                  "resume_from", "write model: " + *job.spec.resume_from + " to adapt it");
    }
    TUTTI_RETURN_IF_ERROR(model::LoadAdapter(*job.model, *resumed, trained));
    return std::string();
  }
  if (!frozen.empty()) {
    std::ranges::copy(frozen, trained.begin());
    return std::string();
  }
  TUTTI_ASSIGN_OR_RETURN(
      const model::LoadedWeights loaded,
      model::LoadMerged(*job.model, resumed.value_or(job.model_dir), SeedOf(job), trained));
  return FreshWarning(loaded.fresh);
}

}  // namespace tutti::finetune
