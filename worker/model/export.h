// A trained model as Transformers saves it: tensors for model.safetensors and the text of
// config.json. Pure functions; any thread.
#pragma once

#include <span>
#include <string>
#include <vector>

#include "common/base/result.h"
#include "worker/model/model.h"
#include "worker/safetensors/writer.h"

namespace tutti::model {

// Every parameter in f32 under its own name. The tensors borrow from `params`, a flat buffer of
// this layout.
std::vector<safetensors::TensorToWrite> TensorsToWrite(const ParameterLayout& layout,
                                                       std::span<const float> params);

// config.json of the trained model: what the base's says (its transformers_version too), with the
// architecture and float32 as data type, and of a classifier `problem` and the labels of
// model.config().
// Bytes as save_pretrained writes them: sorted keys, ids in numeric order, two spaces, ASCII.
Result<std::string> ExportConfig(const Model& model, Problem problem);

}  // namespace tutti::model
