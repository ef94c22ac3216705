// The weights of a model's directory: model.safetensors, or shards listed by
// model.safetensors.index.json. Copies share the mappings; reading is safe from any thread.
#pragma once

#include <cstddef>
#include <filesystem>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "common/base/result.h"
#include "worker/safetensors/reader.h"

namespace tutti::safetensors {

class ModelWeights {
 public:
  // `stem`: "model", or "adapter_model". STEM.safetensors wins over STEM.safetensors.index.json.
  // Errors: kNotFound with neither; kInvalid for a weight_map that names a file outside the
  // directory, or a tensor that its file has not.
  static Result<ModelWeights> Open(const std::filesystem::path& directory,
                                   std::string_view stem = "model");

  // kNotFound names the tensor.
  Result<Tensor> Find(std::string_view name) const;
  bool Contains(std::string_view name) const { return file_of_.contains(std::string(name)); }
  // Ascending.
  std::vector<std::string> Names() const;
  // In order of their names: one, or the shards.
  const std::vector<File>& files() const { return files_; }

 private:
  Status OpenShards(const std::filesystem::path& directory, const std::filesystem::path& index);

  std::vector<File> files_;
  std::map<std::string, std::size_t> file_of_;  // index into files_
};

}  // namespace tutti::safetensors
