#include "worker/finetune/export.h"

#include <algorithm>
#include <array>

#include "common/file/file.h"
#include "worker/model/export.h"
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

}  // namespace

Result<std::vector<std::string>> ExportModel(const fs::path& directory, const ExportInput& input) {
  const model::Model& model = *input.job.model;
  TUTTI_RETURN_IF_ERROR(MakeDirectories(directory));
  std::vector<std::string> files = {"README.md", "config.json", "model.safetensors"};
  TUTTI_RETURN_IF_ERROR(safetensors::Write(
      directory / "model.safetensors", model::TensorsToWrite(model.layout(), input.parameters)));
  TUTTI_ASSIGN_OR_RETURN(const std::string config,
                         model::ExportConfig(model, model::Problem::kSingleLabel));
  TUTTI_RETURN_IF_ERROR(WriteFileAtomically(directory / "config.json", config));
  for (const char* name : kCopiedFiles) {
    const fs::path from = input.job.model_dir / name;
    std::error_code absent;
    if (!fs::exists(from, absent)) continue;
    TUTTI_RETURN_IF_ERROR(CopyFile(from, directory / name));
    files.emplace_back(name);
  }
  TUTTI_RETURN_IF_ERROR(WriteFileAtomically(directory / "README.md", ModelCard(input)));
  std::sort(files.begin(), files.end());
  return files;
}

}  // namespace tutti::finetune
