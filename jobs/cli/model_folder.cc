#include "jobs/cli/model_folder.h"

#include <algorithm>
#include <set>
#include <utility>

#include "common/file/file.h"
#include "jobs/spec/model_files.h"

namespace tutti::cli {
namespace {

namespace fs = std::filesystem;
using client::Answer;
using client::Errors;
using client::Fails;

// Names of the regular files in a folder (links to such, too), ascending.
Result<std::vector<std::string>> NamesIn(const fs::path& directory) {
  std::error_code error;
  std::set<std::string> names;
  for (const fs::directory_entry& entry : fs::directory_iterator(directory, error)) {
    std::error_code ignored;
    if (entry.is_regular_file(ignored)) names.insert(entry.path().filename().string());
  }
  if (error) {
    return Fail(ErrnoError("cannot read the model's folder", directory.string(), error.value()));
  }
  return std::vector<std::string>(names.begin(), names.end());
}

bool Has(const std::vector<std::string>& names, std::string_view name) {
  return std::ranges::binary_search(names, name);
}

Status CheckModel(const std::vector<std::string>& names, const fs::path& directory) {
  if (!Has(names, "config.json")) {
    return Fail(ErrorCode::kInvalid, "this is no Hugging Face model: it has no config.json",
                directory.string(),
                "name a folder with config.json, model.safetensors and a tokenizer, or one of an "
                "adapter");
  }
  const auto safe = [](const std::string& name) { return name.ends_with(".safetensors"); };
  if (std::ranges::any_of(names, safe)) return {};
  return Fail(spec::WithoutWeights(names, directory.string()));
}

Status CheckAdapter(const std::vector<std::string>& names, const fs::path& directory) {
  if (Has(names, spec::kAdapterWeightsName)) return {};
  return Fail(spec::AdapterWithoutWeights(names, directory.string()));
}

Unexpected AdapterAsBase(const std::string& base, const fs::path& directory) {
  return Fail(ErrorCode::kInvalid, "the adapter's base " + base + " is an adapter itself",
              directory.string(),
              "merge that one first (tutti model merge " + base +
                  " DIR) and write DIR as base_model_name_or_path in adapter_config.json");
}

// "meta-llama/Llama-3.2-1B", "gpt2"
bool MightBeHubId(const std::string& name) {
  return !name.starts_with('/') && !name.starts_with('.') && std::ranges::count(name, '/') <= 1;
}

// Where the base's folder is; an error says where it was looked for.
Result<fs::path> FindBase(const std::string& name, const fs::path& adapter,
                          const fs::path& also_below) {
  const std::string link = (adapter / "base").string();
  if (name.empty()) {
    return Fail(ErrorCode::kInvalid,
                "the adapter has no base: no folder base/ in it, and adapter_config.json has no "
                "base_model_name_or_path",
                adapter.string(), "link or copy the base's folder to " + link);
  }
  const fs::path own = (adapter / name).lexically_normal();
  const fs::path other = (also_below / name).lexically_normal();
  for (const fs::path& directory : {own, other}) {
    std::error_code ignored;
    if (fs::is_directory(directory, ignored)) return directory;
  }
  const std::string looked =
      link + ", " + own.string() + (own == other ? "" : ", " + other.string());
  std::string hint = "link or copy the base's folder to " + link +
                     ", or write its path as base_model_name_or_path in adapter_config.json";
  if (MightBeHubId(name)) {
    hint += "; if it is a hub's: hf download " + name + " --local-dir " + link;
  }
  return Fail(ErrorCode::kInvalid,
              "the adapter's base '" + name + "' is not found: looked for " + looked,
              adapter.string(), std::move(hint));
}

Result<std::vector<std::string>> NamesOfBase(const fs::path& base) {
  TUTTI_ASSIGN_OR_RETURN(std::vector<std::string> names, NamesIn(base));
  if (Has(names, spec::kAdapterConfigName)) return AdapterAsBase(base.string(), base);
  TUTTI_RETURN_IF_ERROR(CheckModel(names, base));
  return names;
}

void Place(const std::vector<std::string>& names, const fs::path& adapter,
           const std::vector<std::string>& base_names, const fs::path& base, ModelFolder& model) {
  for (spec::PlacedFile& file : spec::PlaceAdapter(names, base_names)) {
    const fs::path& from = file.of_base ? base : adapter;
    model.files.push_back({.place = std::move(file.place), .path = from / file.name});
  }
}

Answer<ModelFolder> WithBaseOfCluster(const std::vector<std::string>& names,
                                      const fs::path& adapter, ModelFolder model,
                                      const FilesOfModel& of_cluster) {
  const auto files = of_cluster(model.base);
  if (!files) {
    Errors errors = files.error();
    for (Error& error : errors) {
      error.message = "the adapter's base '" + model.base + "': " + error.message;
      if (error.code != ErrorCode::kInvalid) continue;
      error.hint = "models here: tutti model list; or link or copy the base's folder to " +
                   (adapter / "base").string();
    }
    return tl::unexpected<Errors>(std::move(errors));
  }
  std::vector<std::string> base_names;
  for (const spec::InputFile& file : *files) {
    if (file.path == spec::kAdapterConfigName)
      return Fails(AdapterAsBase(model.base, adapter).value());
    if (file.path.find('/') == file.path.npos) base_names.push_back(file.path);
  }
  for (spec::PlacedFile& file : spec::PlaceAdapter(names, base_names)) {
    if (!file.of_base) {
      model.files.push_back({.place = std::move(file.place), .path = adapter / file.name});
      continue;
    }
    const auto found = std::ranges::find(*files, file.name, &spec::InputFile::path);
    model.of_cluster.push_back({.place = std::move(file.place), .file = *found});
  }
  return model;
}

Result<std::string> NameOfBase(const fs::path& adapter) {
  const fs::path config = adapter / spec::kAdapterConfigName;
  TUTTI_ASSIGN_OR_RETURN(const std::string text, ReadFile(config, spec::kAdapterConfigMax));
  return spec::BaseNamed(text, config.string());
}

}  // namespace

bool LooksLikePath(std::string_view text) {
  return text.starts_with("./") || text.starts_with("../") || text.starts_with("/");
}

Answer<ModelFolder> ReadModelFolder(const fs::path& directory, const fs::path& also_below,
                                    const FilesOfModel& of_cluster) {
  const auto names = NamesIn(directory);
  if (!names) return Fails(names.error());
  ModelFolder model;
  if (!Has(*names, spec::kAdapterConfigName)) {
    if (Status good = CheckModel(*names, directory); !good) return Fails(good.error());
    for (const std::string& name : *names) {
      if (spec::IsModelFile(name)) model.files.push_back({.place = name, .path = directory / name});
    }
    return model;
  }
  model.is_adapter = true;
  if (Status good = CheckAdapter(*names, directory); !good) return Fails(good.error());
  fs::path base = directory / "base";
  std::error_code absent;
  if (!fs::is_directory(base, absent)) {
    const auto name = NameOfBase(directory);
    if (!name) return Fails(name.error());
    if (name->starts_with("ft:")) {
      model.base = *name;
      return WithBaseOfCluster(*names, directory, std::move(model), of_cluster);
    }
    auto found = FindBase(*name, directory, also_below);
    if (!found) return Fails(found.error());
    base = *std::move(found);
  }
  const auto base_names = NamesOfBase(base);
  if (!base_names) return Fails(base_names.error());
  Place(*names, directory, *base_names, base, model);
  return model;
}

}  // namespace tutti::cli
