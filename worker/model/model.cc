#include "worker/model/model.h"

#include <array>
#include <string_view>
#include <utility>

#include "worker/model/bert.h"

namespace tutti::model {
namespace {

struct Family {
  std::string_view model_type;
  Result<std::unique_ptr<Model>> (*make)(const ModelConfig&);
};

constexpr std::array kFamilies = {Family{"bert", MakeBert}};

}  // namespace

Result<std::unique_ptr<Model>> MakeModel(const ModelConfig& config) {
  std::string supported;
  for (const Family& family : kFamilies) {
    if (family.model_type == config.model_type) return family.make(config);
    supported += (supported.empty() ? "" : ", ") + std::string(family.model_type);
  }
  return Fail(ErrorCode::kUnsupported,
              "model_type '" + config.model_type + "' is not supported yet", config.path,
              "supported: " + supported);
}

}  // namespace tutti::model
