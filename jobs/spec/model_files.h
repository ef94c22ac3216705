// The files of a model's folder that jobs read, told by their names, and how an adapter's lie
// beside those of its base. Pure functions; any thread.
#pragma once

#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "common/base/result.h"
#include "common/base/units.h"

namespace tutti::spec {

// An adapter's folder is one with this file in it.
inline constexpr const char* kAdapterConfigName = "adapter_config.json";
inline constexpr const char* kAdapterWeightsName = "adapter_model.safetensors";
inline constexpr Bytes kAdapterConfigMax{1 << 20};

// Whether a file of that name belongs to a model: weights as safetensors, configuration,
// vocabulary, templates. Never pickles.
bool IsModelFile(std::string_view name);

// What is wrong with a model's `directory`, or an adapter's, whose files have these names and no
// weights that Tutti reads: where they are pickled, the hint converts them.
Error WithoutWeights(std::span<const std::string> names, const std::string& directory);
Error AdapterWithoutWeights(std::span<const std::string> names, const std::string& directory);

struct PlacedFile {
  std::string place{};   // in the folder that the engine reads: "base/config.json"
  bool of_base = false;  // or the adapter's
  std::string name{};    // in its own folder

  bool operator==(const PlacedFile&) const = default;
};
// An adapter's files with its base's configuration and weights below "base". An adapter without a
// vocabulary, as PEFT's library saves it, gets all else that its base has. `adapter` and `base` are
// the names of files in the two folders; ascending by place.
std::vector<PlacedFile> PlaceAdapter(std::span<const std::string> adapter,
                                     std::span<const std::string> base);

// base_model_name_or_path of the text of adapter_config.json; empty where it names none. kInvalid:
// no JSON object, or no name.
Result<std::string> BaseNamed(const std::string& adapter_config, const std::string& where);

}  // namespace tutti::spec
