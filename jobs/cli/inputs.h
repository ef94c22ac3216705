// What a job reads, found where its spec says, by content: the files of a model directory, the
// data. Reads the disk and asks the coordinator for models. Main thread only.
#pragma once

#include <filesystem>
#include <functional>
#include <string>
#include <vector>

#include "jobs/client/api.h"
#include "jobs/spec/spec.h"

namespace tutti::cli {

// Where a field of a spec stands, for errors: "spec.yaml:14:5".
using PlaceOf = std::function<std::string(const std::vector<std::string>& path)>;
// `text` is the spec's. A field that a `--set` gave is at "--set data.train".
PlaceOf PlacesIn(std::string text, std::string file_name, std::vector<std::string> sets);

// A file of this machine whose blob the coordinator must have.
struct LocalFile {
  std::filesystem::path path;  // absolute, links resolved
  std::string digest;
  std::int64_t size_bytes = 0;
};
struct ResolvedInputs {
  spec::Inputs inputs;
  std::vector<LocalFile> files;
};

// The files of a model of this cluster, which are blobs already; `where` is for errors.
client::Answer<std::vector<spec::InputFile>> ModelOfCluster(const std::string& model,
                                                            const std::string& where,
                                                            client::Client& client);
Result<LocalFile> HashFile(const std::filesystem::path& path);

// Relative paths are below `base`, the folder of the spec. All that is wrong at once.
client::Answer<ResolvedInputs> ResolveInputs(const spec::JobSpec& job,
                                             const std::filesystem::path& base,
                                             const PlaceOf& place, client::Client& client);

// Gives the coordinator the blobs it lacks: by hard link on this machine, else their bytes.
client::Answer<void> Upload(client::Client& client, const std::vector<LocalFile>& files);

}  // namespace tutti::cli
