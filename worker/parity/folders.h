// The kinds of reference folders, one function each: reads the folder and reports its cases. A
// Status is an error of the reference itself (a file that is missing or broken). One thread.
#pragma once

#include <filesystem>
#include <nlohmann/json.hpp>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "common/base/result.h"
#include "worker/parity/report.h"
#include "worker/safetensors/reader.h"

namespace tutti::model {
class LanguageModel;
}  // namespace tutti::model

namespace tutti::parity {

using Json = nlohmann::json;

Result<Json> ReadJson(const std::filesystem::path& file);
Result<std::vector<float>> Floats(const safetensors::File& file, std::string_view name);
Result<std::vector<std::int64_t>> Integers(const safetensors::File& file, std::string_view name);

// `cases` is the folder's cases.json. Fields that are missing or of another kind throw
// Json::exception.
Status RunFamily(const std::filesystem::path& folder, const Json& cases, Report& report);
// Documents that share rows.
Status RunPacking(const std::filesystem::path& folder, const Json& cases, Report& report);
// A language model's answers; `cases` is the member "generation" of its cases.json.
Status RunGeneration(model::LanguageModel& model, const Json& cases, const std::string& name,
                     Report& report);
// PEFT's adapters.
Status RunPeft(const std::filesystem::path& folder, const Json& cases, Report& report);
Status RunLosses(const std::filesystem::path& folder, const Json& cases, Report& report);
// Of RunLosses the kind "dpo".
Status RunPreferences(const std::filesystem::path& folder, const Json& cases, Report& report);
Status RunSchedules(const Json& cases, Report& report);
// `expected` is the folder's expected.json.
Status RunMetrics(const Json& expected, Report& report);

}  // namespace tutti::parity
