#include "jobs/spec/model_files.h"

#include <algorithm>
#include <array>
#include <nlohmann/json.hpp>

#include "common/json/limits.h"

namespace tutti::spec {
namespace {

using nlohmann::json;

constexpr JsonLimits kAdapterConfigLimits{.depth_max = 16, .values_max = 100'000};
constexpr std::size_t kFileNameMax = 4096;
constexpr std::array<std::string_view, 6> kVocabularies = {
    "tokenizer.json", "tokenizer.model", "vocab.json",
    "vocab.txt",      "spiece.model",    "sentencepiece.bpe.model"};

bool IsWeights(std::string_view name) {
  return name.ends_with(".safetensors") || name.ends_with(".safetensors.index.json");
}

bool IsVocabulary(std::string_view name) {
  return std::ranges::find(kVocabularies, name) != kVocabularies.end();
}

// What lies below "base": the rest is of the text.
bool IsOfModelItself(std::string_view name) { return name == "config.json" || IsWeights(name); }

bool IsPickle(std::string_view name) {
  return name.ends_with(".bin") || name.ends_with(".pt") || name.ends_with(".pth");
}

// By the class that config.json names: AutoModel's would leave the head out.
std::string Convert(const std::string& directory) {
  return "convert them once: python3 -c \"import transformers as t; d = '" + directory +
         "'; getattr(t, t.AutoConfig.from_pretrained(d).architectures[0]).from_pretrained(d)"
         ".save_pretrained(d, safe_serialization=True)\"";
}

std::string ConvertAdapter(const std::string& directory) {
  const std::string file = directory + "/adapter_model";
  return "convert them once: python3 -c \"import torch; from safetensors.torch import save_file; "
         "save_file(torch.load('" +
         file + ".bin', map_location='cpu', weights_only=True), '" + file + ".safetensors')\"";
}

}  // namespace

Error WithoutWeights(std::span<const std::string> names, const std::string& directory) {
  const bool pickles = std::ranges::any_of(names, IsPickle);
  return {ErrorCode::kInvalid,
          pickles ? "its weights are pickled (.bin), which Tutti never reads"
                  : "it has no weights (model.safetensors)",
          directory, pickles ? Convert(directory) : ""};
}

Error AdapterWithoutWeights(std::span<const std::string> names, const std::string& directory) {
  const bool pickles = std::ranges::find(names, "adapter_model.bin") != names.end();
  return {ErrorCode::kInvalid,
          pickles ? "the adapter's weights are pickled (.bin), which Tutti never reads"
                  : "the adapter has no weights (adapter_model.safetensors)",
          directory, pickles ? ConvertAdapter(directory) : ""};
}

bool IsModelFile(std::string_view name) {
  constexpr std::array<std::string_view, 5> kEnds = {".safetensors", ".json", ".jinja", ".spm",
                                                     ".model"};
  if (name == "vocab.txt" || name == "merges.txt") return true;
  return std::any_of(kEnds.begin(), kEnds.end(),
                     [name](std::string_view end) { return name.ends_with(end); });
}

std::vector<PlacedFile> PlaceAdapter(std::span<const std::string> adapter,
                                     std::span<const std::string> base) {
  std::vector<PlacedFile> files;
  for (const std::string& name : adapter) {
    if (!IsModelFile(name) || (IsOfModelItself(name) && name != kAdapterWeightsName)) continue;
    files.push_back({.place = name, .of_base = false, .name = name});
  }
  const bool reads = std::ranges::any_of(adapter, IsVocabulary);
  for (const std::string& name : base) {
    if (!IsModelFile(name) || name == kAdapterConfigName || name == kAdapterWeightsName) continue;
    if (IsOfModelItself(name)) {
      files.push_back({.place = "base/" + name, .of_base = true, .name = name});
    } else if ((!reads || name == "generation_config.json") &&
               std::ranges::find(adapter, name) == adapter.end()) {
      files.push_back({.place = name, .of_base = true, .name = name});
    }
  }
  std::ranges::sort(files, {}, &PlacedFile::place);
  return files;
}

Result<std::string> BaseNamed(const std::string& adapter_config, const std::string& where) {
  TUTTI_RETURN_IF_ERROR(CheckJsonLimits(adapter_config, kAdapterConfigLimits, where));
  const json config = json::parse(adapter_config, nullptr, /*allow_exceptions=*/false);
  if (!config.is_object()) return Fail(ErrorCode::kInvalid, "is not a JSON object", where);
  const auto found = config.find("base_model_name_or_path");
  if (found == config.end() || found->is_null()) return std::string();
  const bool good =
      found->is_string() && found->get_ref<const std::string&>().size() <= kFileNameMax &&
      std::ranges::none_of(found->get_ref<const std::string&>(),
                           [](char c) { return static_cast<unsigned char>(c) < ' '; });
  if (good) return found->get<std::string>();
  return Fail(ErrorCode::kInvalid, "base_model_name_or_path is no name and no path", where);
}

}  // namespace tutti::spec
