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
constexpr std::size_t kEntriesMax = 200'000;
constexpr int kDepthMax = 8;

using NamesByFile = std::map<std::string, std::vector<std::string>>;

// Reads weight_map out of an index as a stream of events: what else is there is not built.
class IndexReader : public Json::json_sax_t {
 public:
  NamesByFile names_by_file;
  bool found = false;   // a weight_map
  std::string problem;  // why a callback returned false

  bool start_object(std::size_t) override {
    if (depth_ == 1 && key_ == "weight_map") {
      if (found) return Refuse("weight_map twice");
      found = in_map_ = true;
    } else if (in_map_) {
      return Value();
    }
    return ++depth_ <= kDepthMax || Refuse("nested too deep");
  }
  bool end_object() override {
    if (--depth_ == 1) in_map_ = false;
    return true;
  }
  bool start_array(std::size_t) override {
    if (depth_ == 0) return Refuse("not a JSON object");
    return Value() && (++depth_ <= kDepthMax || Refuse("nested too deep"));
  }
  bool end_array() override {
    --depth_;
    return true;
  }
  bool key(string_t& name) override {
    if (depth_ == 1 || in_map_) key_ = std::move(name);
    return true;
  }
  bool string(string_t& file) override {
    if (!in_map_) return Value();
    if (++entries_ > kEntriesMax) return Refuse("more than 200,000 tensors");
    auto it = names_by_file.find(file);
    if (it == names_by_file.end()) {
      if (names_by_file.size() == kShardsMax) return Refuse("too many shards");
      it = names_by_file.try_emplace(std::move(file)).first;
    }
    it->second.push_back(std::move(key_));
    return true;
  }
  bool null() override { return Value(); }
  bool boolean(bool) override { return Value(); }
  bool number_integer(number_integer_t) override { return Value(); }
  bool number_unsigned(number_unsigned_t) override { return Value(); }
  bool number_float(number_float_t, const string_t&) override { return Value(); }
  bool binary(binary_t&) override { return Value(); }
  bool parse_error(std::size_t position, const std::string&, const Json::exception&) override {
    return Refuse("not JSON at byte " + std::to_string(position));
  }

 private:
  bool Refuse(std::string why) {
    if (problem.empty()) problem = std::move(why);
    return false;
  }
  // A value that is no name of a file: wrong within weight_map.
  bool Value() { return !in_map_ || Refuse("weight_map." + key_ + " is no name"); }

  int depth_ = 0;
  bool in_map_ = false;
  std::size_t entries_ = 0;
  std::string key_;
};

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
  IndexReader reader;
  if (!Json::sax_parse(text, &reader)) return Fail(ErrorCode::kInvalid, reader.problem, where);
  if (!reader.found) return Fail(ErrorCode::kInvalid, "no weight_map", where);
  for (const auto& [file_name, names] : reader.names_by_file) {
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
      if (!file_of_.emplace(name, files_.size()).second) {
        return Fail(ErrorCode::kInvalid, "weight_map has " + name + " twice", where);
      }
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
