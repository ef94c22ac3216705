// The weights that a job starts from: its base's, an adapter's fresh ones, or those of an earlier
// job (resume_from). Free functions; one thread.
#pragma once

#include <filesystem>
#include <optional>
#include <span>
#include <string>

#include "common/base/result.h"
#include "worker/finetune/job.h"

namespace tutti::finetune {

inline constexpr const char* kResumeFolder = "resume";  // below the model's
// Where the files of resume_from lie: nullopt without it.
std::optional<std::filesystem::path> ResumedFrom(const Job& job);

// Both return a warning, empty when there is nothing to say. Errors are LoadWeights' and
// LoadAdapter's.
// What an adapter is trained beside, and what preferences are compared with: of base_layout().
// Nothing where neither is asked for. Without an adapter it is what training starts from.
// `frozen` is room of job.frozen() floats.
Result<std::string> LoadFrozen(const Job& job, std::span<float> frozen);
// The weights in that room.
model::WeightPlace FrozenIn(const Job& job, std::span<const float> frozen);
// What is trained, of layout(). REQUIRES: `frozen` as LoadFrozen left it.
Result<std::string> LoadTrained(const Job& job, std::span<const float> frozen,
                                std::span<float> trained);

}  // namespace tutti::finetune
