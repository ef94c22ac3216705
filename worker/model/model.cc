#include "worker/model/model.h"

#include <algorithm>
#include <array>
#include <string_view>
#include <utility>

#include "worker/model/bert.h"
#include "worker/model/decoder.h"

namespace tutti::model {
namespace {

struct Family {
  std::string_view model_type;
  bool generates = false;  // it can have a language model's head
  Result<std::unique_ptr<Model>> (*make)(const ModelConfig&) = nullptr;
};

constexpr std::array kFamilies = {
    Family{.model_type = "bert", .make = MakeBert},
    Family{.model_type = "distilbert", .make = MakeDistilBert},
    Family{.model_type = "gpt2", .generates = true, .make = MakeGpt2},
    Family{.model_type = "llama", .generates = true, .make = MakeLlama},
    Family{.model_type = "mistral", .generates = true, .make = MakeMistral},
    Family{.model_type = "qwen2", .generates = true, .make = MakeQwen2},
    Family{.model_type = "roberta", .make = MakeRoberta},
};

// "bert, gpt2, …": those that can have this head, in order.
std::string SupportedFamilies(Head head) {
  std::string names;
  for (const Family& family : kFamilies) {
    if (head == Head::kCausalLm && !family.generates) continue;
    names += (names.empty() ? "" : ", ") + std::string(family.model_type);
  }
  return names;
}

}  // namespace

Result<std::unique_ptr<Model>> MakeModel(const ModelConfig& config) {
  const auto family = std::ranges::find(kFamilies, config.model_type, &Family::model_type);
  if (family == kFamilies.end()) {
    return Fail(ErrorCode::kUnsupported,
                "model_type '" + config.model_type + "' is not supported yet", config.path,
                "supported: " + SupportedFamilies(config.head));
  }
  if (config.head == Head::kCausalLm && !family->generates) {
    return Fail(ErrorCode::kUnsupported,
                "model_type '" + config.model_type + "' does not write text", config.path,
                "supported for text-generation: " + SupportedFamilies(Head::kCausalLm));
  }
  return family->make(config);
}

}  // namespace tutti::model
