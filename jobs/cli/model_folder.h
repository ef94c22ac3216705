// A model's folder on this machine: which of its files a job reads, and where the base of an
// adapter is found. Reads the disk; the cluster is asked through a function. Main thread only.
#pragma once

#include <filesystem>
#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "jobs/client/api.h"
#include "jobs/spec/spec.h"

namespace tutti::cli {

// Whether a model is written as a folder's path: ./… ../… /….
bool LooksLikePath(std::string_view text);

struct FolderFile {
  std::string place{};  // in the folder that the engine reads: "base/config.json"
  std::filesystem::path path{};
};
struct ModelFolder {
  std::vector<FolderFile> files{};  // ascending by place
  // Files of a base that is a model of the cluster, their path in it and their places.
  struct OfCluster {
    std::string place{};
    spec::InputFile file{};
  };
  std::vector<OfCluster> of_cluster{};
  std::string base{};       // that model: ft:…
  bool is_adapter = false;  // else nothing has to be laid out anew
};

// The files of a model of the cluster.
using FilesOfModel =
    std::function<client::Answer<std::vector<spec::InputFile>>(const std::string& model)>;

// A Hugging Face directory, or an adapter as PEFT saves it. An adapter's base is the folder base/
// in it, else what base_model_name_or_path says: a folder, relative to the adapter's or to
// `also_below`, or ft:…. kInvalid for a folder that is no model, has only pickled weights (the hint
// converts them), or whose base is not found: then where it was looked for.
client::Answer<ModelFolder> ReadModelFolder(const std::filesystem::path& directory,
                                            const std::filesystem::path& also_below,
                                            const FilesOfModel& of_cluster);

}  // namespace tutti::cli
