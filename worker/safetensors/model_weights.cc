#include "worker/safetensors/model_weights.h"

#include <nlohmann/json.hpp>
#include <utility>

#include "common/base/units.h"
#include "common/file/file.h"

namespace tutti::safetensors {
namespace {

using Json = nlohmann::json;

constexpr Bytes kIndexMax{16 << 20};
constexpr std::size_t kShardsMax = 4'096;

}  // namespace

Result<ModelWeights> ModelWeights::Open(const std::filesystem::path& directory,
                                        std::string_view stem) {
  const std::filesystem::path whole = directory / (std::string(stem) + ".safetensors");
  const std::filesystem::path index = directory / (std::string(stem) + ".safetensors.index.json");
  ModelWeights weights;
  std::error_code ignored;
  if (!std::filesystem::exists(whole, ignored) && std::filesystem::exists(index, ignored)) {
    TUTTI_RETURN_IF_ERROR(weights.OpenShards(directory, index));
    return weights;
  }
  TUTTI_ASSIGN_OR_RETURN(File file, File::Open(whole));
  for (std::size_t i = 0; i < file.size(); ++i) {
    weights.file_of_.emplace(std::string(file.at(i).name), 0);
  }
  weights.files_.push_back(std::move(file));
  return weights;
}

Status ModelWeights::OpenShards(const std::filesystem::path& directory,
                                const std::filesystem::path& index) {
  const std::string where = index.string();
  TUTTI_ASSIGN_OR_RETURN(const std::string text, ReadFile(index, kIndexMax));
  // Objects two levels deep: what nests deeper is dropped while parsing, not built.
  const Json json = Json::parse(
      text, [](int depth, Json::parse_event_t, Json&) { return depth <= 3; },
      /*allow_exceptions=*/false);
  const auto map = json.is_object() ? json.find("weight_map") : json.end();
  if (!json.is_object() || map == json.end() || !map->is_object()) {
    return Fail(ErrorCode::kInvalid, "no weight_map", where);
  }
  std::map<std::string, std::vector<std::string>> names_by_file;
  for (const auto& [name, file] : map->items()) {
    if (!file.is_string())
      return Fail(ErrorCode::kInvalid, "weight_map." + name + " is no name", where);
    names_by_file[file.get<std::string>()].push_back(name);
  }
  if (names_by_file.size() > kShardsMax)
    return Fail(ErrorCode::kTooLarge, "too many shards", where);
  for (const auto& [file_name, names] : names_by_file) {
    if (file_name.find('/') != std::string::npos) {
      return Fail(ErrorCode::kInvalid, "weight_map names '" + file_name + "', not a file beside it",
                  where);
    }
    TUTTI_ASSIGN_OR_RETURN(const std::filesystem::path path, JoinBeneath(directory, file_name));
    TUTTI_ASSIGN_OR_RETURN(File file, File::Open(path));
    for (const std::string& name : names) {
      if (!file.Contains(name)) {
        return Fail(ErrorCode::kInvalid,
                    "weight_map has " + name + " in " + file_name + ", which lacks it", where);
      }
      file_of_.emplace(name, files_.size());
    }
    files_.push_back(std::move(file));
  }
  return {};
}

Result<Tensor> ModelWeights::Find(std::string_view name) const {
  const auto it = file_of_.find(std::string(name));
  if (it == file_of_.end()) {
    const std::string where = files_.empty() ? "" : files_.front().path().parent_path().string();
    return Fail(ErrorCode::kNotFound, "no tensor " + std::string(name), where);
  }
  return files_[it->second].Find(name);
}

std::vector<std::string> ModelWeights::Names() const {
  std::vector<std::string> names;
  names.reserve(file_of_.size());
  for (const auto& [name, file] : file_of_) names.push_back(name);
  return names;
}

}  // namespace tutti::safetensors
