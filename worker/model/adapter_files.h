// Adapters as PEFT saves them: adapter_config.json and adapter_model.safetensors. Free functions;
// any thread.
#pragma once

#include <filesystem>
#include <span>
#include <string>

#include "common/base/result.h"
#include "jobs/spec/model_files.h"
#include "worker/model/adapter.h"
#include "worker/model/load.h"
#include "worker/model/model.h"

namespace tutti::model {

inline constexpr const char* kAdapterConfigFile = spec::kAdapterConfigName;
inline constexpr const char* kAdapterWeightsFile = spec::kAdapterWeightsName;

// Whether a model's directory holds an adapter.
bool IsAdapter(const std::filesystem::path& directory);

// kUnsupported names what is not LoRA (use_dora, bias, …); kInvalid what is wrong.
Result<LoraOptions> ReadAdapterConfig(const std::filesystem::path& directory);
// base_model_name_or_path of an adapter's directory; empty: it names none.
Result<std::string> BaseNameOf(const std::filesystem::path& directory);
// Whether LoadAdapter would find every parameter in its shape, by headers alone: what
// adapter_config.json says is believed, and memory taken for it, only after the weights say so.
Status CheckAdapter(const Model& model, const std::filesystem::path& directory);
// `trained` is of an adapted model's layout. kInvalid, with the tensor's name: one that is missing,
// is not the adapter's, has another shape, or holds NaN or infinity.
Status LoadAdapter(const Model& model, const std::filesystem::path& directory,
                   std::span<float> trained);

// Where a model's own files lie: an adapter's directory has its base below "base".
inline constexpr const char* kBaseFolder = "base";
std::filesystem::path BaseOf(const std::filesystem::path& directory);
// config.json of a model's directory, or of an adapter's base. kInvalid: the base is not there, or
// is an adapter itself; no other place is ever looked at.
Result<ModelConfig> ReadConfigOf(const std::filesystem::path& directory);
// LoadWeights of a model's directory, or of an adapter's: then the two merged, in `params` of
// base_layout(). `model` is that of the base, with an adapter or without.
Result<LoadedWeights> LoadMerged(const Model& model, const std::filesystem::path& directory,
                                 std::uint64_t seed, std::span<float> params);
// Likewise in bfloat16.
Result<LoadedWeights> LoadMerged(const Model& model, const std::filesystem::path& directory,
                                 std::uint64_t seed, std::span<std::uint16_t> params);

// adapter_config.json of an adapted model, as PEFT 0.13 and later read it.
std::string AdapterConfigText(const Model& model, const std::string& base_name);

}  // namespace tutti::model
