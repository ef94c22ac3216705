#include "worker/model/adapter_files.h"

#include <algorithm>
#include <cmath>
#include <nlohmann/json.hpp>
#include <set>
#include <utility>

#include "common/base/check.h"
#include "common/file/file.h"
#include "common/json/limits.h"
#include "worker/safetensors/convert.h"
#include "worker/safetensors/reader.h"

namespace tutti::model {
namespace {

namespace fs = std::filesystem;
using Json = nlohmann::json;

constexpr Bytes kAdapterFileMax{1 << 20};
constexpr JsonLimits kAdapterFileLimits{.depth_max = 16, .values_max = 100'000};
constexpr std::int64_t kRankMax = 65'536;

// Options of PEFT that change what an adapter computes: off, or refused.
constexpr const char* kMustBeOff[] = {
    "use_dora",          "lora_bias",       "layer_replication", "trainable_token_indices",
    "target_parameters", "use_qalora",      "use_bdlora",        "alora_invocation_tokens",
    "arrow_config",      "exclude_modules", "layers_pattern",    "kasa_config",
    "monteclora_config", "velora_config"};

bool IsOff(const Json& value) {
  return value.is_null() || value == false || value == 0 ||
         (value.is_structured() && value.empty());
}

// Takes fields of one object; the first error stays.
class ConfigFields {
 public:
  ConfigFields(const Json& json, std::string path) : json_(json), path_(std::move(path)) {}

  const Json* Find(const char* name) const {
    const auto found = json_.find(name);
    return found == json_.end() || found->is_null() ? nullptr : &*found;
  }
  void Wrong(const char* name, const std::string& what) {
    if (status_) status_ = Fail(ErrorCode::kInvalid, std::string(name) + " " + what, path_);
  }
  void Refuse(const char* name, const Json& value) {
    if (!status_) return;
    status_ = Fail(ErrorCode::kUnsupported,
                   std::string(name) + " " + ShowJson(value.dump()) + " is not supported yet",
                   path_, "supported: LoRA and rsLoRA of linear layers");
  }
  void Number(const char* name, double& value) {
    const Json* const found = Find(name);
    if (found == nullptr) return;
    if (!found->is_number() || !std::isfinite(found->get<double>())) {
      return Wrong(name, "is not a number");
    }
    value = found->get<double>();
  }
  std::int64_t Rank(const Json& value, const char* name) {
    if (value.is_number_integer() && value >= 1 && value <= kRankMax) {
      return value.get<std::int64_t>();
    }
    Wrong(name, "is not a whole number from 1 to 65,536");
    return 1;
  }
  std::vector<std::string> Names(const char* name) {
    std::vector<std::string> names;
    const Json* const found = Find(name);
    if (found == nullptr) return names;
    if (!found->is_array()) Wrong(name, "is not a list of names");
    for (const Json& one : *found) {
      if (one.is_string()) {
        names.push_back(one.get<std::string>());
      } else {
        Wrong(name, "is not a list of names");
      }
    }
    return names;
  }
  Status status() const { return status_; }

 private:
  const Json& json_;
  std::string path_;
  Status status_;
};

void ReadTargets(ConfigFields& fields, LoraOptions& options) {
  if (const Json* targets = fields.Find("target_modules")) {
    if (*targets == "all-linear") {
      options.all_linear = true;
    } else if (targets->is_string()) {
      options.target_pattern = targets->get<std::string>();
    } else {
      options.target_modules = fields.Names("target_modules");
    }
  }
  options.modules_to_save = fields.Names("modules_to_save");
  const Json* const layers = fields.Find("layers_to_transform");
  if (layers == nullptr) return;
  for (const Json& layer : layers->is_array() ? *layers : Json::array({*layers})) {
    if (layer.is_number_integer()) {
      options.layers_to_transform.push_back(layer.get<std::int64_t>());
    } else {
      fields.Wrong("layers_to_transform", "is not a list of layers");
    }
  }
}

void ReadPatterns(ConfigFields& fields, LoraOptions& options) {
  for (const char* name : {"rank_pattern", "alpha_pattern"}) {
    const Json* const found = fields.Find(name);
    if (found == nullptr) continue;
    if (!found->is_object()) return fields.Wrong(name, "is not an object");
    for (const auto& [key, value] : found->items()) {
      if (name == std::string_view("rank_pattern")) {
        options.rank_pattern[key] = fields.Rank(value, name);
      } else if (value.is_number()) {
        options.alpha_pattern[key] = value.get<double>();
      } else {
        fields.Wrong(name, "has a value that is no number");
      }
    }
  }
}

// The heads that PEFT saves by itself are named in its files as well.
void DropOwnHeads(const Json& json, LoraOptions& options) {
  if (json.value("task_type", Json()) != "SEQ_CLS") return;
  std::erase_if(options.modules_to_save,
                [](const std::string& name) { return name == "classifier" || name == "score"; });
}

std::string SizesText(std::span<const std::int64_t> shape) {
  std::string text;
  for (const std::int64_t size : shape) text += (text.empty() ? "" : ", ") + std::to_string(size);
  return "[" + text + "]";
}

Json WholeOr(double value) {
  const auto whole = static_cast<std::int64_t>(value);
  return static_cast<double>(whole) == value ? Json(whole) : Json(value);
}

Json TargetsOf(const Adapter& adapter) {
  const LoraOptions& options = adapter.options();
  if (options.target_pattern) return *options.target_pattern;
  std::set<std::string> names(options.target_modules.begin(), options.target_modules.end());
  if (names.empty()) {
    for (const Adapter::Lora& lora : adapter.loras()) names.insert(lora.module);
  }
  return names;
}

}  // namespace

bool IsAdapter(const fs::path& directory) {
  std::error_code ignored;
  return fs::exists(directory / kAdapterConfigFile, ignored);
}

Result<LoraOptions> ReadAdapterConfig(const fs::path& directory) {
  const std::string path = (directory / kAdapterConfigFile).string();
  TUTTI_ASSIGN_OR_RETURN(const std::string text, ReadFile(path, kAdapterFileMax));
  TUTTI_RETURN_IF_ERROR(CheckJsonLimits(text, kAdapterFileLimits, path));
  const Json json = Json::parse(text, nullptr, /*allow_exceptions=*/false);
  if (!json.is_object()) return Fail(ErrorCode::kInvalid, "is not a JSON object", path);
  ConfigFields fields(json, path);
  LoraOptions options;
  if (const Json* type = fields.Find("peft_type"); type != nullptr && *type != "LORA") {
    fields.Refuse("peft_type", *type);
  }
  if (const Json* bias = fields.Find("bias"); bias != nullptr && *bias != "none") {
    fields.Refuse("bias", *bias);
  }
  for (const char* name : kMustBeOff) {
    if (const Json* value = fields.Find(name); value != nullptr && !IsOff(*value)) {
      fields.Refuse(name, *value);
    }
  }
  if (const Json* r = fields.Find("r")) options.r = fields.Rank(*r, "r");
  fields.Number("lora_alpha", options.lora_alpha);
  fields.Number("lora_dropout", options.lora_dropout);
  if (!(options.lora_dropout >= 0 && options.lora_dropout < 1)) {
    fields.Wrong("lora_dropout", "is not in [0, 1)");
  }
  if (const Json* rslora = fields.Find("use_rslora")) options.use_rslora = *rslora == true;
  ReadTargets(fields, options);
  ReadPatterns(fields, options);
  TUTTI_RETURN_IF_ERROR(fields.status());
  DropOwnHeads(json, options);
  return options;
}

Result<std::string> BaseNameOf(const fs::path& directory) {
  const std::string path = (directory / kAdapterConfigFile).string();
  TUTTI_ASSIGN_OR_RETURN(const std::string text, ReadFile(path, kAdapterFileMax));
  return spec::BaseNamed(text, path);
}

Status CheckAdapter(const Model& model, const fs::path& directory) {
  TUTTI_CHECK(model.adapter() != nullptr, "Adapt comes before CheckAdapter");
  const fs::path path = directory / kAdapterWeightsFile;
  TUTTI_ASSIGN_OR_RETURN(const safetensors::File file, safetensors::File::Open(path));
  const auto& parameters = model.layout().parameters();
  for (const ParameterInfo& parameter : parameters) {
    if (!file.Contains(parameter.name)) {
      return Fail(ErrorCode::kInvalid, "the adapter lacks " + parameter.name, path.string(),
                  "adapter_config.json, the weights and the base do not belong together");
    }
    TUTTI_ASSIGN_OR_RETURN(const safetensors::Tensor tensor, file.Find(parameter.name));
    TUTTI_RETURN_IF_ERROR(safetensors::CheckReadsAsFloat32(tensor, path.string()));
    if (std::ranges::equal(tensor.shape, parameter.shape)) continue;
    return Fail(ErrorCode::kInvalid,
                parameter.name + " is " + SizesText(tensor.shape) +
                    ", with this base it has to be " + SizesText(parameter.shape),
                path.string(), "the adapter is another model's, or its head has other labels");
  }
  if (file.size() == parameters.size()) return {};
  return Fail(ErrorCode::kInvalid,
              "the adapter has " + std::to_string(file.size()) + " tensors, " +
                  std::to_string(parameters.size()) + " belong to it",
              path.string(), "adapter_config.json and the weights do not belong together");
}

Status LoadAdapter(const Model& model, const fs::path& directory, std::span<float> trained) {
  TUTTI_RETURN_IF_ERROR(CheckAdapter(model, directory));
  const ParameterLayout& layout = model.layout();
  TUTTI_CHECK(trained.size() == static_cast<std::size_t>(layout.total()), trained.size());
  const fs::path path = directory / kAdapterWeightsFile;
  TUTTI_ASSIGN_OR_RETURN(const safetensors::File file, safetensors::File::Open(path));
  std::ranges::fill(trained, 0.0F);
  for (const ParameterInfo& parameter : layout.parameters()) {
    TUTTI_ASSIGN_OR_RETURN(const safetensors::Tensor tensor, file.Find(parameter.name));
    const auto out = trained.subspan(static_cast<std::size_t>(parameter.offset),
                                     static_cast<std::size_t>(parameter.count));
    TUTTI_RETURN_IF_ERROR(safetensors::ToFloat32(tensor, out));
    if (!std::ranges::all_of(out, [](float x) { return std::isfinite(x); })) {
      return Fail(ErrorCode::kInvalid, parameter.name + " holds NaN or an infinity", path.string(),
                  "the adapter is broken: start from another one");
    }
  }
  return {};
}

fs::path BaseOf(const fs::path& directory) {
  return IsAdapter(directory) ? directory / kBaseFolder : directory;
}

Result<ModelConfig> ReadConfigOf(const fs::path& directory) {
  if (!IsAdapter(directory)) return ReadModelConfig(directory);
  const fs::path base = directory / kBaseFolder;
  std::error_code absent;
  if (!fs::exists(base / "config.json", absent)) {
    TUTTI_ASSIGN_OR_RETURN(const std::string name, BaseNameOf(directory));
    return Fail(
        ErrorCode::kInvalid,
        "the model is an adapter, and its base is not beside it" +
            (name.empty() ? "" : " (adapter_config.json calls it '" + ShowJson(name) + "')"),
        base.string(),
        "its files have to lie below base/: a link or a copy of the base's folder does, "
        "and `tutti submit` brings them along");
  }
  if (IsAdapter(base)) {
    return Fail(ErrorCode::kInvalid, "the adapter's base is an adapter itself", base.string(),
                "merge that one first (tutti model merge)");
  }
  return ReadModelConfig(base);
}

Result<LoadedWeights> LoadMerged(const Model& model, const fs::path& directory, std::uint64_t seed,
                                 std::span<float> params) {
  if (!IsAdapter(directory)) return LoadWeights(model, directory, seed, params);
  TUTTI_ASSIGN_OR_RETURN(const LoraOptions options, ReadAdapterConfig(directory));
  TUTTI_ASSIGN_OR_RETURN(const std::unique_ptr<Model> adapted, MakeModel(model.config()));
  TUTTI_RETURN_IF_ERROR(adapted->Adapt(options));
  TUTTI_RETURN_IF_ERROR(CheckAdapter(*adapted, directory));
  std::vector<float> trained(static_cast<std::size_t>(adapted->layout().total()));
  TUTTI_ASSIGN_OR_RETURN(LoadedWeights loaded,
                         LoadWeights(*adapted, directory / kBaseFolder, seed, params));
  TUTTI_RETURN_IF_ERROR(LoadAdapter(*adapted, directory, trained));
  adapted->adapter()->Merge(trained, params);
  // What the base lacks may be the adapter's.
  std::erase_if(loaded.fresh, [&](const std::string& name) {
    return adapted->adapter()->PlaceOf(adapted->base_layout().Find(name)->offset).has_value();
  });
  return loaded;
}

Result<LoadedWeights> LoadMerged(const Model& model, const fs::path& directory, std::uint64_t seed,
                                 std::span<std::uint16_t> params) {
  if (!IsAdapter(directory)) return LoadWeights(model, directory, seed, params);
  std::vector<float> merged(params.size());
  TUTTI_ASSIGN_OR_RETURN(LoadedWeights loaded,
                         LoadMerged(model, directory, seed, std::span(merged)));
  NarrowToBf16(merged, params.data());
  return loaded;
}

std::string AdapterConfigText(const Model& model, const std::string& base_name) {
  TUTTI_CHECK(model.adapter() != nullptr, "a model without an adapter");
  const Adapter& adapter = *model.adapter();
  const LoraOptions& o = adapter.options();
  const bool classifies = model.config().head == Head::kClassification;
  Json saved = o.modules_to_save;
  if (classifies) {
    saved.push_back("classifier");
    saved.push_back("score");
  }
  const bool input_major = !adapter.loras().empty() && adapter.loras().front().shape.input_major;
  Json alphas = Json::object();
  for (const auto& [key, value] : o.alpha_pattern) alphas[key] = WholeOr(value);
  const Json json = {
      {"alpha_pattern", alphas},
      {"auto_mapping", nullptr},
      {"base_model_name_or_path", base_name},
      {"bias", "none"},
      {"fan_in_fan_out", input_major},
      {"inference_mode", true},
      {"init_lora_weights", true},
      {"layer_replication", nullptr},
      {"layers_pattern", nullptr},
      {"layers_to_transform",
       o.layers_to_transform.empty() ? Json(nullptr) : Json(o.layers_to_transform)},
      {"loftq_config", Json::object()},
      {"lora_alpha", WholeOr(o.lora_alpha)},
      {"lora_dropout", o.lora_dropout},
      {"megatron_config", nullptr},
      {"megatron_core", "megatron.core"},
      {"modules_to_save", saved.empty() ? Json(nullptr) : saved},
      {"peft_type", "LORA"},
      {"r", o.r},
      {"rank_pattern", o.rank_pattern.empty() ? Json::object() : Json(o.rank_pattern)},
      {"revision", nullptr},
      {"target_modules", TargetsOf(adapter)},
      {"task_type", classifies ? "SEQ_CLS" : "CAUSAL_LM"},
      {"use_dora", false},
      {"use_rslora", o.use_rslora}};
  return json.dump(2) + "\n";
}

}  // namespace tutti::model
