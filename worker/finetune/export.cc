#include "worker/finetune/export.h"

#include <algorithm>
#include <array>

#include "common/file/file.h"
#include "worker/finetune/language.h"
#include "worker/finetune/weights.h"
#include "worker/model/adapter_files.h"
#include "worker/model/export.h"
#include "worker/model/load.h"
#include "worker/safetensors/writer.h"

namespace tutti::finetune {
namespace {

namespace fs = std::filesystem;

// What Transformers' tokenizers read, whatever the kind, and how texts are generated.
constexpr std::array<const char*, 12> kCopiedFiles = {"added_tokens.json",
                                                      "chat_template.jinja",
                                                      "generation_config.json",
                                                      "merges.txt",
                                                      "sentencepiece.bpe.model",
                                                      "special_tokens_map.json",
                                                      "spiece.model",
                                                      "tokenizer.json",
                                                      "tokenizer.model",
                                                      "tokenizer_config.json",
                                                      "vocab.json",
                                                      "vocab.txt"};

Status CopyFile(const fs::path& from, const fs::path& to) {
  TUTTI_ASSIGN_OR_RETURN(const std::string text, ReadFile(from, Bytes{256 << 20}));
  return WriteFileAtomically(to, text);
}

Status CopyTextFiles(const fs::path& from, const fs::path& to, std::vector<std::string>& files) {
  for (const char* name : kCopiedFiles) {
    std::error_code absent;
    if (!fs::exists(from / name, absent)) continue;
    TUTTI_RETURN_IF_ERROR(CopyFile(from / name, to / name));
    files.emplace_back(name);
  }
  return {};
}

Status WriteModel(const fs::path& directory, const ExportInput& input,
                  std::vector<std::string>& files) {
  const model::Model& model = *input.job.model;
  TUTTI_RETURN_IF_ERROR(safetensors::Write(
      directory / "model.safetensors", model::TensorsToWrite(model.layout(), input.parameters)));
  TUTTI_ASSIGN_OR_RETURN(const std::string config,
                         model::ExportConfig(model, model::Problem::kSingleLabel));
  files.insert(files.end(), {"config.json", "model.safetensors"});
  return WriteFileAtomically(directory / "config.json", config);
}

// The base's weights as they are; of an adapter that a new one was trained on, merged.
Status WriteBaseWeights(const fs::path& directory, const ExportInput& input,
                        std::vector<std::string>& files) {
  const std::string base = std::string(model::kBaseFolder) + "/";
  const fs::path& model_dir = input.job.model_dir;
  const fs::path from = input.job.goes_on ? model::BaseOf(model_dir) : model_dir;
  if (model::IsAdapter(from)) {
    files.push_back(base + "model.safetensors");
    const model::ParameterLayout& layout = input.job.model->base_layout();
    std::vector<float> merged(static_cast<std::size_t>(layout.total()));
    FrozenIn(input.job, input.frozen).CopyTo(merged);
    TUTTI_RETURN_IF_ERROR(
        safetensors::Write(directory / files.back(), model::TensorsToWrite(layout, merged)));
    return {};
  }
  std::error_code error;
  for (const fs::directory_entry& entry : fs::directory_iterator(from, error)) {
    const std::string name = entry.path().filename();
    if (!name.ends_with(".safetensors") && name != "model.safetensors.index.json") continue;
    TUTTI_RETURN_IF_ERROR(LinkOrCopy(entry.path(), directory / (base + name)));
    files.push_back(base + name);
  }
  if (error) return Fail(ErrnoError("cannot list", from.string(), error.value()));
  return {};
}

// As PEFT saves one, with the base beside it so that the two stay together. The base's config.json
// has the head that the adapter belongs to.
Status WriteAdapter(const fs::path& directory, const ExportInput& input,
                    std::vector<std::string>& files) {
  const model::Model& model = *input.job.model;
  const std::string base_config = std::string(model::kBaseFolder) + "/config.json";
  std::string base_name = input.job.spec.model;
  if (input.job.goes_on) {
    TUTTI_ASSIGN_OR_RETURN(base_name, model::BaseNameOf(input.job.model_dir));
  }
  TUTTI_RETURN_IF_ERROR(
      safetensors::Write(directory / model::kAdapterWeightsFile,
                         model::TensorsToWrite(model.layout(), input.parameters)));
  TUTTI_RETURN_IF_ERROR(WriteFileAtomically(directory / model::kAdapterConfigFile,
                                            model::AdapterConfigText(model, base_name)));
  TUTTI_ASSIGN_OR_RETURN(const std::string config,
                         model::ExportConfig(model, model::Problem::kSingleLabel));
  TUTTI_RETURN_IF_ERROR(MakeDirectories(directory / model::kBaseFolder));
  TUTTI_RETURN_IF_ERROR(WriteFileAtomically(directory / base_config, config));
  files.insert(files.end(), {model::kAdapterWeightsFile, model::kAdapterConfigFile, base_config});
  return WriteBaseWeights(directory, input, files);
}

// How the model wants to be asked: with the template that it learned from, where that is not its
// own.
Status WritePrompts(const fs::path& directory, const Job& job, std::vector<std::string>& files) {
  if (!job.generates()) return {};
  TUTTI_RETURN_IF_ERROR(
      WriteFileAtomically(directory / kPromptsFile, PromptsText(job.chat != nullptr)));
  files.emplace_back(kPromptsFile);
  if (job.chat == nullptr || job.chat->is_own()) return {};
  constexpr const char* kTemplateFile = "chat_template.jinja";
  TUTTI_RETURN_IF_ERROR(WriteFileAtomically(directory / kTemplateFile, job.chat->source));
  if (std::ranges::find(files, kTemplateFile) == files.end()) files.emplace_back(kTemplateFile);
  return {};
}

}  // namespace

Result<std::vector<std::string>> ExportModel(const fs::path& directory, const ExportInput& input) {
  const model::Model& model = *input.job.model;
  TUTTI_RETURN_IF_ERROR(MakeDirectories(directory));
  std::vector<std::string> files = {"README.md"};
  TUTTI_RETURN_IF_ERROR(model.adapter() != nullptr ? WriteAdapter(directory, input, files)
                                                   : WriteModel(directory, input, files));
  TUTTI_RETURN_IF_ERROR(CopyTextFiles(input.job.model_dir, directory, files));
  TUTTI_RETURN_IF_ERROR(WritePrompts(directory, input.job, files));
  TUTTI_RETURN_IF_ERROR(WriteFileAtomically(directory / "README.md", ModelCard(input)));
  std::sort(files.begin(), files.end());
  return files;
}

Result<std::vector<std::string>> MergeAdapter(const fs::path& from, const fs::path& to) {
  if (!model::IsAdapter(from)) {
    return Fail(ErrorCode::kInvalid, "this is no adapter: there is nothing to merge", from.string(),
                "merge what a job with method: lora made");
  }
  TUTTI_ASSIGN_OR_RETURN(const model::ModelConfig config, model::ReadConfigOf(from));
  TUTTI_ASSIGN_OR_RETURN(const std::unique_ptr<model::Model> model, model::MakeModel(config));
  TUTTI_RETURN_IF_ERROR(model::CheckWeights(*model, model::BaseOf(from)));
  std::vector<float> merged(static_cast<std::size_t>(model->layout().total()));
  TUTTI_RETURN_IF_ERROR(model::LoadMerged(*model, from, /*seed=*/0, merged));
  TUTTI_RETURN_IF_ERROR(MakeDirectories(to));
  TUTTI_RETURN_IF_ERROR(
      safetensors::Write(to / "model.safetensors", model::TensorsToWrite(model->layout(), merged)));
  std::vector<std::string> files = {"config.json", "model.safetensors"};
  TUTTI_RETURN_IF_ERROR(CopyFile(model::BaseOf(from) / "config.json", to / "config.json"));
  TUTTI_RETURN_IF_ERROR(CopyTextFiles(from, to, files));
  std::error_code absent;
  if (fs::exists(from / kPromptsFile, absent)) {
    TUTTI_RETURN_IF_ERROR(CopyFile(from / kPromptsFile, to / kPromptsFile));
    files.emplace_back(kPromptsFile);
  }
  std::sort(files.begin(), files.end());
  return files;
}

}  // namespace tutti::finetune
