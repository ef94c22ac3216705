#include "worker/model/export.h"

#include <nlohmann/json.hpp>

#include "common/base/check.h"

namespace tutti::model {

using Sorted = nlohmann::json;
using Ordered = nlohmann::ordered_json;

std::vector<safetensors::TensorToWrite> TensorsToWrite(const ParameterLayout& layout,
                                                       std::span<const float> params) {
  TUTTI_CHECK(params.size() == static_cast<std::size_t>(layout.total()), "params hold ",
              params.size(), " floats, the layout ", layout.total());
  std::vector<safetensors::TensorToWrite> tensors;
  tensors.reserve(layout.parameters().size());
  for (const ParameterInfo& parameter : layout.parameters()) {
    const auto values = params.subspan(static_cast<std::size_t>(parameter.offset),
                                       static_cast<std::size_t>(parameter.count));
    tensors.push_back({.name = parameter.name,
                       .dtype = safetensors::DType::kF32,
                       .shape = parameter.shape,
                       .data = std::as_bytes(values)});
  }
  return tensors;
}

Result<std::string> ExportConfig(const Model& model, Problem problem) {
  const ModelConfig& config = model.config();
  Sorted json = Sorted::parse(config.text, nullptr, /*allow_exceptions=*/false);
  if (!json.is_object()) return Fail(ErrorCode::kInvalid, "is not a JSON object", config.path);
  json["architectures"] = {model.checkpoint_names().architecture};
  const bool modern = json.contains("dtype");
  if (modern) json["dtype"] = "float32";
  if (!modern || json.contains("torch_dtype")) json["torch_dtype"] = "float32";
  if (config.head != Head::kClassification) {
    return json.dump(2, ' ', /*ensure_ascii=*/true, Sorted::error_handler_t::replace) + "\n";
  }
  json["problem_type"] = ToString(problem);
  json.erase("num_labels");  // Transformers derives it from id2label
  json["id2label"] = Sorted::object();
  json["label2id"] = Sorted::object();
  Ordered names = Ordered::object();  // Python sorts ids as numbers, std::map as text
  for (std::size_t id = 0; id < config.labels.size(); ++id) {
    names[std::to_string(id)] = config.labels[id];
    json["label2id"][config.labels[id]] = id;
  }
  Ordered ordered = Ordered::object();
  for (const auto& [key, value] : json.items()) {
    ordered[key] = key == "id2label" ? names : Ordered::parse(value.dump());
  }
  return ordered.dump(2, ' ', /*ensure_ascii=*/true, Ordered::error_handler_t::replace) + "\n";
}

}  // namespace tutti::model
