#include "worker/finetune/going_on.h"

#include <cstdio>
#include <memory>
#include <set>
#include <string>
#include <variant>

#include "worker/model/adapter_files.h"

namespace tutti::finetune {
namespace {

namespace fs = std::filesystem;
using model::LoraOptions;
using Names = std::set<std::string>;

std::string Listed(const Names& names) {
  std::string list;
  for (const std::string& name : names) list += (list.empty() ? "" : ", ") + name;
  return "[" + list + "]";
}

std::string Number(double value) {
  char text[32];
  std::snprintf(text, sizeof text, "%.9g", value);
  return text;
}

std::string Flag(bool value) { return value ? "true" : "false"; }

Names ModulesOf(const model::Adapter& adapter) {
  Names modules;
  for (const model::Adapter::Lora& lora : adapter.loras()) modules.insert(lora.module);
  return modules;
}

// "q_proj", as target_modules has them.
Names LastParts(const Names& modules) {
  Names parts;
  for (const std::string& module : modules) parts.insert(module.substr(module.rfind('.') + 1));
  return parts;
}

Names SetOf(const std::vector<std::string>& names) { return {names.begin(), names.end()}; }

// What to write to have an adapter like this one.
std::string Written(const LoraOptions& options, const Names& modules) {
  std::string text = "r: " + std::to_string(options.r);
  text += ", lora_alpha: " + Number(options.lora_alpha);
  if (options.use_rslora) text += ", use_rslora: true";
  text += ", target_modules: " + Listed(LastParts(modules));
  if (!options.modules_to_save.empty()) {
    text += ", modules_to_save: " + Listed(SetOf(options.modules_to_save));
  }
  return "method: {lora: {" + text + "}}";
}

Result<std::unique_ptr<model::Model>> Adapted(const model::Model& base,
                                              const LoraOptions& options) {
  TUTTI_ASSIGN_OR_RETURN(std::unique_ptr<model::Model> model, model::MakeModel(base.config()));
  TUTTI_RETURN_IF_ERROR(model->Adapt(options));
  return model;
}

}  // namespace

bool GoesOnWithAdapter(const spec::JobSpec& spec, const fs::path& model_dir) {
  return std::holds_alternative<spec::LoraSpec>(spec.method) && !spec.resume_from &&
         model::IsAdapter(model_dir);
}

Result<LoraOptions> OptionsToGoOnWith(const fs::path& directory, const model::Model& base,
                                      const LoraOptions& wanted) {
  TUTTI_ASSIGN_OR_RETURN(LoraOptions own, model::ReadAdapterConfig(directory));
  const auto adapted = Adapted(base, own);
  if (!adapted) {
    Error error = adapted.error();
    error.where = (directory / model::kAdapterConfigFile).string() + ": " + error.where;
    return Fail(std::move(error));
  }
  TUTTI_RETURN_IF_ERROR(model::CheckAdapter(**adapted, directory));
  const Names modules = ModulesOf(*(*adapted)->adapter());
  const auto differ = [&](const std::string& field, const std::string& has,
                          const std::string& asked) {
    return Fail(ErrorCode::kInvalid,
                "the model is an adapter with " + field + " " + has + ", the job asks for " + asked,
                "method.lora." + field,
                "to go on with it write " + Written(own, modules) +
                    "; to train a new one on top of it merge it (tutti model merge) and name the "
                    "merged folder as model");
  };
  if (own.r != wanted.r) return differ("r", std::to_string(own.r), std::to_string(wanted.r));
  if (own.lora_alpha != wanted.lora_alpha) {
    return differ("lora_alpha", Number(own.lora_alpha), Number(wanted.lora_alpha));
  }
  if (own.use_rslora != wanted.use_rslora) {
    return differ("use_rslora", Flag(own.use_rslora), Flag(wanted.use_rslora));
  }
  const Names saved = SetOf(own.modules_to_save), saved_wanted = SetOf(wanted.modules_to_save);
  if (saved != saved_wanted) return differ("modules_to_save", Listed(saved), Listed(saved_wanted));
  const auto other = Adapted(base, wanted);
  if (!other) {
    Error error = other.error();
    error.where = "method.lora." + error.where;
    return Fail(std::move(error));
  }
  const Names wanted_modules = ModulesOf(*(*other)->adapter());
  if (modules != wanted_modules) {
    const Names has = LastParts(modules), asked = LastParts(wanted_modules);
    return differ("target_modules", Listed(has == asked ? modules : has),
                  Listed(has == asked ? wanted_modules : asked));
  }
  own.lora_dropout = wanted.lora_dropout;
  return own;
}

}  // namespace tutti::finetune
