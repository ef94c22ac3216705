// A model's folder on this machine, asked and merged by the sibling tutti-engine: no cluster takes
// part, unless it has the base of an adapter. Main thread only.
#pragma once

#include <filesystem>
#include <nlohmann/json.hpp>
#include <string>

#include "common/base/time.h"
#include "jobs/cli/commands.h"
#include "jobs/client/api.h"

namespace tutti::cli {

// Bytes of a model of the cluster into a new file, verified.
struct ModelFileWanted {
  std::string model{};  // its id
  std::string path{};   // in it
  std::string digest{};
};
client::Answer<void> DownloadModelFile(Context& context, const ModelFileWanted& file,
                                       const std::filesystem::path& to);

// A folder as the engine reads it. Where that is not the folder itself (an adapter, whose base
// lies elsewhere), a temporary one of links, which goes with this.
class LocalModel {
 public:
  static client::Answer<LocalModel> Find(Context& context, const std::string& directory);
  LocalModel(LocalModel&& other) noexcept;
  LocalModel& operator=(LocalModel&&) = delete;
  ~LocalModel();

  const std::filesystem::path& directory() const { return directory_; }
  // What `tutti-engine TOOL` answers to a request, to which "model_dir" is added
  // (docs/formats/enginelink.md). Ctrl-C ends it.
  client::Answer<nlohmann::json> Ask(const Context& context, const std::string& tool,
                                     nlohmann::json request) const;

 private:
  LocalModel() = default;

  std::filesystem::path temporary_;  // empty: nothing more to remove
  std::filesystem::path directory_;
};

// `tutti-engine merge` of an adapter's folder, its base below "base", into `to`.
client::Answer<void> MergeFolder(const Context& context, const std::filesystem::path& adapter,
                                 const std::filesystem::path& to);

}  // namespace tutti::cli
