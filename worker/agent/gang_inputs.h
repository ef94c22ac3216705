// What a gang needs before it can start: the files its resolved spec names, by content or in place,
// laid out in the attempt's folder. Free functions; placing is for threads off the loop.
#pragma once

#include <cstdint>
#include <filesystem>
#include <memory>
#include <nlohmann/json.hpp>
#include <optional>
#include <span>
#include <stop_token>
#include <string>
#include <variant>
#include <vector>

#include "common/base/result.h"
#include "common/base/units.h"
#include "common/digest/sha256.h"
#include "worker/agent/blob_cache.h"
#include "worker/agent/in_place.h"
#include "worker/agent/remote_blobs.h"

namespace tutti::agent {

struct WantedFile {
  std::string path;  // relative
  Digest digest;
  Bytes size;
};
struct InPlace {
  std::filesystem::path path;  // of a file:///… in the spec
};
using DataSource = std::variant<WantedFile, InPlace>;

// Of a resolved spec what the worker itself acts on; the engine checks the rest.
struct GangInputs {
  nlohmann::json spec;
  std::vector<WantedFile> model;
  std::optional<InPlace> model_in_place;  // instead of files
  std::optional<DataSource> train;
  std::optional<DataSource> eval;
  std::uint32_t cpus_per_rank = 1;
  std::uint64_t memory_limit_bytes = 0;  // a rank's, when the spec limits it; 0 = none
};
Result<GangInputs> ReadGangInputs(const std::string& spec_json);

struct LocalInputs {
  std::filesystem::path model_dir;
  std::filesystem::path train_path;
  std::optional<std::filesystem::path> eval_path;
  std::shared_ptr<PinnedFiles> pinned;  // what is read in place can be while this is held
};

struct PlaceOptions {
  std::filesystem::path folder;  // exists; gets model/, train/ and eval/
  const BlobCache& cache;
  const RemoteBlobs& remote;
  std::span<const std::filesystem::path> data_roots;
};
Result<LocalInputs> PlaceInputs(const GangInputs& inputs, const PlaceOptions& options,
                                std::stop_token stop);

// One file below `folder`, its parents made.
Status PlaceFile(const WantedFile& file, const std::filesystem::path& folder,
                 const PlaceOptions& options, std::stop_token stop);

}  // namespace tutti::agent
